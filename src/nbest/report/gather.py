"""Run directories to findings: scores of every choice and draw, spending by role, what a reader browses.

Runs are read one after another, some outcomes at a time; what is kept of a prompt is a few numbers and its
compact record for the browser. Pools that several runs chose from are scored, and kept, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Final, cast

from nbest import registry
from nbest.accounting.costs import num_computed
from nbest.accounting.meter import spent_of
from nbest.errors import CapabilityError, InputError, RecordsError
from nbest.evaluate.ingestion import MeasuredPrompt, ingest
from nbest.evaluate.method import method_of
from nbest.evaluate.prompt_index import contents_of
from nbest.evaluate.scores import cluster_of, pool_of, score_spec
from nbest.evaluate.scoring_engines import ScoringEngines
from nbest.protocols import Scorer
from nbest.records import read_manifest, read_outcomes, recorded_prompts
from nbest.report import browse
from nbest.report.findings import Drawn, Findings, Run
from nbest.types import Candidate, Outcome, Usage

_BATCH: Final = 64


async def gather(
    paths: Sequence[Path],
    *,
    score: str | None = None,
    cluster: str | None = None,
    engines: ScoringEngines | None = None,
    on_outcome: Callable[[], object] = lambda: None,
) -> Findings:
    """Reads runs; `score`, `cluster` and `engines` as `nbest compare` takes them.

    Without `score` and without an answer or reference in the first row, nothing is scored. Prompts that lack
    what a scorer reads are shown without a score. Raises `RecordsError` for what is no run, `InputError` where
    a prompt id names different prompts or no run holds an outcome, and `CapabilityError` where a given `score`
    fits no prompt, or needs an engine that is not given.
    """
    engines = engines or ScoringEngines()
    found: Findings | None = None
    scorer: Scorer | None = None
    for path in paths:
        origin = _origin(path)
        number_by_id: dict[str, int] | None = None
        for outcomes in _batches(read_outcomes(path)):
            if found is None:
                found = Findings(score=_score(score, outcomes[0]))
                if found.score:
                    scorer = registry.parse("scorers", found.score)
            if number_by_id is None:
                found.runs.append(_run(path, outcomes[0], origin))
                number_by_id = found.index.add(str(path), contents_of(recorded_prompts(path)))
                _make_room(found)
            numbers = [number_by_id[outcome.prompt.id] for outcome in outcomes]
            await _add(found, outcomes, numbers, scorer, cluster, engines)
            for _ in outcomes:
                on_outcome()
    if found is None:
        raise InputError(f"nothing is recorded in {', '.join(map(str, paths))}")
    if score is not None and found.unscored and not any(found.pools):
        raise CapabilityError(found.unscored)
    found.scoring = engines.take()
    _shorten(found.runs)
    return found


def _make_room(found: Findings) -> None:
    """Places for the prompts that a run has added to the index, which its outcomes fill."""
    num_new = len(found.ids) - len(found.records)
    found.languages += [None] * num_new
    found.clusters += [""] * num_new
    found.pools += [[] for _ in range(num_new)]
    found.records += [browse.Record() for _ in range(num_new)]


def _batches(outcomes: Iterable[Outcome]) -> Iterator[list[Outcome]]:
    """So many outcomes are in memory at a time."""
    waiting = iter(outcomes)
    return iter(lambda: list(islice(waiting, _BATCH)), [])


async def _add(
    found: Findings,
    outcomes: Sequence[Outcome],
    numbers: Sequence[int],
    scorer: Scorer | None,
    cluster: str | None,
    engines: ScoringEngines,
) -> None:
    """Adds outcomes of the last run, whose prompts have these numbers."""
    for outcome, number in zip(outcomes, numbers, strict=True):
        record = found.records[number]
        if not record.is_begun:
            pool = pool_of(outcome)
            found.languages[number] = outcome.prompt.language
            found.clusters[number] = cluster_of(pool, cluster)
            record.begin(pool)

    async def read(row: tuple[Outcome, int]) -> MeasuredPrompt:
        outcome, number = row
        record = found.records[number]
        place = record.places.get(_fingerprint(outcome.candidates))
        known = None
        if place is not None:
            known = record.scores[place]
        return await ingest(outcome, scorer, scores_all=True, known=known, engines=engines)

    rows = list(zip(outcomes, numbers, strict=True))
    for measured, number in zip(await engines.in_order(rows, read), numbers, strict=True):
        _add_measured(found, measured, number)


def _add_measured(found: Findings, measured: MeasuredPrompt, number: int) -> None:
    run = len(found.runs) - 1
    record = found.records[number]
    found.unscored = found.unscored or measured.why_unscored
    key = _fingerprint(measured.outcome.candidates)
    place = record.places.get(key)
    if place is None:
        place = record.add_pool(key, measured.outcome, measured.scores, run)
        drawn = _drawn(measured, run)
        if drawn is not None:
            found.pools[number].append(drawn)
    record.add_choice(measured.outcome, place, run, measured.value)
    _count(found.runs[run], measured, number)


def _count(run: Run, measured: MeasuredPrompt, number: int) -> None:
    outcome = measured.outcome
    if measured.value is not None:
        run.values[number] = measured.value
    run.num_prompts += 1
    run.num_failed += outcome.selection is None
    run.num_noted += bool(outcome.notes)
    run.num_truncated += measured.is_truncated
    run.seconds += outcome.seconds
    run.seeds.add(outcome.seed)
    run.tokens[number] = sum(num_computed(spent) for spent in spent_of(outcome))
    for role, usage in outcome.usage.items():
        run.usage[role] = run.usage.get(role, Usage()) + usage
    for part in spent_of(outcome):
        run.meter.add_spent(part)


def _fingerprint(candidates: Sequence[Candidate]) -> bytes:
    """Equal for pools of the same texts."""
    texts = "\0".join(f"{c.id} {c.text}" for c in candidates)
    return blake2b(texts.encode("utf-8", "surrogatepass")).digest()


def _drawn(measured: MeasuredPrompt, run: int) -> Drawn | None:
    scores = measured.draw_scores
    if scores is None:
        return None
    temperatures = [c.params.temperature if c.params else None for c in measured.draws]
    return Drawn(run, scores, temperatures, measured.greedy)


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
    method = method_of(outcome.strategy)
    return Run(name=str(path), spec=outcome.strategy, label=method.label, sampler=method.sampler or origin)


def _shorten(runs: Sequence[Run]) -> None:
    """Labels that are the same get the name of the directory as well."""
    labels = [r.label for r in runs]
    for run in runs:
        if labels.count(run.label) > 1:
            run.label = f"{run.label} ({Path(run.name).name})"
    if len({r.label for r in runs}) < len(runs):
        for run in runs:
            run.label = f"{run.spec} ({run.name})"
