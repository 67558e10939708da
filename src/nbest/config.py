"""Settings of a run: from a TOML file, from flags, flags winning."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from rapidfuzz import process

from nbest import registry
from nbest.errors import InputError, SpecError
from nbest.protocols import Engine
from nbest.session import Session, engine_of
from nbest.types import Budget


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what a run does. The names are the flags' and the TOML file's."""

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
    concurrency: int = 64
    """Prompts at work at the same time."""
    budget: Budget = Budget()

    @property
    def strategy_spec(self) -> str:
        """The one strategy that `strategy`, `sample` and `select` say. Raises `SpecError`."""
        if self.strategy and (self.sample or self.select):
            raise SpecError("--strategy says it all: leave out --sample and --select")
        if self.strategy:
            return self.strategy
        parts = [f"sampler={self.sample}"] if self.sample else []
        parts += [f"selector={self.select}"] if self.select else []
        return f"parallel({', '.join(parts)})" if parts else "parallel"

    def engines(self) -> dict[str, Engine]:
        """Engines by name, with `model` in the one that answers. Raises `SpecError`."""
        specs = {"policy": self.engine} if isinstance(self.engine, str) else self.engine
        return {
            name: engine_of(spec, model=self.model if name == "policy" else None)
            for name, spec in specs.items()
        }

    def session(self) -> Session:
        """Raises `SpecError` for the first thing that is wrong."""
        if self.sample:
            registry.parse("samplers", self.sample)
        if self.select:
            registry.parse("selectors", self.select)
        return Session(engine=self.engines(), strategy=self.strategy_spec, seed=self.seed, budget=self.budget)


def settings(file: str | None, flags: Mapping[str, Any]) -> Settings:
    """The file's settings with every flag that is not None over them. Raises `InputError`."""
    table: dict[str, Any] = _read(file) if file else {}
    given = {k: v for k, v in flags.items() if v is not None}
    if "strategy" in given or "sample" in given or "select" in given:
        # A strategy on the command line replaces the file's, however each is written.
        kept = {"sample", "select"} - given.keys() if "strategy" not in given else set[str]()
        for key in {"strategy", "sample", "select"} - kept:
            table.pop(key, None)
    budget = {k: given.pop(k) for k in ("samples", "tokens", "seconds") if k in given}
    merged = table | given
    if budget:
        merged["budget"] = cast("dict[str, Any]", merged.get("budget", {})) | budget
    if unknown := merged.keys() - set(Settings.__struct_fields__):
        key = min(unknown)
        near = process.extractOne(key, Settings.__struct_fields__, score_cutoff=60)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"{file}: unknown key {key!r}{hint} Known: {', '.join(Settings.__struct_fields__)}")
    try:
        return msgspec.convert(merged, Settings)
    except msgspec.ValidationError as e:
        raise InputError(f"{file or 'settings'}: {str(e)[0].lower()}{str(e)[1:]}") from None


def _read(file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file}: no such file (--config)") from None
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"{file}: {e}") from None
    except tomllib.TOMLDecodeError as e:
        raise InputError(f"{file}: {e}") from None
