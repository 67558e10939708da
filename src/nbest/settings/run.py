"""Settings of a run: from a TOML file and from flags, which win over the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, cast

import msgspec
from msgspec import Meta

from nbest import registry
from nbest.errors import InputError, NbestError, SpecError
from nbest.protocols import Engine
from nbest.session import Session, engine_of
from nbest.toml_file import TomlFile
from nbest.types import Budget

T = TypeVar("T")

_STRATEGY_KEYS = ("strategy", "sample", "select")
_KINDS = {"strategy": "strategies", "sample": "samplers", "select": "selectors", "engine": "engines"}
"""What the specs under a key are of."""
_GATEWAY_TABLES = ("serve", "presets")
"""Tables that only the gateway reads, in a file that may be of both."""


class BudgetTable(Budget, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Budget`, in which an unknown key is an error."""

    samples: Annotated[int, Meta(ge=0)] | None = None
    tokens: Annotated[int, Meta(ge=0)] | None = None
    seconds: Annotated[float, Meta(ge=0)] | None = None
    input_chars: Annotated[int, Meta(ge=0)] | None = None


class AnswerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What answers a prompt. The names are those of the flags and of the TOML file."""

    engine: str | dict[str, str] = "llamacpp"
    """Spec of the engine that answers, or a table of names to specs (policy, judge, …)."""
    model: str | None = None
    """Model name for the engine that answers."""
    strategy: str | None = None
    sample: str | None = None
    """Short for strategy = parallel(sampler=…)."""
    select: str | None = None
    """Short for strategy = parallel(selector=…)."""
    seed: int = 0
    budget: BudgetTable = BudgetTable()

    @property
    def strategy_spec(self) -> str:
        """The one strategy that `strategy`, `sample` and `select` make. Raises `SpecError`."""
        for name in _STRATEGY_KEYS:
            value = getattr(self, name)
            if value is not None and not value.strip():
                raise SpecError(f"`{name}` is empty: name one, or leave it out")
        if self.strategy and (self.sample or self.select):
            raise SpecError("`strategy` names sampler and selector itself: leave out `sample` and `select`")
        if self.strategy:
            return self.strategy

        parts: list[str] = []
        if self.sample:
            parts.append(f"sampler={self.sample}")
        if self.select:
            parts.append(f"selector={self.select}")
        if not parts:
            return "parallel"
        return f"parallel({', '.join(parts)})"

    @property
    def engine_specs(self) -> dict[str, str]:
        """Specs by name. Raises `SpecError` where there is no policy."""
        if isinstance(self.engine, str):
            return {"policy": self.engine}
        if "policy" not in self.engine:
            named = ", ".join(sorted(self.engine))
            raise SpecError(f"no engine answers: name one  policy  (named: {named})")
        return self.engine

    def engines(self) -> dict[str, Engine]:
        """Engines by name, with `model` in the one that answers. Raises `SpecError`."""
        model_by_name = {"policy": self.model}
        return {
            name: engine_of(spec, model=model_by_name.get(name)) for name, spec in self.engine_specs.items()
        }

    def session(self) -> Session:
        """The session of these settings. Raises `SpecError` for the first thing that is wrong."""
        if self.sample:
            registry.parse("samplers", self.sample)
        if self.select:
            registry.parse("selectors", self.select)
        return Session(engine=self.engines(), strategy=self.strategy_spec, seed=self.seed, budget=self.budget)


class Settings(AnswerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what a run does."""

    concurrency: Annotated[int, Meta(ge=1)] = 64
    """Prompts at work at the same time."""


def settings(file: str | None, flags: Mapping[str, Any]) -> Settings:
    """The file's settings with every flag that is not None over them.

    Raises `InputError`, with the line of the file where it is the file that is wrong.
    """
    toml = TomlFile(file)
    table = {k: v for k, v in toml.table.items() if k not in _GATEWAY_TABLES}
    toml.convert(table, Settings)
    chosen = from_flags(merged(table, flags), Settings)
    check_specs(toml, chosen)
    return chosen


def from_flags(table: Mapping[str, Any], kind: type[T]) -> T:
    """Settings of a table whose part from a file is known to be right. Raises `InputError`."""
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as e:
        problem = str(e)
        raise InputError(f"settings: {problem[0].lower()}{problem[1:]}") from None


def merged(table: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """`table` with the flags that are not None over it.

    A strategy in the flags replaces the file's, whichever way each of them is written.
    """
    kept = dict(table)
    given = {k: v for k, v in flags.items() if v is not None}
    if "strategy" in given:
        replaced = set(_STRATEGY_KEYS)
    elif "sample" in given or "select" in given:
        replaced = {"strategy", *(given.keys() & {"sample", "select"})}
    else:
        replaced = set[str]()
    for key in replaced:
        kept.pop(key, None)

    budget = {k: given.pop(k) for k in ("samples", "tokens", "seconds") if k in given}
    if budget:
        given["budget"] = cast("dict[str, Any]", kept.get("budget", {})) | budget
    return kept | given


def check_specs(toml: TomlFile, chosen: AnswerSettings) -> None:
    """Raises `InputError` for a spec of the file that names nothing, unless a flag replaces it."""
    for key, kind in _KINDS.items():
        if not _is_from_file(key, toml, chosen):
            continue
        value = toml.table[key]
        if isinstance(value, str):
            check_spec(toml, (key,), kind, value)
        else:
            for name, spec in cast("dict[str, str]", value).items():
                check_spec(toml, (key, name), kind, spec)

    _check_key("engine", toml, chosen, lambda: registry.parse("engines", chosen.engine_specs["policy"]))
    _check_key("strategy", toml, chosen, lambda: chosen.strategy_spec)
    _check_key("model", toml, chosen, lambda: engine_of(chosen.engine_specs["policy"], model=chosen.model))


def check_spec(toml: TomlFile, keys: tuple[str, ...], kind: str, spec: str) -> None:
    """Raises `InputError` with the line at `keys` where `spec` names nothing."""
    try:
        registry.parse(kind, spec)
    except NbestError as e:
        raise toml.error(keys, f"{keys[-1]}: {e}") from None


def _check_key(key: str, toml: TomlFile, chosen: AnswerSettings, check: Callable[[], object]) -> None:
    """Raises what `check` raises, with the line of `key` where the file sets it."""
    try:
        check()
    except SpecError as e:
        if _is_from_file(key, toml, chosen):
            raise toml.error((key,), str(e)) from None
        raise


def _is_from_file(key: str, toml: TomlFile, chosen: AnswerSettings) -> bool:
    return toml.table.get(key) is not None and toml.table[key] == getattr(chosen, key)
