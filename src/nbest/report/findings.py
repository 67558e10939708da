"""What a report is made from: runs and pools as numbers, and what a reader browses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from nbest.accounting.meter import Meter
from nbest.errors import InputError
from nbest.evaluate.confidence import Floats
from nbest.evaluate.prompt_index import PromptIndex
from nbest.evaluate.scoring_engines import NOTHING, Scoring
from nbest.report import browse
from nbest.types import Usage


@dataclass(slots=True)
class Run:
    """One run directory: a method, over P prompts."""

    name: str
    """Of its directory."""
    spec: str
    label: str
    """The method, as short as it can be told from the others."""
    sampler: str = ""
    """How the pool was drawn, where the record says so."""
    seeds: set[int] = field(default_factory=set[int])
    values: dict[int, float] = field(default_factory=dict[int, float])
    """Score of the choice, by number of the prompt."""
    tokens: dict[int, int] = field(default_factory=dict[int, int])
    """Spent on the prompt by all roles: input tokens, without what was cached, and output tokens."""
    usage: dict[str, Usage] = field(default_factory=dict[str, Usage])
    """Over all prompts, by role."""
    meter: Meter = field(default_factory=Meter)
    """The same by role, engine and model."""
    seconds: float = 0.0
    num_prompts: int = 0
    num_failed: int = 0
    num_noted: int = 0
    num_truncated: int = 0
    """Prompts whose chosen answer was cut off at `max_tokens`."""

    @property
    def tokens_per_prompt(self) -> float:
        return sum(self.tokens.values()) / self.num_prompts


@dataclass(slots=True)
class Drawn:
    """The draws of one prompt as numbers."""

    run: int
    """The run that showed them first."""
    scores: Floats
    """(num_draws,)."""
    temperatures: list[float | None]
    greedy: float | None
    """Score of the draw at temperature 0."""


@dataclass(slots=True)
class Findings:
    """All that tables, figures and pages are made from."""

    score: str | None
    """Spec of the scorer; None where nothing measures the answers."""
    runs: list[Run] = field(default_factory=list[Run])
    index: PromptIndex = field(default_factory=PromptIndex)
    """The number of each prompt; the places in the lists below."""
    languages: list[str | None] = field(default_factory=list[str | None])
    clusters: list[str] = field(default_factory=list[str])
    pools: list[list[Drawn]] = field(default_factory=list[list[Drawn]])
    """Scored pools of each prompt: one, unless runs sampled on their own."""
    records: list[browse.Record] = field(default_factory=list[browse.Record])
    unscored: str | None = None
    """Why some prompt has no score."""
    scoring: Scoring = NOTHING
    """What scoring the answers has spent now, and what the scorer remarked."""

    @property
    def ids(self) -> list[str]:
        """By number."""
        return self.index.ids

    @property
    def known_languages(self) -> list[str]:
        """Sorted: the order of records is that in which answers came."""
        return sorted({lang for lang in self.languages if lang})

    def run(self, name: str) -> Run:
        """By label, spec, path or directory name. Raises `InputError`."""
        for run in self.runs:
            if name in {run.label, run.spec, run.name, Path(run.name).name}:
                return run
        known = ", ".join(Path(r.name).name for r in self.runs)
        raise InputError(f"`baseline` {name}: no run is called so; known: {known}")
