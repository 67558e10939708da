"""Optional packages, imported when they are first needed."""

from __future__ import annotations

import importlib
from typing import Any

from nbest.errors import MissingExtraError


def optional(module: str, extra: str) -> Any:
    """The module. Raises `MissingExtraError` with the install line where it is not there."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(module.partition(".")[0], extra) from None
