"""What every format needs of a run: what it was made with, when, and how good the chosen answers are."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec

from nbest import registry
from nbest.errors import InputError, MissingEngineError
from nbest.evaluate.ingestion import ingest
from nbest.evaluate.scores import gold_text, is_accuracy, pool_of, score_spec
from nbest.records import read_manifest, read_outcomes
from nbest.types import Candidate, Json, Outcome, replace

_USERINFO_OR_QUERY: Final = re.compile(r"(?<=://)[^/@\s'\"]+@|(?<=\w)\?[^\s'\"]*")
_LOCAL_PATH: Final = re.compile(r"(?<![\w:/.])/(?:[^/'\"\s,()]+/)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A run to be exported. Times are those of its files, so that a second export equals the first."""

    path: Path
    name: str
    version: str
    """Of the nbest that made it."""
    config: Mapping[str, Json]
    """As in the manifest, without directories of this machine and without what a URL may hide."""
    model: str
    began: datetime
    ended: datetime

    def outcomes(self) -> Iterator[Outcome]:
        return read_outcomes(self.path)


class Grade(NamedTuple):
    """How good the chosen answer is, by what its row has."""

    metric: str
    """accuracy (the row's `answer`) or chrf (its `reference`)."""
    value: float
    oracle: float | None
    """The best draw's; None where there is none."""


def source_of(path: Path) -> Source:
    """Raises `RecordsError` where there is no run, `InputError` for one without outcomes."""
    manifest = read_manifest(path)
    shards = sorted(path.glob("outcomes-*.jsonl"))
    if not any(shard.stat().st_size for shard in shards):
        raise InputError(f"{path} holds no outcome yet")
    config = cast("dict[str, Json]", shown(manifest.get("config") or {}))
    return Source(
        path=path,
        name=path.resolve().name,
        version=str(manifest.get("nbest", "")),
        config=config,
        model=_model(config),
        began=_modified(path / "manifest.json"),
        ended=_modified(shards[-1]),
    )


def grade(outcome: Outcome) -> Grade | None:
    """The same value as `nbest eval` has; None for a row with neither `answer` nor `reference`, or no value."""
    known = _without_empty_gold(outcome)
    if "answer" not in known.gold and "reference" not in known.gold:
        return None
    spec = score_spec(None, pool_of(known))
    try:
        measured = asyncio.run(ingest(known, registry.parse("scorers", spec)))
    except MissingEngineError:  # the row's grader is a judge, and an export asks none
        return None
    if measured.value is None:
        return None
    metric = "chrf"
    if is_accuracy(spec):
        metric = "accuracy"
    scores = measured.draw_scores
    return Grade(metric, measured.value, None if scores is None else float(scores.max()))


def target_of(outcome: Outcome) -> str:
    """The row's answer or reference; the empty string where it has neither."""
    return gold_text(pool_of(_without_empty_gold(outcome))) or ""


def _without_empty_gold(outcome: Outcome) -> Outcome:
    return replace(outcome, gold={k: v for k, v in outcome.gold.items() if v is not None})


def winner_of(outcome: Outcome) -> Candidate | None:
    """The chosen answer, where there is one."""
    if not outcome.selection:
        return None
    return outcome.selection.winner


def mean(values: Sequence[float]) -> float:
    """Raises `ZeroDivisionError` without values."""
    return math.fsum(values) / len(values)


def stderr(values: Sequence[float]) -> float | None:
    """Standard error of the mean, from the sample's deviation; None for a single value."""
    n = len(values)
    if n < 2:  # noqa: PLR2004
        return None
    centre = mean(values)
    return math.sqrt(math.fsum((v - centre) ** 2 for v in values) / (n - 1) / n)


def shown(value: Json) -> Json:
    """Settings fit to be passed on: local files by name alone, URLs without user, password and query."""
    if isinstance(value, str):
        return _LOCAL_PATH.sub("", _USERINFO_OR_QUERY.sub("", value))
    if isinstance(value, Mapping):
        return {str(k): shown(v) for k, v in cast("Mapping[Any, Json]", value).items()}
    if isinstance(value, list | tuple):
        return [shown(v) for v in cast("Iterable[Json]", value)]
    return value


def plain(value: Any) -> Any:
    """Types of ours as what JSON has; keys are strings."""
    return msgspec.to_builtins(value, str_keys=True)


def _model(config: Mapping[str, Json]) -> str:
    """`engine/model`, as far as the configuration names them: openai/qwen3, llamacpp/nbest-mini, fake."""
    engines = config.get("engine")
    spec = ""
    if isinstance(engines, dict):
        spec = str(cast("Mapping[str, Json]", engines).get("policy", ""))
    engine = re.match(r"\w*", spec)
    if engine is None or not engine[0]:
        return "recorded"
    named = re.search(r"\bmodel='([^']+?)(?:\.gguf)?'", spec)
    if named:
        return f"{engine[0]}/{named[1]}"
    return engine[0]


def _modified(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).replace(microsecond=0)
