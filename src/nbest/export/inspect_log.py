"""An eval log as inspect_ai writes it in its JSON format (schema 2, read by 0.3.285).

The header comes before the samples, as there, so that header-only readers need not parse the texts; the samples
are written one by one. The chosen answer is the output; every candidate and the selection are in `metadata`.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from nbest.accounting.meter import total
from nbest.errors import InputError
from nbest.export.inspect_sample import sample, usage_of
from nbest.export.source import Grade, Source, grade, mean, stderr
from nbest.types import Usage

SCHEMA: Final = 2


class _Header(NamedTuple):
    """What the first reading of the run finds."""

    ids: list[str]
    tasks: set[str]
    num_answered: int
    usage: dict[str, Usage]
    grades: dict[str, Grade]
    """By prompt id."""
    by_language: dict[str, dict[str, list[float]]]
    """Metric → language → values."""


def write(source: Source, out: Path) -> list[Path]:
    """Gives the file: `out` itself where it ends in .json, else one in that directory, named as inspect names it.

    Raises `InputError` for a file name that inspect would read as another format.
    """
    if out.suffix == ".eval":
        raise InputError(f"{out}: inspect logs are written as JSON; name a .json file or a directory")
    header = _read(source)
    spec = _spec(source, header)
    file = out
    if out.suffix != ".json":
        file = out / _file_name(spec)
    if out.is_dir() == (file is out) and out.exists():
        kind = "file"
        if out.is_dir():
            kind = "directory"
        raise InputError(f"{out} is a {kind}; name a .json file or a directory")
    file.parent.mkdir(parents=True, exist_ok=True)
    fields: dict[str, Any] = {
        "version": SCHEMA,
        "status": "success",
        "eval": spec,
        "plan": {
            "name": "plan",
            "steps": [{"solver": "nbest", "params": {"strategy": _strategy(source)}}],
            "config": {},
        },
        "results": _results(header),
        "stats": {
            "started_at": source.began.isoformat(),
            "completed_at": source.ended.isoformat(),
            "model_usage": {source.model: usage_of(total(header.usage))},
            "role_usage": {role: usage_of(spent) for role, spent in header.usage.items()},
        },
    }
    partial = file.with_name(f".{file.name}.tmp")
    with partial.open("wb") as f:
        f.write(msgspec.json.encode(fields)[:-1] + b',"samples":[')
        separator = b"\n"
        for outcome in source.outcomes():
            found = sample(outcome, model=source.model, graded=header.grades.get(outcome.prompt.id))
            f.write(separator + msgspec.json.encode(found))
            separator = b",\n"
        f.write(b"\n]}\n")
    partial.replace(file)
    return [file]


def _read(source: Source) -> _Header:
    header = _Header([], set(), 0, {}, {}, {})
    num_answered = 0
    for outcome in source.outcomes():
        id_, language = outcome.prompt.id, outcome.prompt.language or "?"
        header.ids.append(id_)
        header.tasks.add(outcome.prompt.task or "")
        num_answered += outcome.selection is not None
        for role, spent in outcome.usage.items():
            header.usage[role] = header.usage.get(role, Usage()) + spent
        graded = grade(outcome)
        if graded is not None:
            header.grades[id_] = graded
            values = header.by_language.setdefault(graded.metric, defaultdict(list))
            values[language].append(graded.value)
    return header._replace(num_answered=num_answered)


def _results(header: _Header) -> dict[str, Any]:
    return {
        "total_samples": len(header.ids),
        "completed_samples": header.num_answered,
        "scores": [
            _metrics(name, by_language, len(header.ids)) for name, by_language in header.by_language.items()
        ],
    }


def _metrics(name: str, by_language: dict[str, list[float]], num_prompts: int) -> dict[str, Any]:
    """The mean and its standard error, and the mean of each language."""
    values = [v for of in by_language.values() for v in of]
    overall = "mean"
    if name == "accuracy":
        overall = "accuracy"
    metrics: dict[str, Any] = {overall: {"name": overall, "value": mean(values)}}
    error = stderr(values)
    if error is not None:
        metrics["stderr"] = {"name": "stderr", "value": error}
    for language, of in sorted(by_language.items()):
        key = f"language_{language}"
        metrics[key] = {"name": language, "group": "language", "value": mean(of)}
    return {
        "name": name,
        "scorer": name,
        "scored_samples": len(values),
        "unscored_samples": num_prompts - len(values),
        "metrics": metrics,
    }


def _spec(source: Source, header: _Header) -> dict[str, Any]:
    task = ""
    if len(header.tasks) == 1:
        task = next(iter(header.tasks))
    identity = msgspec.json.encode([source.name, source.config, source.began], order="sorted")
    id_ = hashlib.sha256(identity).hexdigest()[:22]
    return {
        "eval_id": id_,
        "run_id": id_,
        "task_id": id_,
        "created": source.began.isoformat(),
        "task": task or source.name,
        "task_version": 0,
        "solver": "nbest",
        "dataset": {
            "name": task or source.name,
            "samples": len(header.ids),
            "sample_ids": header.ids,
            "shuffled": False,
        },
        "model": source.model,
        "config": {"epochs": 1},
        "packages": {"nbest": source.version},
        "metadata": dict(source.config),
    }


def _strategy(source: Source) -> str:
    return str(source.config.get("strategy") or source.config.get("select") or "")


def _file_name(spec: dict[str, Any]) -> str:
    parts = (spec["created"], spec["task"], spec["task_id"])
    return "_".join(re.sub(r"[^\w.-]", "-", str(part)) for part in parts) + ".json"
