"""Reads the first facts of a GGUF file, without loading it.

Source: the GGUF specification, version 3 (ggml/docs/gguf.md).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from nbest.errors import InputError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


def read_context_length(path: Path) -> int | None:
    """How many tokens the model was trained to see; None where the file does not say.

    Raises `InputError` where the file is missing or is no GGUF.
    """
    try:
        with path.open("rb") as file:
            return _context_length(file)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file (a GGUF model is expected)") from None
    except OSError as e:
        raise InputError(f"{path}: {e.strerror} (a GGUF model is expected)") from None
    except (struct.error, UnicodeDecodeError, KeyError, MemoryError, OverflowError):
        raise InputError(f"{path}: damaged or no GGUF model") from None


def _context_length(file: BinaryIO) -> int | None:
    magic, version, _, num_keys = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version < 2:  # noqa: PLR2004
        raise KeyError(magic)
    for _ in range(num_keys):
        key = _string(file).decode()
        value = _value(file, _scalar(file, "I"))
        if key.endswith(".context_length"):  # stands before the vocabulary, which is long
            return int(value)
    return None


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
