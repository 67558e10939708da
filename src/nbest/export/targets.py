"""The command `nbest export`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from nbest.errors import InputError
from nbest.export import inspect_log, lm_eval, trackers
from nbest.export.source import Source, source_of
from nbest.suggestions import did_you_mean

FILES: Final[Mapping[str, Callable[[Source, Path], Sequence[Path]]]] = {
    "inspect": inspect_log.write,
    "lm-eval": lm_eval.write,
}
TRACKERS: Final[Mapping[str, Callable[[Source], Sequence[str]]]] = {
    "mlflow": trackers.mlflow,
    "wandb": trackers.wandb,
}


def export(run: Path, to: str, out: Path | None) -> list[str]:
    """Gives what was written, and where. Raises `NbestError` for what the user can mend."""
    known = sorted({*FILES, *TRACKERS})
    if to not in known:
        raise InputError(f"unknown format {to!r}{did_you_mean(to, known)}")
    source = source_of(run)
    if to in TRACKERS:
        if out is not None:
            raise InputError(f"`out` has no meaning for {to}: its own environment variables say where to log")
        return list(TRACKERS[to](source))
    if out is None:
        raise InputError(f"{to} writes files: name the directory as `out`")
    try:
        return [str(file) for file in FILES[to](source, out)]
    except OSError as e:
        raise InputError(f"{out}: cannot be written ({e.strerror})") from None
