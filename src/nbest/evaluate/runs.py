"""A recorded run as columns of numbers, read as a stream: a hundred thousand outcomes fit where their texts do not."""

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
from typing import Final

import numpy as np

from nbest.accounting.costs import Costs
from nbest.errors import InputError
from nbest.evaluate.intervals import Bools, Floats
from nbest.evaluate.measures import Columns, Row, measure, row_of
from nbest.evaluate.scores import CLUSTER, score_spec
from nbest.records import read_outcomes
from nbest.types import Json, Outcome, replace

MOST_LANGUAGE_CHECKS: Final = 20_000
"""About so many chosen texts of a run have their language judged; of larger runs a share, by a hash of the id."""
_BATCH: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """P prompts and their measures."""

    name: str
    scorer: str | None
    """Spec of what measured the answers; None where nothing could."""
    ids: list[str]
    languages: list[str | None]
    tasks: list[str | None]
    clusters: list[Hashable]
    """Prompts with equal keys stand together; by default each is its own."""
    cluster_column: str | None
    """Where the keys come from; None where each prompt stands alone."""
    columns: Mapping[str, tuple[Floats, Bools]]
    """Measure → its values, and where they are known."""


@dataclass(slots=True)
class _Column:
    """Grows to the length it is asked to have; what is not set is not known."""

    values: array[float] = field(default_factory=lambda: array("d"))
    known: bytearray = field(default_factory=bytearray)

    def extend(self, start: int, values: list[float | None]) -> None:
        self.pad(start)
        self.values.extend(0.0 if v is None else v for v in values)
        self.known.extend(v is not None for v in values)

    def pad(self, length: int) -> None:
        missing = length - len(self.known)
        self.values.frombytes(bytes(8 * missing))
        self.known.extend(bytes(missing))


def measured(
    path: Path | str,
    *,
    scorer: str | None = None,
    costs: Costs = Costs(),  # noqa: B008
    cluster: str | None = None,
    gold_by_id: Mapping[str, Mapping[str, Json]] | None = None,
    processes: int = 1,
    on_outcome: Callable[[], object] = lambda: None,
) -> Measured:
    """Reads the run at `path` once and keeps numbers only.

    `scorer` as `score_spec` takes it; without it, the first prompt's row decides: `answer`, else
    `reference`, else nothing is measured but cost and language. `cluster` names a column of the rows; without it
    the column "cluster" is used where rows have one. `gold_by_id` stands in for rows that were recorded
    without gold columns. Raises `RecordsError`, and `InputError` where only some rows have the cluster.
    """
    reading = _Reading(scorer, cluster, gold_by_id or {}, _share_read(path))
    columns: defaultdict[str, _Column] = defaultdict(_Column)
    done = 0
    rows = reading.rows(read_outcomes(path), on_outcome)
    for size, found in _measured_batches(rows, reading, costs, processes):
        for name, values in found.items():
            columns[name].extend(done, values)
        done += size
    for column in columns.values():
        column.pad(done)
    has_clusters = sum(c is not None for c in reading.clusters)
    if 0 < has_clusters < done or (cluster and done and not has_clusters):
        lacking = next(i for i, c in zip(reading.ids, reading.clusters, strict=True) if c is None)
        raise InputError(
            f"{path}: the row of prompt {lacking!r} has no {cluster or CLUSTER!r}; others do, or --cluster asks for it"
        )
    return Measured(
        name=str(path),
        scorer=reading.spec,
        ids=reading.ids,
        languages=reading.languages,
        tasks=reading.tasks,
        clusters=reading.clusters if has_clusters else list(reading.ids),
        cluster_column=(cluster or CLUSTER) if has_clusters else None,
        columns={
            name: (np.array(c.values), np.frombuffer(c.known, dtype=np.uint8).astype(bool))
            for name, c in columns.items()
        },
    )


class _Reading:
    """What is kept of each outcome as it passes."""

    def __init__(
        self,
        scorer: str | None,
        cluster: str | None,
        gold_by_id: Mapping[str, Mapping[str, Json]],
        share: float,
    ) -> None:
        self.asked, self.cluster, self.gold_by_id, self.share = scorer, cluster or CLUSTER, gold_by_id, share
        self.spec: str | None = None
        self.ids: list[str] = []
        self.languages: list[str | None] = []
        self.tasks: list[str | None] = []
        self.clusters: list[Hashable] = []

    def rows(self, outcomes: Iterable[Outcome], on_outcome: Callable[[], object]) -> Iterator[Row]:
        for outcome in outcomes:
            prompt = outcome.prompt
            recorded = {key: value for key, value in outcome.gold.items() if value is not None}
            gold = {**self.gold_by_id.get(prompt.id, {}), **recorded}
            row = row_of(replace(outcome, gold=gold), reads_language=_hash(prompt.id) < self.share)
            if not self.ids:
                self.spec = _spec(self.asked, row)
            self.ids.append(prompt.id)
            self.languages.append(prompt.language)
            self.tasks.append(prompt.task)
            key = gold.get(self.cluster)
            self.clusters.append(key if isinstance(key, Hashable) else str(key))
            on_outcome()
            yield row


def _spec(asked: str | None, row: Row) -> str | None:
    gold = row.pool.gold
    if asked is None and gold.get("answer") is None and gold.get("reference") is None:
        return None
    return score_spec(asked, row.pool)


def _measured_batches(
    rows: Iterator[Row], reading: _Reading, costs: Costs, processes: int
) -> Iterator[tuple[int, Columns]]:
    """Batches in order, with their sizes; a few ahead at work where there are several processes."""
    batches = iter(lambda: list(islice(rows, _BATCH)), [])
    if processes < 2:  # noqa: PLR2004
        for batch in batches:
            yield len(batch), measure(batch, reading.spec, costs)
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


def _share_read(path: Path | str) -> float:
    num_lines = sum(_num_lines(shard) for shard in Path(path).glob("outcomes-*.jsonl"))
    return min(1.0, MOST_LANGUAGE_CHECKS / max(1, num_lines))


def _num_lines(file: Path) -> int:
    with file.open("rb") as f:
        return sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))


def _hash(prompt_id: str) -> float:
    """The same number in [0, 1) for the same id, on every machine."""
    return zlib.crc32(prompt_id.encode("utf-8", "surrogatepass")) / 2**32
