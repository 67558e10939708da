"""A fitted stopping rule as a TOML file: readable, and checked when it is read."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import log
from pathlib import Path
from typing import Any, cast

import msgspec

from nbest.errors import InputError
from nbest.plan.stop_policy import WEIGHT_NAMES, StopPolicy
from nbest.suggestions import did_you_mean
from nbest.types import Value

_DIGITS = 6


class HeldOut(Value, frozen=True, kw_only=True, rename={"lam": "lambda"}):
    """What the rule does at one λ on prompts that it was not fitted on, beside the best published rule there."""

    lam: float
    value: float
    """Score of the choice."""
    draws: float
    tokens: float
    """Output tokens, in mean answers."""
    fixed_n: int
    """The number of draws that is best at this λ on all prompts; `fixed_value` is of those chosen on the other fold."""
    fixed_value: float
    b: float
    """Of `bayes_factor`: the best on all prompts; `rule_value` and `rule_tokens` are of those chosen on the other fold."""
    rule_value: float
    rule_tokens: float
    is_behind: bool = False
    """Whether the published rule is better here by more than half a standard error, and so decides."""


class StopFile(Value, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"lam": "lambda"}):
    """What `nbest fit stop` writes and `learned` reads."""

    lam: float
    """What one mean answer must gain, in units of the score."""
    mean_length: float
    """Output tokens of a mean answer."""
    num_draws: int
    """Draws up to which it was fitted; beyond them `bayes_factor(b)` decides."""
    b: float
    weights: Mapping[str, float]
    tasks: Mapping[str, float] = {}
    languages: Mapping[str, float] = {}
    provenance: Mapping[str, Any] = {}
    held_out: tuple[HeldOut, ...] = ()

    def b_at(self, lam: float) -> float | None:
        """Threshold of the published rule, where it decides at λ; None where the weights do.

        It decides where it was better on held-out prompts at the nearest λ of the table.
        """
        nearest = min(self.held_out, key=lambda row: abs(log(row.lam / lam)), default=None)
        if nearest is None or not nearest.is_behind:
            return None
        return nearest.b

    @property
    def policy(self) -> StopPolicy:
        return StopPolicy(
            weights=self.weights,
            tasks=self.tasks,
            languages=self.languages,
            mean_length=self.mean_length,
            num_draws=self.num_draws,
        )


def write_stop(file: StopFile, path: Path) -> None:
    """Writes the file. Raises `InputError` where that is not possible."""
    lines = [
        "# A stopping rule, written by nbest fit stop: use it as learned(FILE).",
        "# Drawing goes on where the sum of weight times number is above log(lambda);",
        "# lambda is what one mean answer must gain. docs/stopping.md says what the numbers are.",
        "",
    ]
    head = {
        "lambda": file.lam,
        "mean_length": file.mean_length,
        "num_draws": file.num_draws,
        "b": file.b,
    }
    lines += [*_pairs(head), "", "[weights]", *_pairs(file.weights)]
    for title, table in (("tasks", file.tasks), ("languages", file.languages)):
        if table:
            lines += ["", f"[{title}]", *_pairs(table)]
    if file.provenance:
        lines += ["", "[provenance]", *_pairs(file.provenance)]
    for row in file.held_out:
        lines += ["", "[[held_out]]", *_pairs(msgspec.to_builtins(row))]
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as e:
        raise InputError(f"{path}: {e.strerror}") from None


def read_stop(path: str) -> StopFile:
    """The file, read once for each version of it. Raises `InputError` for one that is missing or malformed."""
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError as e:
        raise InputError(f"{path}: {e.strerror}; nbest fit stop writes such a file") from None
    return _read(path, changed)


@lru_cache(maxsize=64)
def _read(path: str, changed: int) -> StopFile:  # noqa: ARG001 (`changed` tells versions apart)
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        file = msgspec.convert(table, StopFile)
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as e:
        raise InputError(f"{path}: {e}") from None

    lambdas = [file.lam, *(row.lam for row in file.held_out)]
    if (
        not all(lam > 0 for lam in lambdas)
        or not file.mean_length > 0
        or not file.b > 0
        or file.num_draws < 1
    ):
        raise InputError(f"{path}: lambda, mean_length and b must be above 0, num_draws at least 1")
    for name in file.weights:
        if name not in WEIGHT_NAMES:
            raise InputError(f"{path}: unknown weight {name!r}{did_you_mean(name, WEIGHT_NAMES)}")
    return file


def _pairs(table: Mapping[str, Any]) -> Iterable[str]:
    return (f"{_key(key)} = {_text(value)}" for key, value in table.items())


def _key(key: str) -> str:
    is_bare = key.replace("_", "").replace("-", "").isalnum() and key.isascii()
    return key if is_bare else json.dumps(key, ensure_ascii=False)


def _text(value: Any) -> str:
    """A number, text, truth value, or list of them, as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        shown = f"{value:.{_DIGITS}g}"
        is_whole = shown.lstrip("-").isdigit()
        return f"{shown}.0" if is_whole else shown
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, cast('list[Any]', value)))}]"
    return str(value)
