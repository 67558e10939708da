"""A plan as a TOML file: readable, and checked when it is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec

from nbest import registry
from nbest.errors import InputError, NbestError
from nbest.plan.difficulty import WEIGHT_NAMES, Difficulty
from nbest.plan.plan_fit import Choice
from nbest.suggestions import did_you_mean
from nbest.toml_file import TomlFile
from nbest.types import Value

Effort = Literal["low", "medium", "high"]
LAMBDAS: Final[Mapping[Effort, float]] = {"low": 0.02, "medium": 0.005, "high": 0.001}
"""What one mean answer must gain at each effort, in units of the score."""
_HEAD = """\
# A plan, written by nbest fit plan: use it as planned(FILE) or auto(file=FILE). docs/plans.md explains it.
# Costs and budgets are in mean answers: tokens that were computed over the tokens of a mean answer.
"""
_NEW_LINE_ABOVE = ("choices", "held_out")


class HeldOutRow(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One budget on prompts that the plan was not fitted on. Intervals are at 95 %."""

    budget: float
    value: float
    value_low: float | None = None
    value_high: float | None = None
    cost: float
    single: str
    """The best single strategy, or the one that most folds chose."""
    single_value: float
    single_cost: float
    gain: float
    """`value` less `single_value`, paired by prompt; below 0 it is the regret."""
    gain_low: float | None = None
    gain_high: float | None = None
    oracle_value: float
    """Of a plan that knows the bins of difficulty by other draws' scores."""
    oracle_cost: float
    fixed: str
    """The cheapest pool of a fixed size that has `value` or more; the best one where none has."""
    fixed_value: float
    saved: float
    """Tokens of `fixed` over those of the plan."""
    saved_low: float | None = None
    saved_high: float | None = None


