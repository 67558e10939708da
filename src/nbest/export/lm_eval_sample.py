"""One prompt of a run as a line of a samples file of lm-evaluation-harness."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from nbest.export.source import Grade, plain, target_of, winner_of
from nbest.types import Outcome, SamplingParams

FILTER: Final = "nbest"
_NAMES: Final = {"accuracy": "acc"}
"""Measures that have another name there."""


def sample(outcome: Outcome, *, doc_id: int, graded: Grade | None) -> dict[str, Any]:
    """One line of a samples file. A failed candidate is an empty response; `nbest` says why, and who won.

    Steps of a search are no responses, but for one that won because no answer was finished.
    """
    prompt, winner = outcome.prompt, winner_of(outcome)
    doc = {"id": prompt.id, "question": prompt.text, "language": prompt.language, **plain(outcome.gold)}
    asked = _asked(outcome)
    target = target_of(outcome)
    metrics = _metrics(graded)
    winner_id = None
    if winner is not None:
        winner_id = winner.id
    pool = [c for c in outcome.candidates if c.finish != "step" or c.id == winner_id]
    places: dict[int | None, int] = {c.id: i for i, c in enumerate(pool)}
    return {
        "doc_id": doc_id,
        "doc": doc,
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": asked, "arg_1": _generation(outcome)}},
        "resps": [[c.text for c in pool]],
        "filtered_resps": ["" if winner is None else winner.text],
        "filter": FILTER,
        "metrics": list(metrics),
        "doc_hash": sha256(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": sha256(asked),
        "target_hash": sha256(target),
        **metrics,
        "nbest": {
            "strategy": outcome.strategy,
            "seed": outcome.seed,
            "winner": places.get(winner_id),
            "errors": [c.error for c in pool],
            "stopped": outcome.stopped,
            "error": outcome.error,
            "seconds": outcome.seconds,
        },
    }


def _metrics(graded: Grade | None) -> dict[str, float]:
    if graded is None:
        return {}
    metrics = {_NAMES.get(graded.metric, graded.metric): graded.value}
    if graded.oracle is not None:
        metrics["oracle"] = graded.oracle
    return metrics


def _asked(outcome: Outcome) -> str:
    """The text of a single user turn; a conversation as JSON, as its chat templates for servers give it."""
    messages = outcome.prompt.messages
    if len(messages) == 1 and messages[0].role == "user":
        return messages[0].content
    return json.dumps(plain(messages), ensure_ascii=False)


def _generation(outcome: Outcome) -> dict[str, Any]:
    params = next((c.params for c in outcome.candidates if c.params), None) or SamplingParams()
    return {
        "until": list(params.stop),
        "max_gen_toks": params.max_tokens,
        "do_sample": params.temperature > 0,
        "temperature": params.temperature,
        "top_p": params.top_p,
    }


def sha256(text: str) -> str:
    """As the harness hashes documents, prompts and targets."""
    return hashlib.sha256(text.encode()).hexdigest()
