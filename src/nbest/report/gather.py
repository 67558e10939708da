"""Run directories to numbers: scores of every choice and candidate, spending by role, what a reader browses.

Runs are read one after another, an outcome at a time; what is kept of a prompt is a few numbers and its
compact record for the browser. Pools that several runs chose from are scored, and kept, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import cast

import numpy as np

from nbest import registry
from nbest.errors import CapabilityError, InputError, NbestError, RecordsError
from nbest.evaluate.estimators import draws_of
from nbest.evaluate.intervals import Floats
from nbest.evaluate.scores import cluster_of, pool_of, score_spec, scores_of
from nbest.protocols import Scorer
from nbest.records import read_manifest, read_outcomes
from nbest.report import browse
from nbest.scoring.oracle import Oracle
from nbest.scoring.reference_oracle import ReferenceOracle
from nbest.types import Outcome, Usage


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
    """Spent on the prompt: read, without what was cached, and drawn, by all roles."""
    usage: dict[str, Usage] = field(default_factory=dict[str, Usage])
    """Over all prompts, by role."""
    seconds: float = 0.0
    num_prompts: int = 0
    num_failed: int = 0
    num_noted: int = 0


@dataclass(slots=True)
class Drawn:
    """One prompt's pool as numbers."""

    run: int
    """The run that showed it first."""
    scores: Floats
    """(num_candidates,)."""
    temperatures: list[float | None]
    greedy: float | None
    """Score of the candidate at temperature 0."""


@dataclass(slots=True)
class Findings:
    """All that tables, figures and pages are made from."""

    score: str | None
    """Spec of the scorer; None where nothing measures the answers."""
    runs: list[Run] = field(default_factory=list[Run])
    ids: dict[str, int] = field(default_factory=dict[str, int])
    """Number of each prompt, by id, as they came."""
    languages: list[str | None] = field(default_factory=list[str | None])
    clusters: list[str] = field(default_factory=list[str])
    pools: list[list[Drawn]] = field(default_factory=list[list[Drawn]])
    """Scored pools of each prompt: one, unless runs sampled on their own."""
    records: list[browse.Record] = field(default_factory=list[browse.Record])
    unscored: str | None = None
    """Why some prompt has no score."""

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
        raise InputError(f"--baseline {name}: no run is called so; known: {known}")


async def gather(
    paths: Sequence[Path],
    *,
    score: str | None = None,
    cluster: str | None = None,
    on_outcome: Callable[[], object] = lambda: None,
) -> Findings:
    """Reads runs; `score` and `cluster` as `nbest compare` takes them.

    Without `score` and without an answer or reference in the first row, nothing is scored. Raises
    `RecordsError` for what is no run, `InputError` where a prompt id names different prompts or no run
    holds an outcome, and `CapabilityError` where a given `score` fits no prompt. Prompts that lack what a
    scorer reads are shown without a score.
    """
    found: Findings | None = None
    scorer: Scorer | None = None
    for path in paths:
        origin = _origin(path)
        for outcome in read_outcomes(path):
            if found is None:
                found = Findings(score=_score(score, outcome))
                scorer = registry.parse("scorers", found.score) if found.score else None
            if not found.runs or found.runs[-1].name != str(path):
                found.runs.append(_run(path, outcome, origin))
            await _add(found, outcome, scorer, cluster)
            on_outcome()
    if found is None:
        raise InputError(f"nothing is recorded in {', '.join(map(str, paths))}")
    if score is not None and found.unscored and not any(found.pools):
        raise CapabilityError(found.unscored)
    _shorten(found.runs)
    return found


