"""Process reward models whose next token behind a step is "good" or "bad"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, Literal

from nbest.context import Context
from nbest.demand import Demand, others
from nbest.errors import CapabilityError
from nbest.protocols import EngineName, FreeText
from nbest.scoring.aggregate import Reduce, aggregate
from nbest.scoring.next_token import has_alternatives, num_logprobs, share
from nbest.scoring.score_cache import score_cache
from nbest.scoring.step_texts import Split, note_half_steps, steps_of
from nbest.text.raw_prompt import raw_text
from nbest.types import Candidate, Completion, Message, Prompt, Request, SamplingParams, Score, replace

Steps = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrm:
    """A PRM by log-probabilities: P(good) / (P(good) + P(bad)) as the next token after each step.

    form="rlhflow" (Xiong et al. 2024, RLHFlow/RLHF-Reward-Modeling): a conversation, each step a user's
    turn, the first behind the question, each earlier step answered by `good`. form="math_shepherd" (Wang
    et al. 2023, arXiv 2312.08935): one text, question and steps, each step followed by ` tag`; name an
    engine that takes plain text, for a chat template is not part of it.

    One call of one token for each distinct prefix of all candidates; what was asked once for a prompt is
    not asked again, so a search pays for new steps only. `Score.steps` has a value for each step, and
    `reduce` makes the score of them. A prefix that the budget forbids, that failed, or after which
    neither token is among the likeliest has no value: its candidates have no score, and a note says so.
    Raises `CapabilityError` where the engine gives no log-probabilities.
    """

    is_open_to_clients: ClassVar[bool] = True

    engine: EngineName | None = None
    """Name of the engine that verifies; without one the engine called "verifier", else the policy."""
    form: Literal["rlhflow", "math_shepherd"] = "rlhflow"
    good: FreeText = "+"
    bad: FreeText = "-"
    tag: FreeText = "ки"
    split: Split = "line"
    reduce: Reduce = "last"
    every: bool = True
    """false asks about the last step alone: one call a candidate, and no `Score.steps`."""
    top_logprobs: int = 20
    """How many next tokens are looked at, or as many as the engine gives."""

    def __post_init__(self) -> None:
        if not self.every and self.reduce != "last":
            raise ValueError(f"reduce={self.reduce} needs every step: leave out every=false")
        if not self.good.strip() or not self.bad.strip() or self.good == self.bad:
            raise ValueError(f"good and bad must be two words, got {self.good!r} and {self.bad!r}")

    def demand(self, n: int, steps: int) -> Demand:
        return others(n * (steps if self.every else 1), 1)

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        note_half_steps("token_prm", candidates, self.split, ctx)
        steps = [tuple(s.strip() for s in steps_of(c.text, self.split)) for c in candidates]
        wanted = [self._prefixes(s) if c.is_usable else [] for c, s in zip(candidates, steps, strict=True)]
        values = await self._values(prompt, list(dict.fromkeys(p for ps in wanted for p in ps)), ctx)
        return [self._score([values.get(p) for p in prefixes]) for prefixes in wanted]

    def _prefixes(self, steps: Steps) -> list[Steps]:
        prefixes = list(accumulate((s,) for s in steps))
        if self.every:
            return prefixes
        return prefixes[-1:]

    def _score(self, values: Sequence[float | None]) -> Score:
        known = tuple(v for v in values if v is not None)
        if len(known) < len(values):
            last = None
            if self.reduce == "last":
                last = values[-1]
            return Score(value=last)
        value = aggregate(known, self.reduce)
        if self.every:
            return Score(value=value, steps=known)
        return Score(value=value)

    async def _values(
        self, prompt: Prompt, prefixes: Sequence[Steps], ctx: Context
    ) -> Mapping[Steps, float | None]:
        known: dict[Steps, float | None] = score_cache(ctx, self, prompt)
        new = [p for p in prefixes if p not in known]
        if not new:
            return known
        lacking = CapabilityError(
            "token_prm reads log-probabilities, and this engine returns none: use one that does, or step_judge"
        )
        k = await num_logprobs(ctx, "verifier", self.engine, wanted=self.top_logprobs, lacking=lacking)
        drawn = await ctx.complete([self._request(prompt, p, k) for p in new])
        answered = [c[0] for c in drawn if c and c[0].error is None]
        if answered and not any(map(has_alternatives, answered)):
            raise lacking
        problems: list[str] = []
        for prefix, completions in zip(new, drawn, strict=True):
            value = None
            if completions:
                value = share(completions[0], (self.good,), (self.bad,))
            if value is None:
                problems.append(self._why(completions))
            if completions and completions[0].error is None:
                known[prefix] = value
        if problems:
            ctx.note(
                f"token_prm: {len(problems)} of {len(new)} step prefixes have no value; the first: {problems[0]}"
            )
        return known

    def _request(self, prompt: Prompt, steps: Steps, k: int) -> Request:
        """Of one token, under a prompt id of its own: it is no draw of the prompt itself."""
        question = raw_text(prompt)
        if self.form == "rlhflow":
            user_turns = [f"{question} {steps[0]}", *steps[1:]]
            turns = [
                turn
                for step in user_turns
                for turn in (
                    Message(role="user", content=step),
                    Message(role="assistant", content=self.good),
                )
            ][:-1]
        else:
            marked = "\n".join(f"{step} {self.tag}" for step in steps)
            turns = [Message(role="user", content=f"{question} {marked}")]
        return Request(
            prompt=replace(prompt, id=f"{prompt.id}/token_prm", messages=tuple(turns), overrides=None),
            params=SamplingParams(temperature=0.0, max_tokens=1, logprobs=k),
            role="verifier",
            engine=self.engine,
        )

    def _why(self, completions: Sequence[Completion]) -> str:
        if not completions:
            return "the budget or the deadline forbids the call"
        missing = f"neither {self.good!r} nor {self.bad!r} is among the likeliest next tokens"
        return completions[0].error or missing
