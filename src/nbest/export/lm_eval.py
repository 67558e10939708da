"""Log files as lm-evaluation-harness writes them with `--log_samples` (format of 0.4.13).

    OUT/<model>/results_<date>.json
    OUT/<model>/samples_<task>_<date>.jsonl     a task of each language: mgsm_th, mgsm_zh, …

All candidates are the `resps` of the one request, the chosen answer is what the filter `nbest` left of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import msgspec

from nbest.accounting.meter import total
from nbest.errors import InputError
from nbest.export.lm_eval_sample import FILTER, sample, sha256
from nbest.export.source import Source, grade, mean, plain, stderr
from nbest.types import Outcome, Usage


def write(source: Source, out: Path) -> list[Path]:
    """Gives the files, results first. Raises `InputError` where `out` is a file."""
    if out.is_file():
        raise InputError(f"{out} is a file; lm-eval logs need a directory")
    folder = out / re.sub(r"[\"<>:/|\\?*\[\]]+", "__", source.model)
    folder.mkdir(parents=True, exist_ok=True)
    date = source.ended.replace(tzinfo=None).isoformat(timespec="microseconds").replace(":", "-")
    tasks: dict[str, _Task] = {}
    files: dict[str, Path] = {}
    with ExitStack() as stack:
        for outcome in source.outcomes():
            name = task_name(outcome)
            if name not in tasks:
                files[name] = folder / f"samples_{name}_{date}.jsonl"
                tasks[name] = _Task(stack.enter_context(files[name].open("wb")))
            tasks[name].add(outcome)
    results = folder / f"results_{date}.json"
    document = msgspec.json.encode(_results(source, tasks))
    results.write_bytes(msgspec.json.format(document, indent=2) + b"\n")
    return [results, *files.values()]


def task_name(outcome: Outcome) -> str:
    """`task_language`, as multilingual tasks are named there; `prompts` where a row names no task."""
    parts = (outcome.prompt.task or "prompts", outcome.prompt.language or "")
    return re.sub(r"\W", "_", "_".join(p for p in parts if p))


class _Task:
    """One samples file, and what its results are made of."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hashes: list[str] = []
        self.usage: dict[str, Usage] = {}
        self.values: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, outcome: Outcome) -> None:
        found = sample(outcome, doc_id=len(self._hashes), graded=grade(outcome))
        self._file.write(msgspec.json.encode(found) + b"\n")
        self._hashes.append(found["doc_hash"] + found["prompt_hash"] + found["target_hash"])
        for name in found["metrics"]:
            self.values[name].append(found[name])
        for role, spent in outcome.usage.items():
            self.usage[role] = self.usage.get(role, Usage()) + spent

    @property
    def num_samples(self) -> int:
        return len(self._hashes)

    @property
    def hash(self) -> str:
        return sha256("".join(self._hashes))

    def results(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {"name": name, "alias": name, "sample_len": self.num_samples}
        for metric, values in self.values.items():
            error = stderr(values)
            found[f"{metric},{FILTER}"] = mean(values)
            found[f"{metric}_stderr,{FILTER}"] = "N/A" if error is None else error
        return found


def _results(source: Source, tasks: Mapping[str, _Task]) -> dict[str, Any]:
    names = sorted(tasks)
    usage: dict[str, Usage] = {}
    for task in tasks.values():
        for role, spent in task.usage.items():
            usage[role] = usage.get(role, Usage()) + spent
    seed = source.config.get("seed")
    return {
        "results": {name: tasks[name].results(name) for name in names},
        "group_subtasks": {name: [] for name in names},
        "configs": {name: _config(name, tasks[name]) for name in names},
        "versions": dict.fromkeys(names, 0),
        "n-shot": dict.fromkeys(names, 0),
        "higher_is_better": {name: dict.fromkeys(tasks[name].values, True) for name in names},
        "n-samples": {
            name: {"original": tasks[name].num_samples, "effective": tasks[name].num_samples}
            for name in names
        },
        "config": {
            "model": source.model,
            "model_args": dict(source.config),
            "batch_size": None,
            "batch_sizes": [],
            "device": None,
            "use_cache": None,
            "limit": None,
            "bootstrap_iters": 0,
            "gen_kwargs": None,
            "random_seed": seed,
            "numpy_seed": seed,
            "torch_seed": seed,
            "fewshot_seed": seed,
        },
        "git_hash": None,
        "date": source.began.timestamp(),
        "task_hashes": {name: tasks[name].hash for name in names},
        "model_source": "nbest",
        "model_name": source.model,
        "model_name_sanitized": re.sub(r"[\"<>:/|\\?*\[\]]+", "__", source.model),
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
        "total_evaluation_time_seconds": str((source.ended - source.began).total_seconds()),
        "nbest": {
            "version": source.version,
            "run": source.name,
            "usage": plain(usage),
            "total": plain(total(usage)),
        },
    }


def _config(name: str, task: _Task) -> dict[str, Any]:
    return {
        "task": name,
        "output_type": "generate_until",
        "num_fewshot": 0,
        "repeats": 1,
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in task.values
        ],
        "filter_list": [{"name": FILTER, "filter": []}],
    }
