"""Putting questions to a judge: all at once, each repaired at most once.

How a verdict is read is up to `read`:

text      the judge explains itself, and ends with its verdict in double square brackets.
grammar   the same as a JSON object, by structured output (`response_format`): every reply has a verdict.
logprobs  the judge gives its verdict at once, without a word; each option's probability is read from the
          log-probabilities of those tokens. One short call a question, and weak judges have verdicts too. Where no option is
          among the likeliest tokens, the verdict is asked for once more under a grammar.

An engine that can do neither of the last two is read as text, with a note.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from nbest.context import Context
from nbest.judging.judge_questions import Question, Read, Reply
from nbest.judging.verdict_forms import VerdictForm
from nbest.judging.verdict_logprobs import option_probabilities
from nbest.judging.verdict_text import NoVerdictError
from nbest.text.reasoning import answer_text
from nbest.types import (
    Completion,
    Message,
    Overrides,
    Request,
    replace,
)

V = TypeVar("V")

_NO_WORDS: Final = "…"
"""Stands for an empty reply: servers refuse an empty turn."""
_OPENING: Final = "[["
"""What a verdict begins with."""
_VERDICT_TOKENS: Final = 8
"""As many as an option and its brackets take."""
_JSON_TOKENS: Final = 64
"""As many as an object with nothing but an option takes."""
_TOP_LOGPROBS: Final = 20
_IS_REFUSED: Final = re.compile(
    r"answered 4(?:00|04|15|22)\b|response_format|json_schema|grammar", re.IGNORECASE
)
"""Of a failed call: the server does not take what was asked for, and would not the next time."""


async def ask(questions: Sequence[Question[V]], ctx: Context, *, read: Read = "text") -> list[Reply[V]]:
    """All questions at once; one reply per question, in order.

    A reply without a verdict is quoted back once, with the request to give the verdict alone. A
    question that the budget forbids, or that the judge does not answer, is not asked again.
    """
    if not questions:
        return []
    if read == "logprobs":
        replies = await _ask_for_probabilities(questions, ctx)
        if replies is not None:
            return replies
    return await _ask_for_replies(questions, ctx, is_structured=read == "grammar")


async def _ask_for_replies(
    questions: Sequence[Question[V]], ctx: Context, *, is_structured: bool
) -> list[Reply[V]]:
    requests = [q.request for q in questions]
    if is_structured:
        requests = [_structured(q.request, q.form, has_assessment=True) for q in questions]
    drawn = await ctx.complete(requests)
    if is_structured:
        is_structured, drawn = await _without_what_is_refused(questions, drawn, ctx)

    replies = [_reply(completions, q.form) for completions, q in zip(drawn, questions, strict=True)]
    again = [i for i, q in enumerate(questions) if _needs_repair(q, replies[i])]
    if not again:
        return replies

    repairs = [_repair(questions[i], replies[i].text) for i in again]
    if is_structured:
        repairs = [
            _structured(repair, questions[i].form, has_assessment=False)
            for i, repair in zip(again, repairs, strict=True)
        ]
    for i, completions in zip(again, await ctx.complete(repairs), strict=True):
        replies[i] = _joined(replies[i], _reply(completions, questions[i].form))
    if not is_structured:
        return replies
    # The quoted reply may be more than a weak judge's context has room for.
    unread = [i for i in again if replies[i].verdict is None]
    return await _forced(unread, questions, replies, ctx)


def _structured(request: Request, form: VerdictForm[Any], *, has_assessment: bool) -> Request:
    """`request` under the grammar of `form`."""
    if not form.verdict_by_option:
        return request
    body = {"response_format": form.response_format(has_assessment=has_assessment)}
    return replace(request, prompt=replace(request.prompt, overrides=Overrides(body=body)))


async def _without_what_is_refused(
    questions: Sequence[Question[Any]], drawn: list[list[Completion]], ctx: Context
) -> tuple[bool, list[list[Completion]]]:
    """Whether the judge takes structured output; and the replies, those that it refused asked for as text."""
    refused = [i for i, completions in enumerate(drawn) if completions and _is_refusal(completions[0])]
    if not refused:
        return True, drawn

    ctx.note(
        f"the judge takes no structured output ({drawn[refused[0]][0].error}): its verdicts are read from text"
    )
    asked_again = await ctx.complete([questions[i].request for i in refused])
    replies = list(drawn)
    for i, completions in zip(refused, asked_again, strict=True):
        replies[i] = completions
    return False, replies


def _is_refusal(completion: Completion) -> bool:
    return completion.error is not None and bool(_IS_REFUSED.search(completion.error))


async def _ask_for_probabilities(questions: Sequence[Question[V]], ctx: Context) -> list[Reply[V]] | None:
    """The replies; None and a note where the engine returns no log-probabilities."""
    request = questions[0].request
    can = await ctx.capabilities(request.role, request.engine)
    top = _TOP_LOGPROBS
    prefix = _OPENING
    if can is not None:
        if can.max_logprobs is not None:
            top = min(top, can.max_logprobs)
        if not can.prefix:
            prefix = ""
    has_logprobs = can is None or can.logprobs

    drawn: list[list[Completion]] = []
    if has_logprobs:
        requests = [_for_probabilities(q, prefix=prefix, top=top) for q in questions]
        drawn = await ctx.complete(requests)
        answered = [c[0] for c in drawn if c and c[0].error is None]
        has_logprobs = not answered or any(c.logprobs and c.logprobs.top for c in answered)
    if not has_logprobs:
        ctx.note("the judge returns no log-probabilities: its verdicts are read from text")
        return None
    replies = [_likeliest(completions, q.form) for completions, q in zip(drawn, questions, strict=True)]
    unread = [i for i, q in enumerate(questions) if _needs_repair(q, replies[i])]
    return await _forced(unread, questions, replies, ctx)


async def _forced(
    unread: Sequence[int], questions: Sequence[Question[V]], replies: Sequence[Reply[V]], ctx: Context
) -> list[Reply[V]]:
    """The replies, those `unread` asked for once more: the verdict under a grammar that allows nothing else.

    It is then a verdict without probabilities. Where the judge takes no structured output the reply stays as it is.
    """
    found = list(replies)
    if not unread:
        return found
    requests = [_verdict_alone(questions[i]) for i in unread]
    for i, completions in zip(unread, await ctx.complete(requests), strict=True):
        reply = _reply(completions, questions[i].form)
        if reply.verdict is not None:
            found[i] = _joined(replies[i], reply)
    return found


def _verdict_alone(asked: Question[Any]) -> Request:
    """The verdict alone, as JSON and nothing else."""
    request = _structured(_repair(asked, ""), asked.form, has_assessment=False)
    params = replace(request.params, max_tokens=min(_JSON_TOKENS, request.params.max_tokens or _JSON_TOKENS))
    return replace(request, params=params)


def _for_probabilities(asked: Question[Any], *, prefix: str, top: int) -> Request:
    """The verdict alone is asked for, as after a reply that had none."""
    request = _repair(asked, "") if asked.repair else asked.request
    params = replace(request.params, max_tokens=_VERDICT_TOKENS, logprobs=top)
    return replace(request, prefix=prefix, params=params)


def _likeliest(completions: Sequence[Completion], form: VerdictForm[V]) -> Reply[V]:
    failed: Reply[V] | None = _failure(completions)
    if failed is not None:
        return failed

    completion = completions[0]
    found: dict[str, float] = {}
    if completion.logprobs is not None:
        found = option_probabilities(completion.logprobs, form.verdict_by_option)
    if not found:
        return Reply(None, completion.text, "no verdict is among the likeliest next tokens")
    probabilities = {form.verdict_by_option[option]: p for option, p in found.items()}
    verdict = max(probabilities, key=lambda v: probabilities[v])
    return Reply(verdict, completion.text, probabilities=probabilities)


def _reply(completions: Sequence[Completion], form: VerdictForm[V]) -> Reply[V]:
    failed: Reply[V] | None = _failure(completions)
    if failed is not None:
        return failed

    completion = completions[0]
    text, visible = completion.text, answer_text(completion.text)
    if completion.finish == "length":
        return Reply(None, text, "the reply was cut off at max_tokens", text_without_reasoning=visible)
    try:
        return Reply(form.read(text), text, text_without_reasoning=visible)
    except NoVerdictError as e:
        return Reply(None, text, str(e), text_without_reasoning=visible)


def _failure(completions: Sequence[Completion]) -> Reply[Any] | None:
    """The reply that stands for a question that was not answered; None where it was."""
    if not completions:
        return Reply(None, "", "the budget or the deadline forbids the call", is_answered=False)
    error = completions[0].error
    if error is not None:
        return Reply(None, completions[0].text, f"the judge failed: {error}", is_answered=False)
    return None


def _needs_repair(asked: Question[Any], reply: Reply[Any]) -> bool:
    return reply.verdict is None and reply.is_answered and bool(asked.repair)


def _joined(first: Reply[V], second: Reply[V]) -> Reply[V]:
    """What came of a question that was asked twice."""
    problem = None if second.problem is None else f"{first.problem}; when asked again: {second.problem}"
    return second._replace(
        text=f"{first.text}\n\n{second.text}".strip(),
        text_without_reasoning=f"{first.text_without_reasoning}\n\n{second.text_without_reasoning}".strip(),
        problem=problem,
        is_repaired=True,
    )


def _repair(asked: Question[Any], reply: str) -> Request:
    turns = (
        Message(role="assistant", content=reply.strip() or _NO_WORDS),
        Message(role="user", content=asked.repair),
    )
    prompt = replace(asked.request.prompt, messages=(*asked.request.prompt.messages, *turns))
    return replace(asked.request, prompt=prompt)
