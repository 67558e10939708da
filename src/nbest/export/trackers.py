"""A run as one run of an experiment tracker: configuration, metrics by language, usage by role, prompts and winners.

Where it goes is said as these packages say it: WANDB_MODE, WANDB_PROJECT, WANDB_DIR; MLFLOW_TRACKING_URI,
MLFLOW_EXPERIMENT_NAME.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Final

from nbest.accounting.meter import total
from nbest.errors import InputError, MissingExtraError
from nbest.evaluate.recorded_draws import draws_of
from nbest.evaluate.runs import measured
from nbest.evaluate.summary import UNKNOWN, evaluate
from nbest.export.source import Source, grade, target_of
from nbest.types import Usage

COLUMNS: Final = (
    "id",
    "language",
    "task",
    "prompt",
    "winner",
    "target",
    "score",
    "candidates",
    "tokens",
    "error",
)
PROJECT: Final = "nbest"
_LONGEST_PARAM: Final = 6000


def wandb(source: Source) -> list[str]:
    """Gives where the run is. Raises `MissingExtraError`, `InputError` for what the tracker refuses.

    Nothing of this machine is added: it is not the one that the run was made on, perhaps.
    """
    package = _package("wandb")
    found, table = metrics(source), rows(source)
    try:
        settings = package.Settings(
            disable_git=True, save_code=False, console="off", x_disable_meta=True, x_disable_stats=True
        )
        with package.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=source.name,
            config=dict(source.config),
            settings=settings,
        ) as run:
            run.summary.update(found)
            run.log({"winners": package.Table(columns=list(COLUMNS), data=table)})
            return [str(run.url or run.dir)]
    except (package.Error, OSError) as e:
        raise InputError(f"wandb: {e}") from None


def mlflow(source: Source) -> list[str]:
    """Gives where the run is. Raises `MissingExtraError`, `InputError` for what the tracker refuses."""
    package = _package("mlflow")
    found, table = metrics(source), rows(source)
    try:
        if not {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"} & os.environ.keys():
            package.set_experiment(PROJECT)
        with package.start_run(run_name=source.name, tags={"mlflow.source.name": "nbest export"}) as run:
            package.log_params({k: v[:_LONGEST_PARAM] for k, v in _flat(source.config).items()})
            package.log_metrics({k.replace("@", "_at_"): v for k, v in found.items()})
            columns = {name: [row[i] for row in table] for i, name in enumerate(COLUMNS)}
            package.log_table(columns, "winners.json")
    except (package.MlflowException, OSError) as e:
        raise InputError(f"mlflow: {e}") from None
    return [f"{package.get_tracking_uri()} run {run.info.run_id}"]


def metrics(source: Source) -> dict[str, float]:
    """`th/score`, `all/pass@4`, … as `nbest eval` has them, and `usage/policy/completion`."""
    found: dict[str, float] = {}
    for group in evaluate([measured(source.path)]).groups:
        name = group.group
        if name == UNKNOWN:
            name = "unknown"
        found |= {f"{name}/{measure}": cell.value for measure, cell in group.cells.items()}
    usage: dict[str, Usage] = {}
    for outcome in source.outcomes():
        for role, spent in outcome.usage.items():
            usage[role] = usage.get(role, Usage()) + spent
    for role, spent in usage.items():
        for part in ("prompt", "cached", "completion", "calls"):
            found[f"usage/{role}/{part}"] = getattr(spent, part)
    return found


def rows(source: Source) -> list[list[Any]]:
    """One row a prompt, in `COLUMNS`."""
    found: list[list[Any]] = []
    for outcome in source.outcomes():
        prompt, graded = outcome.prompt, grade(outcome)
        score = None
        if graded is not None:
            score = graded.value
        found.append(
            [
                prompt.id,
                prompt.language,
                prompt.task,
                prompt.text,
                outcome.text,
                target_of(outcome),
                score,
                len(draws_of(outcome.candidates, prompt)),
                total(outcome.usage).completion,
                outcome.error,
            ]
        )
    return found


def _flat(config: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(config, dict):
        return {prefix: str(config)}
    parts: dict[str, str] = {}
    for key, value in config.items():  # pyright: ignore[reportUnknownVariableType]
        parts |= _flat(value, f"{prefix}.{key}" if prefix else str(key))  # pyright: ignore[reportUnknownArgumentType]
    return parts


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtraError(name, name) from None
