"""Putting questions to a judge: all at once, each repaired at most once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from nbest.context import Context
from nbest.judging.sections import images_of, shown_candidates, shown_prompt, texts_of, unused_tag
from nbest.judging.templates import TemplateLanguage, fill, language_name, language_words, template_for
from nbest.judging.verdicts import NoVerdictError, without_thought
from nbest.types import Completion, Json, Message, Prompt, Request, Role, SamplingParams, replace

V = TypeVar("V")
_NO_WORDS = "…"
"""Stands for an empty reply: servers refuse an empty turn."""


class Question(NamedTuple, Generic[V]):
    """A request, the turn that follows a reply without a verdict, and what finds the verdict."""

    request: Request
    repair: str
    read: Callable[[str], V]
    """Raises `NoVerdictError` where there is none."""


class Reply(NamedTuple, Generic[V]):
    """What came of a question. Without a verdict, `problem` says why."""

    verdict: V | None
    text: str
    problem: str | None = None
    is_repaired: bool = False
    """Whether it took a second turn."""
    is_answered: bool = True
    """False where the judge failed or was not asked: the same question may have a verdict another time."""
    said: str = ""
    """`text` without what a reasoning model thought."""

    @property
    def record(self) -> dict[str, Json]:
        """For `Selection.details`."""
        told = {"reply": self.text, "problem": self.problem, "repaired": self.is_repaired or None}
        return {k: v for k, v in told.items() if v is not None}


def question(
    name: str,
    prompt: Prompt,
    text_by_label: Mapping[str, str],
    ctx: Context,
    *,
    role: Role,
    engine: str | None,
    params: SamplingParams,
    template_language: TemplateLanguage,
    templates: str | None,
    read: Callable[[str], V],
) -> Question[V]:
    """Template `name` filled with the prompt and the labelled texts.

    Its own prompt id keeps it apart from draws of the prompt itself, in caches and recorded pools.
    Raises `InputError` for a template that cannot be used.
    """
    template = template_for(name, prompt, ctx, language=template_language, path=templates)
    texts = [*texts_of(prompt), *text_by_label.values()]
    tag = unused_tag(ctx.random(f"{name}/{texts!r}"), texts)
    words = language_words().get(template.language, language_words()["en"])
    values = {
        "prompt": shown_prompt(prompt, tag),
        "candidates": shown_candidates(text_by_label, tag),
        "count": str(len(text_by_label)),
        "tag": tag,
        "language": language_name(prompt.language),
        "yes": words.yes[0],
        "no": words.no[0],
    }
    text = fill(template.ask, values)
    images = images_of(prompt)
    parts = ({"type": "text", "text": text}, *images) if images else ()
    asked = replace(
        prompt,
        id=f"{prompt.id}/{name}",
        messages=(Message(role="user", content=text, parts=parts),),
        overrides=None,
    )
    request = Request(prompt=asked, params=params, role=role, engine=engine)
    return Question(request, fill(template.repair, values), read)


async def ask(questions: Sequence[Question[V]], ctx: Context) -> list[Reply[V]]:
    """All questions at once; one reply per question, in order.

    A reply without a verdict is quoted back once, with the request to give the verdict alone. A
    question that the budget forbids, or that the judge does not answer, is not asked again.
    """
    drawn = await ctx.complete([q.request for q in questions])
    replies = [_reply(c, q.read) for c, q in zip(drawn, questions, strict=True)]
    again = [
        i
        for i, r in enumerate(replies)
        if r.verdict is None and _was_answered(drawn[i]) and questions[i].repair
    ]
    if not again:
        return replies
    repairs = [_repair(questions[i], replies[i].text) for i in again]
    for i, completions in zip(again, await ctx.complete(repairs), strict=True):
        first, second = replies[i], _reply(completions, questions[i].read)
        problem = None if second.problem is None else f"{first.problem}; when asked again: {second.problem}"
        replies[i] = second._replace(
            text=f"{first.text}\n\n{second.text}".strip(),
            said=f"{first.said}\n\n{second.said}".strip(),
            problem=problem,
            is_repaired=True,
        )
    return replies


def _reply(completions: Sequence[Completion], read: Callable[[str], V]) -> Reply[V]:
    if not completions:
        return Reply(None, "", "the budget or the deadline forbids the call", is_answered=False)
    completion = completions[0]
    if completion.error is not None:
        return Reply(None, completion.text, f"the judge failed: {completion.error}", is_answered=False)
    text, said = completion.text, without_thought(completion.text)
    if completion.finish == "length":
        return Reply(None, text, "the reply was cut off at max_tokens", said=said)
    try:
        return Reply(read(text), text, said=said)
    except NoVerdictError as e:
        return Reply(None, text, str(e), said=said)


def _was_answered(completions: Sequence[Completion]) -> bool:
    return bool(completions) and completions[0].error is None


def _repair(asked: Question[V], reply: str) -> Request:
    turns = (
        Message(role="assistant", content=reply.strip() or _NO_WORDS),
        Message(role="user", content=asked.repair),
    )
    prompt = replace(asked.request.prompt, messages=(*asked.request.prompt.messages, *turns))
    return replace(asked.request, prompt=prompt)
