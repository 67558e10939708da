"""A recorded run as columns of numbers.

Read as a stream: a hundred thousand outcomes fit into memory as numbers where their texts would not.
"""

from __future__ import annotations

import multiprocessing
import zlib
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, cast

import numpy as np

from nbest.accounting.costs import Costs
from nbest.errors import InputError
from nbest.evaluate.confidence import Bools, Floats
from nbest.evaluate.measures import Columns, Row, measure
from nbest.evaluate.method import can_choose_again
from nbest.evaluate.prompt_index import content_of
from nbest.evaluate.scores import ACCURACY, CLUSTER, REFERENCE, pool_of, score_spec
from nbest.evaluate.scoring_engines import NOTHING, Scoring, ScoringEngines
from nbest.records import read_manifest, read_outcomes
from nbest.types import Json, Outcome, replace

MOST_LANGUAGE_CHECKS: Final = 20_000
"""About so many chosen texts of a run have their language judged; of larger runs a share, by a hash of the id."""
MOST_CHOSEN_AGAIN: Final = 1_000
"""About so many prompts of a run are chosen for again from smaller pools, of larger runs a share in the same way."""
_BATCH: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """P prompts and their measures."""

    name: str
    scorer: str | None
    """Spec of what measured the answers; None where nothing could."""
    ids: list[str]
    contents: list[bytes]
    """What each prompt asks, as `PromptIndex` compares it."""
    languages: list[str | None]
    tasks: list[str | None]
    clusters: list[Hashable]
    """Prompts with equal keys stand together; by default each is its own."""
    cluster_column: str | None
    """Where the keys come from; None where each prompt stands alone."""
    columns: Mapping[str, tuple[Floats, Bools]]
    """Measure → its values, and where they are known."""
    scoring: Scoring = NOTHING
    """What scoring the answers has spent now, and what the scorer remarked."""


@dataclass(slots=True)
class _Column:
    """Values of one measure, appended batch by batch; what no batch has given is not known."""

    values: array[float] = field(default_factory=lambda: array("d"))
    known: bytearray = field(default_factory=bytearray)

    def extend(self, start: int, values: list[float | None]) -> None:
        """`values` are those of the prompts from number `start` on."""
        self.pad(start)
        self.values.extend(0.0 if value is None else value for value in values)
        self.known.extend(value is not None for value in values)

    def pad(self, length: int) -> None:
        missing = length - len(self.known)
        self.values.frombytes(bytes(8 * missing))
        self.known.extend(bytes(missing))

    def arrays(self) -> tuple[Floats, Bools]:
        return np.array(self.values), np.frombuffer(self.known, dtype=np.uint8).astype(bool)


def engine_names(paths: Iterable[Path | str]) -> set[str]:
    """Names of the engines in the configurations of runs. Raises `RecordsError` where a directory is no run."""
    configs = [read_manifest(path).get("config", {}) for path in paths]
    engines = [config.get("engine") for config in configs]
    return {
        name for by_name in engines if isinstance(by_name, dict) for name in cast("dict[str, Json]", by_name)
    }


def measured(
    path: Path | str,
    *,
    scorer: str | None = None,
    costs: Costs = Costs(),  # noqa: B008
    cluster: str | None = None,
    gold_by_id: Mapping[str, Mapping[str, Json]] | None = None,
    engines: ScoringEngines | None = None,
    processes: int = 1,
    on_outcome: Callable[[], object] = lambda: None,
) -> Measured:
    """Reads the run at `path` once and keeps numbers only.

    `scorer` as `score_spec` takes it; without it, the first prompt's row decides: `answer`, else
    `reference`, else nothing is measured but cost and language. `cluster` names a column of the rows; without it
    the column "cluster" is used where rows have one. `gold_by_id` stands in for rows that were recorded
    without gold columns. `engines` is for a scorer that asks a model, which goes with one process. Raises
    `RecordsError`, `InputError` where only some rows have the cluster, and `MissingEngineError` where the scorer
    needs an engine that is not given.
    """
    engines = engines or ScoringEngines()
    if engines.engines:
        processes = 1
    reading = _Reading(scorer, cluster, gold_by_id or {}, _num_prompts(path))
    columns: defaultdict[str, _Column] = defaultdict(_Column)
    num_done = 0
    rows = reading.rows(read_outcomes(path), on_outcome)
    for size, found in _measured_batches(rows, reading, costs, engines, processes):
        for name, values in found.items():
            columns[name].extend(num_done, values)
        num_done += size
    for column in columns.values():
        column.pad(num_done)

    clusters, cluster_column = reading.units(path)
    return Measured(
        name=str(path),
        scorer=reading.spec,
        ids=reading.ids,
        contents=reading.contents,
        languages=reading.languages,
        tasks=reading.tasks,
        clusters=clusters,
        cluster_column=cluster_column,
        columns={name: column.arrays() for name, column in columns.items()},
        scoring=engines.take(),
    )


