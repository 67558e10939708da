"""Context length and size of a model, from the header of its GGUF file.

Source: the GGUF specification, version 3 (ggml/docs/gguf.md).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from nbest.accounting.costs import ModelSize
from nbest.errors import InputError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_EXPERTS = re.compile(r"_exps\.|\bffn_\w+\.\d+\.")
"""Tensors of experts, of which a token uses some: all in one tensor, or (older files) one tensor each."""
_LOOKED_UP = re.compile(r"(?:token_embd|per_layer_token_embd|position_embd|token_types)\.")
"""Tables in which a token looks up one row, which takes no arithmetic."""
_CONSTANT = "rope_"
_BLOCK = re.compile(r"blk\.(\d+)\.")


def read_context_length(path: Path) -> int | None:
    """How many tokens the model was trained on at most; None where the file does not say.

    Raises `InputError` where the file is missing or is no GGUF.
    """
    with _opened(path) as file:
        for key, value in _metadata(file, _header(file)[1]):
            if key.endswith(".context_length"):  # stands before the vocabulary, which is long
                return int(value)
    return None


def read_size(path: Path) -> ModelSize:
    """Parameters in all of a model's tensors, and those that are active for one token.

    Not active are the experts beyond `expert_used_count` of `expert_count`, embedding tables (the token
    table counts where it is the output layer as well), and blocks for predicting several tokens. Of a
    model in several files, all are read. Raises `InputError` where a file is missing or is no GGUF.
    """
    metadata: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for part in _parts(path):
        with _opened(part) as file:
            num_tensors, num_keys = _header(file)
            metadata = dict(_metadata(file, num_keys)) | metadata
            sizes |= _tensors(file, num_tensors)
    active = sum(_active_sizes(sizes, metadata))
    return ModelSize(parameters=float(sum(sizes.values())), active=active, attention=_attention(metadata))


def _attention(metadata: Mapping[str, Any]) -> float | None:
    """Layers × heads × width of a head; None where the file does not say, or layers differ."""
    architecture = _text(metadata.get("general.architecture"))
    num_blocks = metadata.get(f"{architecture}.block_count")
    num_heads = metadata.get(f"{architecture}.attention.head_count")
    width = metadata.get(f"{architecture}.embedding_length")
    if not (num_blocks and num_heads and width):
        return None
    head = metadata.get(f"{architecture}.attention.key_length") or width // num_heads
    return float(num_blocks * num_heads * head)


def _active_sizes(sizes: Mapping[str, int], metadata: Mapping[str, Any]) -> Iterator[float]:
    """Parameters of each tensor that take part in the computation of one token, on average."""
    architecture = _text(metadata.get("general.architecture"))

    def number(name: str, default: int) -> int:
        return metadata.get(f"{architecture}.{name}", default)

    num_experts = number("expert_count", 1) or 1
    share_used = min(1.0, number("expert_used_count", num_experts) / num_experts)
    num_blocks = number("block_count", 0) - number("nextn_predict_layers", 0)
    is_tied = "output.weight" not in sizes
    for name, size in sizes.items():
        block = _BLOCK.match(name)
        predicts_more = block is not None and int(block[1]) >= num_blocks > 0
        is_output = is_tied and name.startswith("token_embd")
        is_lookup = _LOOKED_UP.match(name) is not None and not is_output
        if predicts_more or is_lookup:
            continue
        if _EXPERTS.search(name):
            yield size * share_used
        else:
            yield float(size)


@contextmanager
def _opened(path: Path) -> Generator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file (a GGUF model is expected)") from None
    except OSError as e:
        raise InputError(f"{path}: {e.strerror} (a GGUF model is expected)") from None
    except (struct.error, UnicodeDecodeError, KeyError, MemoryError, OverflowError):
        raise InputError(f"{path}: damaged or no GGUF model") from None


def _parts(path: Path) -> list[Path]:
    """All files of a model: …-00001-of-00003.gguf is the first of three."""
    found = re.fullmatch(r"(.*-)\d{5}(-of-(\d{5})\.gguf)", path.name)
    if found is None:
        return [path]
    before, after, num_parts = found.groups()
    return [path.with_name(f"{before}{i + 1:05}{after}") for i in range(int(num_parts))]


def _header(file: BinaryIO) -> tuple[int, int]:
    """How many tensors and keys there are."""
    magic, version, num_tensors, num_keys = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version < 2:  # noqa: PLR2004
        raise KeyError(magic)
    return num_tensors, num_keys


def _metadata(file: BinaryIO, num_keys: int) -> Iterator[tuple[str, Any]]:
    for _ in range(num_keys):
        key = _string(file).decode()
        yield key, _value(file, _scalar(file, "I"))


def _tensors(file: BinaryIO, num_tensors: int) -> Mapping[str, int]:
    """Number of parameters by name."""
    sizes: dict[str, int] = {}
    for _ in range(num_tensors):
        name = _string(file).decode()
        shape = [_scalar(file, "Q") for _ in range(_scalar(file, "I"))]
        file.seek(struct.calcsize("<IQ"), 1)  # type and place
        if not name.startswith(_CONSTANT):
            sizes[name] = prod(shape)
    return sizes


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return ""


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _scalar(file, _SCALARS[kind])
    kind, size = _scalar(file, "I"), _scalar(file, "Q")
    if kind in _SCALARS:
        return file.seek(struct.calcsize(_SCALARS[kind]) * size, 1)
    for _ in range(size):
        _value(file, kind)
    return None


def _string(file: BinaryIO) -> bytes:
    size = _scalar(file, "Q")
    data = file.read(size)
    if len(data) < size:
        raise KeyError(size)
    return data


def _scalar(file: BinaryIO, code: str) -> Any:
    return struct.unpack(f"<{code}", file.read(struct.calcsize(f"<{code}")))[0]
