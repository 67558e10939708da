"""Reasoning made longer by a word such as "Wait"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nbest.context import Context
from nbest.demand import Demand, answers, total
from nbest.protocols import FreeText
from nbest.selection.pool import chosen, usable
from nbest.strategies.phrases import words_for
from nbest.types import Candidate, Prompt, Request, SamplingParams, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetForcing:
    """Budget forcing (s1, Muennighoff et al. 2025, arXiv 2501.19393): a text that ends is made to go on.

    The model answers. Each time its text ends, `word` is appended ("Wait," in the prompt's language, on a new
    line) and the model continues, `waits` times in all. What follows the last `end_of_thinking` of a reasoning
    model is dropped first, so that its reasoning continues. A text that is truncated at `max_tokens` is made to
    answer instead: its reasoning is closed, the words for the final answer are appended, and that is the last
    stage. So is a text that calls tools.

    Each stage is a candidate with the whole text so far; the last that is not truncated wins. A stage that
    fails or adds nothing does not replace the one before, and is drawn again in place of the next one. The
    engine must continue a text: `CapabilityError` where it cannot.
    """

    is_open_to_clients: ClassVar[bool] = True

    waits: int = 2
    word: FreeText | None = None
    """In place of the shipped one for the prompt's language."""
    start_of_thinking: FreeText = "<think>"
    end_of_thinking: FreeText = "</think>"
    temperature: float = 0.7
    max_tokens: int = 1024
    """Of each stage."""
    answer_tokens: int = 256
    """Of the answer that a truncated text is made to give; 0 leaves it as it is."""

    def __post_init__(self) -> None:
        if self.waits < 0 or self.answer_tokens < 0:
            raise ValueError(
                f"waits and answer_tokens must be at least 0, got {self.waits} and {self.answer_tokens}"
            )
        if self.word is not None and not self.word.strip():
            raise ValueError("word must not be empty")
        if not self.end_of_thinking:
            raise ValueError("end_of_thinking must not be empty")
        self._params(0, self.max_tokens)

    def demand(self, n: int, steps: int) -> Demand:
        stages = answers(self.waits + 1, self.max_tokens)
        return total(stages, answers(1, max(1, self.answer_tokens)))

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        pool: list[Candidate] = []
        last: Candidate | None = None
        silent: set[int] = set()
        """Ids of stages that added nothing."""

        for stage in range(self.waits + 1):
            prefix = ""
            if last:
                prefix = self._longer(last.text, prompt, ctx)
            purpose = "sample"
            if stage > 0:
                purpose = f"budget_forcing/{stage}"
            seed = ctx.random(purpose).getrandbits(31)
            request = _continued(prompt, last, prefix, self._params(seed, self.max_tokens))
            drawn = await ctx.sample([request], is_answer=stage == self.waits)
            pool += drawn
            if not drawn:
                break
            if not drawn[0].is_usable:
                continue
            if _is_silent(drawn[0], prefix) and drawn[0].finish != "length":
                silent.add(drawn[0].id)
                continue

            last = drawn[0]
            if last.tool_calls:
                break
            if last.finish == "length":
                if self.answer_tokens:
                    prefix = self._answering(last.text, prompt, ctx)
                    request = _continued(prompt, last, prefix, self._params(seed, self.answer_tokens))
                    answers = await ctx.sample([request], is_answer=True)
                    silent |= {c.id for c in answers if _is_silent(c, prefix)}
                    pool += answers
                break

        return chosen(_last_whole(pool, silent, ctx.emitted))

    def _longer(self, text: str, prompt: Prompt, ctx: Context) -> str:
        thinking = text.rpartition(self.end_of_thinking)[0] or text
        return f"{thinking.rstrip()}\n{self.word or words_for(prompt, ctx).wait}"

    def _answering(self, text: str, prompt: Prompt, ctx: Context) -> str:
        is_thinking = text.rfind(self.start_of_thinking) > text.rfind(self.end_of_thinking)
        end = "\n"
        if is_thinking:
            end = f"\n{self.end_of_thinking}\n"
        return f"{text}{end}{words_for(prompt, ctx).final}"

    def _params(self, seed: int, max_tokens: int) -> SamplingParams:
        return SamplingParams(temperature=self.temperature, max_tokens=max_tokens, seed=seed)


def _last_whole(pool: Sequence[Candidate], silent: set[int], emitted: str) -> Candidate:
    """The last stage that added something and is not truncated. Raises `SelectionError` where none is usable.

    What has been streamed stands, silent or truncated.
    """
    stages = [c for c in pool if c.id not in silent or (emitted and c.text == emitted)]
    usable_stages = usable(stages)
    whole = [c for c in usable_stages if emitted or c.finish != "length"]
    return (whole or usable_stages)[-1]


def _is_silent(drawn: Candidate, prefix: str) -> bool:
    """Whether a stage adds nothing to its prefix."""
    return bool(prefix) and not drawn.tool_calls and not drawn.text[len(prefix) :].strip()


def _continued(prompt: Prompt, last: Candidate | None, prefix: str, params: SamplingParams) -> Request:
    return Request(prompt=prompt, prefix=prefix, params=params, parents=(last.id,) if last else ())