async def _add(found: Findings, outcome: Outcome, scorer: Scorer | None, cluster: str | None) -> None:
    run, pool = found.runs[-1], pool_of(outcome)
    number = found.ids.setdefault(outcome.prompt.id, len(found.ids))
    if number == len(found.records):
        found.languages.append(outcome.prompt.language)
        found.clusters.append(cluster_of(pool, cluster))
        found.pools.append([])
        found.records.append(browse.Record(pool))
    record = found.records[number]
    if record.prompt_key != browse.prompt_key(outcome.prompt):
        raise InputError(
            f"{run.name} and an earlier run have different prompts under id {outcome.prompt.id!r}"
        )
    key = blake2b(
        "\0".join(f"{c.id} {c.text}" for c in outcome.candidates).encode("utf-8", "surrogatepass")
    ).digest()
    if key not in record.places:
        scores: dict[int, float | None] = {}
        try:
            scores = await scores_of(pool, scorer) if scorer else {}
        except CapabilityError as e:
            found.unscored = str(e)
        record.add_pool(key, outcome.candidates, scores, len(found.runs) - 1)
        if known := _drawn(outcome, scores, len(found.runs) - 1):
            found.pools[number].append(known)
    place = record.places[key]
    value = await _value(outcome, record.scores[place], scorer)
    record.add_choice(outcome, place, len(found.runs) - 1, value)
    if value is not None:
        run.values[number] = value
    run.num_prompts += 1
    run.num_failed += outcome.selection is None
    run.num_noted += bool(outcome.notes)
    run.seconds += outcome.seconds
    run.seeds.add(outcome.seed)
    run.tokens[number] = sum(u.prompt - u.cached + u.completion for u in outcome.usage.values())
    for role, usage in outcome.usage.items():
        run.usage[role] = run.usage.get(role, Usage()) + usage


async def _value(outcome: Outcome, scores: Mapping[int, float | None], scorer: Scorer | None) -> float | None:
    """Score of the choice; of the worst candidate where nothing was chosen; None where it is not known.

    Against ground truth, no answer from no candidate at all scores 0.
    """
    known = [s for s in scores.values() if s is not None]
    if scorer is None or (outcome.candidates and not known):
        return None
    if outcome.selection is None:
        return min(known) if known else 0.0 if isinstance(scorer, Oracle | ReferenceOracle) else None
    winner = outcome.selection.winner
    if any(c.id == winner.id and c.text == winner.text for c in outcome.candidates):
        return scores.get(winner.id)
    return (await scores_of(pool_of(outcome), scorer, (winner,)))[winner.id]


def _drawn(outcome: Outcome, scores: dict[int, float | None], run: int) -> Drawn | None:
    """Of the candidates that were drawn as answers: not made from others, nor evidence in another language.

    None where there is none, or one has no score.
    """
    language = outcome.prompt.language
    kept = [c for c in draws_of(outcome.candidates) if c.language in {None, language}]
    values = [scores.get(c.id) for c in kept]
    if not kept or None in values:
        return None
    temperatures = [c.params.temperature if c.params else None for c in kept]
    known = cast("list[float]", values)
    greedy = next((v for v, t in zip(known, temperatures, strict=True) if t == 0), None)
    return Drawn(run, np.array(known), temperatures, greedy)


def _score(given: str | None, outcome: Outcome) -> str | None:
    try:
        return score_spec(given, pool_of(outcome))
    except InputError:
        if given is not None:
            raise
        return None


def _origin(path: Path) -> str:
    """Where a run of `nbest select` took its pools from; empty for a run that drew them."""
    config = read_manifest(path).get("config")
    if not isinstance(config, dict):
        raise RecordsError(f"{path}/manifest.json says no configuration")
    return Path(str(cast("dict[str, object]", config).get("pools", ""))).name


def _run(path: Path, outcome: Outcome, origin: str) -> Run:
    spec, sampler = outcome.strategy, ""
    try:
        if registry.names_plugin("selectors", spec):  # chosen from a recorded pool: nothing was drawn
            return Run(name=str(path), spec=spec, label=spec, sampler=origin)
        strategy = registry.parse("strategies", spec)
        sampler = registry.spec_of(strategy.sampler)
        label = f"{sampler} → {registry.spec_of(strategy.selector)}"
    except (NbestError, AttributeError):
        label = spec
    return Run(name=str(path), spec=spec, label=label, sampler=sampler or origin)


def _shorten(runs: Sequence[Run]) -> None:
    """Labels that are the same get the name of the directory as well."""
    labels = [r.label for r in runs]
    for run in runs:
        if labels.count(run.label) > 1:
            run.label = f"{run.label} ({Path(run.name).name})"
    if len({r.label for r in runs}) < len(runs):
        for run in runs:
            run.label = f"{run.spec} ({run.name})"
