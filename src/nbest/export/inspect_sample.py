"""One prompt of a run as a sample of an inspect_ai log."""

from __future__ import annotations

from typing import Any, Final

from nbest.accounting.meter import total
from nbest.export.source import Grade, plain, shown, target_of, winner_of
from nbest.types import Candidate, Finish, Message, Outcome, Usage

_ROLES: Final = frozenset({"system", "user", "assistant", "tool"})
_STOPPED_BY: Final[dict[Finish, str]] = {
    "stop": "stop",
    "length": "max_tokens",
    "refused": "content_filter",
    "filtered": "content_filter",
}


def sample(outcome: Outcome, *, model: str, graded: Grade | None) -> dict[str, Any]:
    """One `EvalSample`; a prompt without an answer has an error and no output."""
    prompt, winner = outcome.prompt, winner_of(outcome)
    asked = [_message(m) for m in prompt.messages]
    found: dict[str, Any] = {
        "id": prompt.id,
        "epoch": 1,
        "input": asked,
        "target": target_of(outcome),
        "messages": asked,
        "output": {"model": model, "choices": [], "completion": ""},
        "metadata": _metadata(outcome),
        "model_usage": {model: usage_of(total(outcome.usage))},
        "role_usage": {role: usage_of(spent) for role, spent in outcome.usage.items()},
        "total_time": outcome.seconds,
    }
    if graded is not None:
        found["scores"] = _scores(graded, winner)
    if winner is None:
        why = outcome.error or outcome.stopped
        found["error"] = {"message": why, "traceback": why, "traceback_ansi": why}
        return found
    reply = {"role": "assistant", "content": winner.text, "source": "generate", "model": model}
    found["messages"] = [*asked, reply]
    found["output"] = {
        "model": model,
        "choices": [{"message": reply, "stop_reason": _STOPPED_BY.get(winner.finish, "unknown")}],
        "completion": winner.text,
        "usage": usage_of(total(outcome.usage)),
        "time": outcome.seconds,
    }
    return found


def _message(message: Message) -> dict[str, str]:
    """Roles that inspect does not know are the user's, but for the developer's, which is the system's."""
    role = "user"
    if message.role in _ROLES:
        role = message.role
    elif message.role == "developer":
        role = "system"
    return {"role": role, "content": message.content, "source": "input"}


def _metadata(outcome: Outcome) -> dict[str, Any]:
    selection = outcome.selection
    found: dict[str, Any] = {
        "language": outcome.prompt.language,
        "task": outcome.prompt.task,
        "strategy": outcome.strategy,
        "seed": outcome.seed,
        "stopped": outcome.stopped,
        "notes": list(outcome.notes),
        "row": plain(outcome.gold),
        "candidates": [_candidate(c) for c in outcome.candidates],
        "selection": None,
    }
    if selection is not None:
        found["selection"] = {
            "winner": _candidate(selection.winner),
            "weights": plain(selection.weights),
            "scores": plain(selection.scores),
            "rationale": selection.rationale,
            "details": plain(selection.details),
        }
    return found


def _candidate(c: Candidate) -> dict[str, Any]:
    """Without log-probabilities: they are most of a record, and stay in it."""
    return {
        "id": c.id,
        "text": c.text,
        "finish": c.finish,
        "error": c.error,
        "engine": shown(c.engine),
        "language": c.language,
        "parents": list(c.parents),
        "params": plain(c.params),
        "usage": usage_of(c.usage),
        "meta": plain(c.meta),
    }


def _scores(graded: Grade, winner: Candidate | None) -> dict[str, Any]:
    """Right and wrong as inspect writes them, so that its own metrics count them."""
    value: float | str = graded.value
    if graded.metric == "accuracy":
        value = "I"
        if graded.value == 1:
            value = "C"
    return {
        graded.metric: {
            "value": value,
            "answer": None if winner is None else winner.text,
            "metadata": {"oracle": graded.oracle},
        }
    }


def usage_of(usage: Usage) -> dict[str, int]:
    """`input_tokens` are without cached ones there."""
    return {
        "input_tokens": usage.prompt - usage.cached,
        "input_tokens_cache_read": usage.cached,
        "output_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
    }
