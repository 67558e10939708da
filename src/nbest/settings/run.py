"""Settings of a run: from a TOML file, from flags, flags winning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

import msgspec
from msgspec import Meta

from nbest import registry
from nbest.errors import InputError, NbestError, SpecError
from nbest.protocols import Engine
from nbest.session import Session, engine_of
from nbest.settings.toml import TomlFile
from nbest.types import Budget

T = TypeVar("T")

_KINDS = {"strategy": "strategies", "sample": "samplers", "select": "selectors", "engine": "engines"}
_OF_THE_GATEWAY = ("serve", "presets")
"""Tables that the gateway reads, in a file that may serve both."""


class BudgetTable(Budget, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Budget`, which a typing error does not get past."""

    samples: Annotated[int, Meta(ge=0)] | None = None
    tokens: Annotated[int, Meta(ge=0)] | None = None
    seconds: Annotated[float, Meta(ge=0)] | None = None


class AnswerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What answers a prompt. The names are the flags' and the TOML file's."""

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
        """The one strategy that `strategy`, `sample` and `select` say. Raises `SpecError`."""
        for name in ("strategy", "sample", "select"):
            if getattr(self, name) is not None and not getattr(self, name).strip():
                raise SpecError(f"{name} is empty: name one, or leave it out")
        if self.strategy and (self.sample or self.select):
            raise SpecError("--strategy says it all: leave out --sample and --select")
        if self.strategy:
            return self.strategy
        parts = [f"sampler={self.sample}"] if self.sample else []
        parts += [f"selector={self.select}"] if self.select else []
        return f"parallel({', '.join(parts)})" if parts else "parallel"

    @property
    def engine_specs(self) -> dict[str, str]:
        """By name. Raises `SpecError` where none answers."""
        specs = {"policy": self.engine} if isinstance(self.engine, str) else self.engine
        if "policy" not in specs:
            raise SpecError(f"no engine answers: name one  policy  (named: {', '.join(sorted(specs))})")
        return specs

    def engines(self) -> dict[str, Engine]:
        """Engines by name, with `model` in the one that answers. Raises `SpecError`."""
        return {
            name: engine_of(spec, model=self.model if name == "policy" else None)
            for name, spec in self.engine_specs.items()
        }

    def session(self) -> Session:
        """Raises `SpecError` for the first thing that is wrong."""
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

    Raises `InputError`, for what the file says with the line that says it.
    """
    if file is None:
        return from_flags(merged({}, flags), Settings)
    toml = TomlFile(file)
    table = {k: v for k, v in toml.table.items() if k not in _OF_THE_GATEWAY}
    toml.convert(table, Settings)
    chosen = from_flags(merged(table, flags), Settings)
    check_specs(toml, chosen)
    return chosen


def from_flags(table: Mapping[str, Any], kind: type[T]) -> T:
    """Settings whose part from a file is known to be right. Raises `InputError`."""
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as e:
        raise InputError(f"settings: {str(e)[0].lower()}{str(e)[1:]}") from None


def merged(table: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """`table` with the flags that are not None over it."""
    kept, given = dict(table), {k: v for k, v in flags.items() if v is not None}
    if "strategy" in given or "sample" in given or "select" in given:
        # A strategy on the command line replaces the file's, however each is written.
        parts = {"sample", "select"} - given.keys() if "strategy" not in given else set[str]()
        for key in {"strategy", "sample", "select"} - parts:
            kept.pop(key, None)
    budget = {k: given.pop(k) for k in ("samples", "tokens", "seconds") if k in given}
    if budget:
        given["budget"] = cast("dict[str, Any]", kept.get("budget", {})) | budget
    return kept | given


def check_specs(toml: TomlFile, chosen: AnswerSettings) -> None:
    """Raises `InputError` for a spec that the file says, no flag replaces, and names nothing."""
    for key, kind in _KINDS.items():
        said = toml.table.get(key)
        if said is None or said != getattr(chosen, key):
            continue
        if isinstance(said, str):
            check_spec(toml, (key,), kind, said)
        else:
            for name, spec in cast("dict[str, str]", said).items():
                check_spec(toml, (key, name), kind, spec)
    for key, told in (
        ("engine", lambda: registry.parse("engines", chosen.engine_specs["policy"])),
        ("strategy", lambda: chosen.strategy_spec),
        ("model", lambda: engine_of(chosen.engine_specs["policy"], model=chosen.model)),
    ):
        try:
            told()
        except SpecError as e:
            if key in toml.table and toml.table[key] == getattr(chosen, key):
                raise toml.error((key,), str(e)) from None
            raise


def check_spec(toml: TomlFile, keys: tuple[str, ...], kind: str, spec: str) -> None:
    """Raises `InputError` with the line at `keys` where `spec` names nothing."""
    try:
        registry.parse(kind, spec)
    except NbestError as e:
        raise toml.error(keys, f"{keys[-1]}: {e}") from None
