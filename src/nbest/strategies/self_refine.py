"""Answer, criticise, rewrite."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from nbest.context import Context
from nbest.demand import Demand, answers, demand_of, total
from nbest.errors import SelectionError
from nbest.judging.judge_calls import ask
from nbest.judging.judge_questions import Reply, demand_of_questions, question
from nbest.judging.templates import TemplateLanguage
from nbest.judging.verdict_forms import numbers
from nbest.protocols import EngineName, Selector, ServerPath, logprobs_needed
from nbest.selection.pool import chosen, select, usable
from nbest.strategies.attempts import Attempt, ids, with_attempts
from nbest.strategies.phrases import words_for
from nbest.text.calls import said
from nbest.types import Candidate, Json, Prompt, Request, SamplingParams, Selection, replace

_GOOD = 1
_VERDICT = re.compile(r"[*_`]*\[\[[^\[\]\n]*\]\][*_`]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfRefine:
    """Self-refine with feedback (Madaan et al. 2023, arXiv 2303.17651).

    The model answers; a critique of the answer says what is wrong, or that nothing has to change, which
    ends the loop; otherwise the model answers again, after its answer and the critique as the user's next
    turn, with the earlier rounds before them. At most `rounds` rewrites. The last answer wins, or what
    `selector` chooses among all of them.

    The critique is asked for with a template (`critique.txt`) and metered as the verifier's; what a
    reasoning model thinks first is not shown to the rewrite. Its engine is the one called "verifier", else
    the policy itself. A critique without a readable verdict counts as one that is not satisfied; one that
    failed ends the loop, with a note. An answer that fails is drawn again in the next round, and one that is
    cut off never replaces a whole one.
    """

    is_open_to_clients: ClassVar[bool] = True

    rounds: int = 3
    """Rewrites at most."""
    critic: EngineName | None = None
    """Name of the engine that criticises."""
    selector: Selector | None = None
    shown: int = 4
    """Earlier rounds that a rewrite sees."""
    temperature: float = 0.7
    max_tokens: int = 1024
    critique_tokens: int = 1024
    template_language: TemplateLanguage = "prompt"
    templates: ServerPath | None = None
    """A template file, or a directory of them, instead of the ones that ship."""

    def __post_init__(self) -> None:
        if self.rounds < 0 or self.shown < 1:
            raise ValueError(
                f"rounds must be at least 0 and shown at least 1, got {self.rounds} and {self.shown}"
            )
        SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens)
        if self.critique_tokens < 1:
            raise ValueError(f"critique_tokens must be at least 1, got {self.critique_tokens}")

    def demand(self, n: int, steps: int) -> Demand:
        num_answers = self.rounds + 1
        return total(
            answers(num_answers, self.max_tokens),
            demand_of_questions(self.rounds, self.critique_tokens, "text"),
            demand_of(self.selector, num_answers),
        )

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        pool: list[Candidate] = []
        attempts: list[Attempt] = []
        critiques: list[dict[str, Json]] = []
        best: Candidate | None = None

        for step in range(self.rounds + 1):
            is_last = step == self.rounds and self.selector is None
            request = self._request(prompt, attempts, step, ctx)
            drawn = await ctx.sample([request], is_answer=is_last)
            pool += drawn
            if not drawn:
                break
            answer = drawn[0]
            if not answer.is_usable:
                continue
            # A truncated answer replaces no whole one, but what has been streamed stands.
            is_worse = answer.finish == "length" and best is not None and best.finish != "length"
            if ctx.emitted or not is_worse:
                best = answer
            if step == self.rounds:
                break

            reply = await self._critique(prompt, answer, ctx)
            critiques.append({"of": answer.id, "verdict": reply.verdict, **reply.record})
            if not reply.is_answered:
                ctx.note(f"self_refine: no critique of candidate {answer.id}: {reply.problem}")
                break
            if reply.verdict == _GOOD:
                break
            attempts.append(Attempt(answer, self._turn(reply.text_without_reasoning, prompt, ctx)))

        selection = await self._select(prompt, pool, best, ctx)
        return replace(selection, details={"critiques": critiques})

    async def _select(
        self, prompt: Prompt, pool: list[Candidate], best: Candidate | None, ctx: Context
    ) -> Selection:
        if self.selector is not None:
            return await select(self.selector, prompt, pool, ctx)
        if best is None:
            usable(pool)  # raises, and says why
            raise SelectionError("no answer was drawn")
        return chosen(best)

    async def _critique(self, prompt: Prompt, answer: Candidate, ctx: Context) -> Reply[int]:
        asked = question(
            "critique",
            prompt,
            {"1": said(answer)},
            ctx,
            role="verifier",
            engine=self.critic,
            params=SamplingParams(temperature=0.0, max_tokens=self.critique_tokens),
            template_language=self.template_language,
            templates=self.templates,
            form=numbers(2),
        )
        [reply] = await ask([asked], ctx)
        return reply

    def _turn(self, critique: str, prompt: Prompt, ctx: Context) -> str:
        """The user's next turn: the critique without its verdict, and to try again."""
        remarks = _VERDICT.sub("", critique).strip()
        return f"{remarks}\n\n{words_for(prompt, ctx).try_again}".strip()

    def _request(self, prompt: Prompt, attempts: list[Attempt], step: int, ctx: Context) -> Request:
        seen = attempts[-self.shown :]
        purpose = "sample"
        if step > 0:
            purpose = f"self_refine/{step}"
        params = SamplingParams(
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            seed=ctx.random(purpose).getrandbits(31),
            logprobs=logprobs_needed(self.selector),
        )
        return Request(prompt=with_attempts(prompt, seen), params=params, parents=ids(seen))
