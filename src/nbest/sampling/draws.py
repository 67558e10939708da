"""Pools drawn at once, with parameters by language and task."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Self

import msgspec

from nbest.errors import InputError
from nbest.protocols import ServerPath
from nbest.types import Prompt, Request, SamplingParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """What every sampler can be told."""

    n: int = 5
    """Size of the pool."""
    min_p: float = 0.0
    """Keep tokens with p ≥ min_p · max p (Nguyen et al. 2024, arXiv 2407.01082)."""
    top_p: float = 1.0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    table: ServerPath | None = None
    """TOML file of parameters by language and task: rows `[[params]]` with `language`, `task` (both
    optional) and any parameter of the sampler; the row that names most of the two wins."""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")
        for name in ("temperature", "low", "high"):
            SamplingParams(temperature=getattr(self, name, 0.0))
        SamplingParams(top_p=self.top_p, min_p=self.min_p, max_tokens=self.max_tokens)

    def tuned(self, prompt: Prompt) -> Self:
        """This sampler with the table's parameters for the prompt's language and task."""
        if self.table is None:
            return self
        rows = [r for r in _rows(self.table) if _fits(r, prompt)]
        if not rows:
            return self
        best = max(rows, key=lambda r: ("language" in r) * 2 + ("task" in r))
        changes = {k: v for k, v in best.items() if k not in {"language", "task"}}
        known = {f.name for f in dataclasses.fields(self)} - {"table"}
        if unknown := changes.keys() - known:
            raise InputError(
                f"{self.table}: {', '.join(sorted(unknown))} is no parameter of"
                f" {type(self).__name__.lower()}; known: {', '.join(sorted(known))}"
            )
        try:
            return dataclasses.replace(self, **changes)
        except (TypeError, ValueError) as e:
            raise InputError(f"{self.table}: {e}") from None

    def _request(self, prompt: Prompt, *, n: int, temperature: float, seed: int | None) -> Request:
        is_greedy = temperature == 0
        params = SamplingParams(
            temperature=temperature,
            top_p=1.0 if is_greedy else self.top_p,
            min_p=0.0 if is_greedy else self.min_p,
            max_tokens=self.max_tokens,
            stop=self.stop,
            seed=seed,
        )
        return Request(prompt=prompt, n=n, params=params)


@dataclass(frozen=True, slots=True, kw_only=True)
class Greedy(Draws):
    """One completion at temperature 0: what users get today."""

    is_open_to_clients: ClassVar[bool] = True

    n: int = 1

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]:
        return [self.tuned(prompt)._request(prompt, n=1, temperature=0.0, seed=None)]

    def __post_init__(self) -> None:
        Draws.__post_init__(self)
        if self.n != 1:
            raise ValueError(f"greedy draws the same text every time, so n must be 1, got {self.n}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Iid(Draws):
    """N completions at one temperature."""

    is_open_to_clients: ClassVar[bool] = True

    temperature: float = 0.7

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]:
        s = self.tuned(prompt)
        return [s._request(prompt, n=s.n, temperature=s.temperature, seed=_seed(rng))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedged(Draws):
    """1 greedy completion and N−1 stochastic ones with min-p (Khairi et al. 2025, arXiv 2506.20544)."""

    is_open_to_clients: ClassVar[bool] = True

    temperature: float = 0.7
    min_p: float = 0.1

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]:
        s = self.tuned(prompt)
        greedy = s._request(prompt, n=1, temperature=0.0, seed=None)
        if s.n == 1:
            return [greedy]
        return [greedy, s._request(prompt, n=s.n - 1, temperature=s.temperature, seed=_seed(rng))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder(Draws):
    """N completions, temperatures spread evenly over [low, high], or an explicit list.

    Khairi et al. 2025, arXiv 2506.20544 (multi-temperature sampling).
    """

    is_open_to_clients: ClassVar[bool] = True

    low: float = 0.3
    high: float = 1.0
    temperatures: tuple[float, ...] = ()
    """Taken in turn instead of the even spread."""

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]:
        s = self.tuned(prompt)
        seed = _seed(rng)
        rungs = s.temperatures or [s.low + (s.high - s.low) * i / max(1, s.n - 1) for i in range(s.n)]
        return [s._request(prompt, n=1, temperature=rungs[i % len(rungs)], seed=seed + i) for i in range(s.n)]


def _seed(rng: Random) -> int:
    return rng.getrandbits(31)


def _fits(row: Mapping[str, Any], prompt: Prompt) -> bool:
    return (
        row.get("language", prompt.language) == prompt.language
        and row.get("task", prompt.task) == prompt.task
    )


@cache
def _rows(path: str) -> list[dict[str, Any]]:
    try:
        rows = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("params", [])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file (the sampler's table)") from None
    except tomllib.TOMLDecodeError as e:
        raise InputError(f"{path}: {e}") from None
    try:
        return msgspec.convert(rows, list[dict[str, Any]])
    except msgspec.ValidationError:
        raise InputError(f"{path}: write each row as  [[params]]") from None