class Plan(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `nbest fit plan` writes, and `planned` and `auto` read."""

    pilot: int
    """Draws that difficulty is predicted from."""
    sampler: str
    """Spec of the sampler that the pilot's draws are of."""
    mean_length: float
    """Output tokens of a mean answer."""
    difficulty: Difficulty
    choices: tuple[Choice, ...]
    scorer: str | None = None
    """Spec of the scorer whose values the features hold."""
    engines: tuple[str, ...] = ()
    """Names of the engines whose draws the plan was fitted on."""
    verifiers: tuple[str, ...] = ()
    """Names of the engines that scored them."""
    efforts: Mapping[Effort, float] = {}
    """Budget by effort."""
    confusion: tuple[tuple[float, ...], ...] = ()
    """Share of the prompts in each predicted bin (rows) and oracle bin (columns), held out."""
    held_out: tuple[HeldOutRow, ...] = ()
    provenance: Mapping[str, Any] = {}

    @property
    def budgets(self) -> tuple[float, ...]:
        """Ascending."""
        return tuple(sorted({choice.budget for choice in self.choices}))

    @property
    def languages(self) -> frozenset[str]:
        """Languages of the prompts that it was fitted on."""
        return frozenset(self.provenance.get("languages", ()))

    @property
    def tasks(self) -> frozenset[str]:
        """Tasks of the prompts that it was fitted on."""
        return frozenset(self.provenance.get("tasks", ()))


def write_plan(plan: Plan, path: Path) -> None:
    """Writes the file. Raises `InputError` where that is not possible."""
    table = cast("dict[str, Any]", msgspec.to_builtins(plan))
    plain = {key: value for key, value in table.items() if not _is_table(value)}
    lines = [_HEAD, *_pairs(plain)]
    for key in ("efforts", "difficulty", "provenance"):
        value = table.get(key)
        if value:
            lines += _table((key,), value)
    for key in _NEW_LINE_ABOVE:
        for row in table.get(key, ()):
            lines += ["", f"[[{key}]]", *_pairs(row)]
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as e:
        raise InputError(f"{path}: {e.strerror}") from None


def read_plan(path: str) -> Plan:
    """The plan, read once for each version of the file. Raises `InputError`, with the line that is wrong."""
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError as e:
        raise InputError(f"{path}: {e.strerror}; nbest fit plan writes such a file") from None
    return _read(path, changed)


@lru_cache(maxsize=64)
def _read(path: str, changed: int) -> Plan:  # noqa: ARG001 (`changed` tells versions apart)
    toml = TomlFile(path)
    plan = toml.convert(toml.table, Plan)
    for name in ("pilot", "mean_length"):
        if not getattr(plan, name) > 0:
            raise toml.error((name,), f"{name} must be above 0")
    _check_spec(toml, ("sampler",), "samplers", plan.sampler)
    if plan.scorer is not None:
        _check_spec(toml, ("scorer",), "scorers", plan.scorer)
    _check_difficulty(toml, plan.difficulty)
    _check_choices(toml, plan)
    for effort, budget in plan.efforts.items():
        if budget not in plan.budgets:
            shown = ", ".join(f"{b:g}" for b in plan.budgets)
            raise toml.error(
                ("efforts", effort), f"efforts.{effort}: no choice has budget {budget:g}; {shown} do"
            )
    return plan


def _check_difficulty(toml: TomlFile, difficulty: Difficulty) -> None:
    for name, weight in difficulty.weights.items():
        keys = ("difficulty", "weights", name)
        if name not in WEIGHT_NAMES:
            raise toml.error(keys, f"unknown weight {name!r}{did_you_mean(name, WEIGHT_NAMES)}")
        if not isfinite(weight):
            raise toml.error(keys, f"{name} must be a finite number")
    if list(difficulty.edges) != sorted(set(difficulty.edges), reverse=True):
        raise toml.error(("difficulty", "edges"), "edges must descend")


def _check_choices(toml: TomlFile, plan: Plan) -> None:
    """Each spec names a strategy, and each budget has a choice for all prompts of each bin."""
    if not plan.choices:
        raise toml.error((), "the plan has no choices")
    for i, choice in enumerate(plan.choices):
        if not 1 <= choice.bin <= plan.difficulty.num_bins:
            message = f"bin must be between 1 and {plan.difficulty.num_bins}, got {choice.bin}"
            raise toml.error(("choices", i, "bin"), message)
        _check_spec(toml, ("choices", i, "strategy"), "strategies", choice.strategy)

    general = {(c.budget, c.bin) for c in plan.choices if c.language is None and c.task is None}
    for budget in plan.budgets:
        for bin_ in range(1, plan.difficulty.num_bins + 1):
            if (budget, bin_) not in general:
                raise toml.error(
                    ("choices",), f"no choice for bin {bin_} at budget {budget:g} without language and task"
                )


def _check_spec(toml: TomlFile, keys: tuple[str | int, ...], kind: str, spec: str) -> None:
    try:
        registry.parse(kind, spec)
    except NbestError as e:
        raise toml.error(keys, f"{keys[-1]}: {e}") from None


def _is_table(value: Any) -> bool:
    """Whether TOML writes a value as a table, or several of them."""
    if isinstance(value, dict):
        return True
    is_list = isinstance(value, list | tuple)
    return is_list and any(isinstance(item, dict) for item in cast("list[Any]", value))


def _table(keys: tuple[str, ...], table: Mapping[str, Any]) -> list[str]:
    """A table and those within it."""
    plain = {key: value for key, value in table.items() if not _is_table(value)}
    lines = ["", f"[{'.'.join(map(_key, keys))}]", *_pairs(plain)]
    for key, value in table.items():
        if _is_table(value):
            lines += _table((*keys, key), value)
    return lines


def _pairs(table: Mapping[str, Any]) -> Iterable[str]:
    return (f"{_key(key)} = {_text(value)}" for key, value in table.items() if value is not None)


def _key(key: str) -> str:
    is_bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    if is_bare:
        return key
    return json.dumps(key, ensure_ascii=False)


def _text(value: Any) -> str:
    """A number, text, truth value, or list of them, as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        shown = f"{value:.6g}"
        if shown.lstrip("-").isdigit():
            return f"{shown}.0"
        return shown
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, cast('list[Any]', value)))}]"
    return str(value)
