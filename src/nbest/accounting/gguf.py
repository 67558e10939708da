"""Reads the first facts of a GGUF file, without loading it.

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
"""Tensors of experts, of which a token passes through some: all in one, or (older files) one each."""
_LOOKED_UP = re.compile(r"(?:token_embd|per_layer_token_embd|position_embd|token_types)\.")
"""Tables of which a token needs one row, which takes no arithmetic."""
_CONSTANT = "rope_"
_BLOCK = re.compile(r"blk\.(\d+)\.")


def read_context_length(path: Path) -> int | None:
    """How many tokens the model was trained to see; None where the file does not say.

    Raises `InputError` where the file is missing or is no GGUF.
    """
    with _opened(path) as file:
        for key, value in _metadata(file, _header(file)[1]):
            if key.endswith(".context_length"):  # stands before the vocabulary, which is long
                return int(value)
    return None


def read_size(path: Path) -> ModelSize:
    """Parameters in all of a model's tensors, and those that one token passes through.

    Not active are the experts beyond `expert_used_count` of `expert_count`, embedding tables (the token
    table counts where it is the output layer as well), and blocks for predicting several tokens. The other
    parts of a model in parts are read too. Raises `InputError` where a file is missing or is no GGUF.
    """
    facts: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for part in _parts(path):
        with _opened(part) as file:
            num_tensors, num_keys = _header(file)
            facts = dict(_metadata(file, num_keys)) | facts
            sizes |= _tensors(file, num_tensors)
    of = f"{_text(facts.get('general.architecture'))}."
    num_experts = facts.get(f"{of}expert_count") or 1
    share = min(1.0, facts.get(f"{of}expert_used_count", num_experts) / num_experts)
    num_blocks = facts.get(f"{of}block_count", 0) - facts.get(f"{of}nextn_predict_layers", 0)
    is_tied = "output.weight" not in sizes
    active = 0.0
    for name, size in sizes.items():
        block = _BLOCK.match(name)
        if (block and int(block[1]) >= num_blocks > 0) or (
            _LOOKED_UP.match(name) and not (is_tied and name.startswith("token_embd"))
        ):
            continue
        active += size * (share if _EXPERTS.search(name) else 1)
    return ModelSize(parameters=float(sum(sizes.values())), active=active)


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
    """…-00001-of-00003.gguf is the first of three."""
    found = re.fullmatch(r"(.*-)\d{5}(-of-(\d{5})\.gguf)", path.name)
    return (
        [path.with_name(f"{found[1]}{i + 1:05}{found[2]}") for i in range(int(found[3]))] if found else [path]
    )


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
    return value.decode() if isinstance(value, bytes) else ""


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
