"""Earlier attempts as turns of the conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nbest.text.calls import said
from nbest.types import Candidate, Message, Prompt, replace


class Attempt(NamedTuple):
    """An answer, and the user's reply to it."""

    answer: Candidate
    reply: str


def with_attempts(prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt:
    """`prompt` with each attempt as the model's turn, followed by the user's reply to it.

    Tool calls are written as text: servers want the results of real ones in the next turn. Attempts without
    text are left out: servers refuse an empty turn.
    """
    turns = [
        turn
        for answer, reply in attempts
        if said(answer).strip()
        for turn in (
            Message(role="assistant", content=said(answer)),
            Message(role="user", content=reply),
        )
    ]
    return replace(prompt, messages=(*prompt.messages, *turns))


def ids(attempts: Sequence[Attempt]) -> tuple[int, ...]:
    """Ids of the candidates that an answer after `attempts` is made from."""
    return tuple(sorted(a.answer.id for a in attempts))