class _Reading:
    """Goes through the outcomes of one run and keeps what is not a measure: ids, languages, clusters."""

    def __init__(
        self,
        scorer: str | None,
        cluster: str | None,
        gold_by_id: Mapping[str, Mapping[str, Json]],
        num_prompts: int,
    ) -> None:
        self.asked_scorer, self.asked_cluster = scorer, cluster
        self.cluster = cluster or CLUSTER
        self.gold_by_id = gold_by_id
        self.share_read = MOST_LANGUAGE_CHECKS / max(1, num_prompts)
        self.share_chosen_again = MOST_CHOSEN_AGAIN / max(1, num_prompts)
        self.spec: str | None = None
        self.ids: list[str] = []
        self.contents: list[bytes] = []
        self.languages: list[str | None] = []
        self.tasks: list[str | None] = []
        self.clusters: list[Hashable] = []

    def rows(self, outcomes: Iterable[Outcome], on_outcome: Callable[[], object]) -> Iterator[Row]:
        """The outcomes with their gold answers, to be measured."""
        for recorded in outcomes:
            prompt = recorded.prompt
            own_gold = {key: value for key, value in recorded.gold.items() if value is not None}
            gold = {**self.gold_by_id.get(prompt.id, {}), **own_gold}
            outcome = replace(recorded, gold=gold)
            if not self.ids:
                self.spec = _spec(self.asked_scorer, outcome)
            self.ids.append(prompt.id)
            self.contents.append(content_of(prompt))
            self.languages.append(prompt.language)
            self.tasks.append(prompt.task)
            key = gold.get(self.cluster)
            self.clusters.append(key if isinstance(key, Hashable) else str(key))
            on_outcome()
            place = _hash(prompt.id)
            chooses_again = place < self.share_chosen_again and can_choose_again(outcome.strategy)
            if _reads_texts_only(self.spec) and not chooses_again:
                outcome = _without_trace(outcome)
            yield Row(outcome, place < self.share_read, chooses_again)

    def units(self, path: Path | str) -> tuple[list[Hashable], str | None]:
        """The cluster of each prompt and the column that says so; each prompt its own where no row has one.

        Raises `InputError` where only some rows have the column.
        """
        num_known = sum(key is not None for key in self.clusters)
        if num_known == 0 and not (self.asked_cluster and self.ids):
            return list(self.ids), None
        if num_known == len(self.clusters):
            return self.clusters, self.cluster
        lacking = next(id_ for id_, key in zip(self.ids, self.clusters, strict=True) if key is None)
        raise InputError(
            f"{path}: the row of prompt {lacking!r} has no {self.cluster!r}: the column of clusters (`cluster`)"
            " must be in every row"
        )


def _spec(asked: str | None, outcome: Outcome) -> str | None:
    gold = outcome.gold
    if asked is None and gold.get("answer") is None and gold.get("reference") is None:
        return None
    return score_spec(asked, pool_of(outcome))


def _reads_texts_only(spec: str | None) -> bool:
    """Whether the measures need no log-probabilities: they are most of a record, and processes hand rows over."""
    return spec is None or spec.startswith((ACCURACY, REFERENCE, "recorded"))


def _without_trace(outcome: Outcome) -> Outcome:
    candidates = tuple(replace(c, logprobs=None, reasoning=None) for c in outcome.candidates)
    return replace(outcome, candidates=candidates)


def _measured_batches(
    rows: Iterator[Row], reading: _Reading, costs: Costs, engines: ScoringEngines, processes: int
) -> Iterator[tuple[int, Columns]]:
    """Batches in order, with their sizes; with several processes, a few batches ahead are at work."""
    batches = iter(lambda: list(islice(rows, _BATCH)), [])
    if processes < 2:  # noqa: PLR2004
        for batch in batches:
            yield len(batch), measure(batch, reading.spec, costs, engines)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        at_work: deque[tuple[int, Future[Columns]]] = deque()
        for batch in batches:
            at_work.append((len(batch), pool.submit(measure, batch, reading.spec, costs)))
            if len(at_work) > 2 * processes:
                size, future = at_work.popleft()
                yield size, future.result()
        for size, future in at_work:
            yield size, future.result()


def _num_prompts(path: Path | str) -> int:
    return sum(_num_lines(shard) for shard in Path(path).glob("outcomes-*.jsonl"))


def _num_lines(file: Path) -> int:
    with file.open("rb") as f:
        return sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))


def _hash(prompt_id: str) -> float:
    """The same number in [0, 1) for the same id, on every machine."""
    return zlib.crc32(prompt_id.encode("utf-8", "surrogatepass")) / 2**32
