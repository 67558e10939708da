"""Questions to a judge, and what comes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Literal, NamedTuple, TypeVar

from nbest.context import Context
from nbest.demand import Demand, others
from nbest.judging.sections import images_of, shown_candidates, shown_prompt, texts_of, unused_tag
from nbest.judging.templates import TemplateLanguage, fill, language_name, language_words, template_for
from nbest.judging.verdict_forms import VerdictForm
from nbest.types import Json, Message, Prompt, Request, Role, SamplingParams, replace

V = TypeVar("V")

Read = Literal["text", "grammar", "logprobs"]
"""How verdicts are read from a judge's replies; see `nbest.judging.judge_calls`."""


class Question(NamedTuple, Generic[V]):
    """A request, the turn that follows a reply without a verdict, and the verdicts that there are."""

    request: Request
    repair: str
    form: VerdictForm[V]


class Reply(NamedTuple, Generic[V]):
    """What came of a question. Without a verdict, `problem` says why."""

    verdict: V | None
    text: str
    problem: str | None = None
    is_repaired: bool = False
    """Whether it took a second turn."""
    is_answered: bool = True
    """False where the judge failed or was not asked: the same question may have a verdict another time."""
    text_without_reasoning: str = ""
    """`text` without what a reasoning model wrote before its answer."""
    probabilities: Mapping[V, float] | None = None
    """read=logprobs: of every option; the verdict is the likeliest."""

    @property
    def record(self) -> dict[str, Json]:
        """For `Selection.details`."""
        record: dict[str, Json] = {"reply": self.text}
        if self.problem is not None:
            record["problem"] = self.problem
        if self.is_repaired:
            record["repaired"] = True
        if self.probabilities is not None:
            record["probabilities"] = {str(v): round(p, 6) for v, p in self.probabilities.items()}
        return record


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
    form: VerdictForm[V],
) -> Question[V]:
    """Template `name` filled with the prompt and the labelled texts.

    The prompt id is its own, so that caches and recorded pools keep it apart from draws of the prompt. A
    reply that is drawn at a temperature gets a seed from the run's seed and the texts. Raises `InputError`
    for a template that cannot be used.
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
    if params.temperature > 0 and params.seed is None:
        params = replace(params, seed=ctx.random(f"{name}/seed/{texts!r}").getrandbits(31))
    request = Request(prompt=asked, params=params, role=role, engine=engine)
    return Question(request, fill(template.repair, values), form)


def demand_of_questions(n: int, max_tokens: int, read: Read) -> Demand:
    """What `n` questions may draw: each is asked once more for its verdict, and as text where `read` is not taken."""
    num_replies = 2 if read == "text" else 3
    return others(n * num_replies, max_tokens)
