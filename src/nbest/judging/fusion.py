"""Requests that make one new answer out of several."""

from __future__ import annotations

from collections.abc import Sequence

from nbest.context import Context
from nbest.judging.judge_questions import question
from nbest.judging.pools import labelled
from nbest.judging.templates import TemplateLanguage
from nbest.judging.verdict_forms import FREE_TEXT
from nbest.types import Candidate, Prompt, Request, Role, SamplingParams, replace


def fusion_request(
    name: str,
    prompt: Prompt,
    parents: Sequence[Candidate],
    ctx: Context,
    *,
    role: Role,
    engine: str | None,
    params: SamplingParams,
    template_language: TemplateLanguage,
    templates: str | None,
) -> Request:
    """Asks for an answer to `prompt` made from `parents`, shown in the order given.

    System and developer turns of the prompt and its overrides hold for the new answer as well. Raises
    `InputError` for a template that cannot be used.
    """
    request = question(
        name,
        prompt,
        labelled(parents),
        ctx,
        role=role,
        engine=engine,
        params=params,
        template_language=template_language,
        templates=templates,
        form=FREE_TEXT,
    ).request
    system = tuple(m for m in prompt.messages if m.role in {"system", "developer"})
    asked = replace(request.prompt, messages=(*system, *request.prompt.messages), overrides=prompt.overrides)
    return replace(request, prompt=asked, parents=tuple(sorted(c.id for c in parents)))
