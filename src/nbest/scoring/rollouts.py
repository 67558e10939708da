"""A verifier without a model of its own: what the policy makes of a beginning, many times over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import ClassVar, Literal

from nbest.context import Context
from nbest.demand import Demand, others
from nbest.errors import CapabilityError
from nbest.offload import spaced
from nbest.protocols import EngineName
from nbest.scoring.aggregate import Reduce, aggregate
from nbest.scoring.recorded_logprobs import mean
from nbest.scoring.score_cache import score_cache
from nbest.scoring.step_texts import Split, prefixes_of
from nbest.text.answer_classes import answer_classes
from nbest.types import Candidate, Prompt, Request, SamplingParams, Score, replace

_Key = tuple[str, bool]
_NO_SCORE = Score(value=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollouts:
    """Monte-Carlo values of beginnings, by agreement instead of a gold answer.

    Each beginning is completed `k` times (Wang et al. 2023, arXiv 2312.08935, §3.3, which compares with
    gold). Let p(c) be the mean, over the candidates of the call, of the share of a candidate's rollouts
    that end in answer class c; a finished candidate is its own only rollout, and costs nothing. The value
    of a beginning is the mean over its rollouts of

        value=majority: 1 where the rollout's class is the c of greatest p(c) (of equals, the one that the
                        lowest id reached first), else 0;
        value=share:    p(c) of the rollout's class: for finished candidates their share of the vote.

    A rollout without an answer counts 0; failed ones are left out, and a beginning without any has no
    value. Values depend on the candidates of the same call; before its final choice, a search asks about all
    of its candidates together. A beginning is completed once per prompt and kept. All is metered as the
    verifier's. Raises `CapabilityError` where the engine continues no text.
    """

    is_open_to_clients: ClassVar[bool] = True
    depends_on_pool: ClassVar[bool] = True

    k: int = 8
    value: Literal["majority", "share"] = "majority"
    engine: EngineName | None = None
    """Name of the engine that completes; without one the engine called "verifier", else the policy."""
    temperature: float = 0.7
    max_tokens: int = 1024
    every: bool = False
    """true values every step of a candidate, finished ones too: `Score.steps`, at k calls a step."""
    split: Split = "line"
    reduce: Reduce = "last"
    """What `every` makes of the values of the steps."""

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, got {self.k}")
        if self.reduce != "last" and not self.every:
            raise ValueError(f"reduce={self.reduce} needs every=true")
        SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens)

    def demand(self, n: int, steps: int) -> Demand:
        num_beginnings = n * (steps if self.every else 1)
        return others(num_beginnings * self.k, self.max_tokens)

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        pool = sorted((c for c in candidates if c.is_usable), key=lambda c: c.id)
        begun = [text for c in pool for text in self._unfinished(c)]
        rolled = await self.roll(prompt, begun, ctx)

        ends_by_id = {c.id: _ends_of(c, rolled) for c in pool}
        class_by_text = await self._classes(pool, rolled, prompt, ctx)
        weights = self._weights([[class_by_text[end] for end in ends_by_id[c.id]] for c in pool])
        weight_by_text = {text: weights.get(key, 0.0) for text, key in class_by_text.items()}

        score_by_key: dict[_Key, Score] = {}
        for candidate in pool:
            ends_of_each = [*self._ends_of_steps(candidate, rolled), ends_by_id[candidate.id]]
            values = [_value(ends, weight_by_text) for ends in ends_of_each]
            score_by_key[_key(candidate)] = self._score(values)
        return [_score_of(c, score_by_key) for c in candidates]

    async def roll(self, prompt: Prompt, texts: Sequence[str], ctx: Context) -> Mapping[str, Sequence[str]]:
        """Each text with what it was completed to; failed completions are left out.

        Seeds depend on the run, the prompt and the text alone, so the order of calls changes nothing.
        """
        known: dict[str, list[str]] = score_cache(ctx, self, prompt)
        new = [t for t in dict.fromkeys(texts) if t not in known]
        if new:
            await self._check(ctx)
            drawn = await ctx.complete([self._request(prompt, t, ctx) async for t in spaced(new)])
            for text, completions in zip(new, drawn, strict=True):
                there = [text + c.text for c in completions if c.error is None]
                if there:
                    known[text] = there
            missing = [t for t in new if t not in known]
            if missing:
                errors = [c.error for completions in drawn for c in completions if c.error]
                why = next(iter(errors), "the budget or the deadline forbids the call")
                ctx.note(f"rollouts: {len(missing)} of {len(new)} beginnings have no value; the first: {why}")
        return {t: known[t] for t in texts if t in known}

    async def _classes(
        self, pool: Sequence[Candidate], rolled: Mapping[str, Sequence[str]], prompt: Prompt, ctx: Context
    ) -> dict[str, str | None]:
        """The class of each text that a candidate is or was completed to."""
        finished = [c for c in pool if not is_partial(c)]
        completed = [replace(c, text=end) for c in pool for end in _ends(self._beginnings(c), rolled)]
        return await _classes([*finished, *completed], prompt, ctx)

    def _ends_of_steps(
        self, candidate: Candidate, rolled: Mapping[str, Sequence[str]]
    ) -> list[Sequence[str]]:
        """What each beginning of a candidate, but for its whole text, was completed to."""
        return [rolled.get(text, ()) for text in self._beginnings(candidate)[:-1]]

    def _unfinished(self, candidate: Candidate) -> list[str]:
        """Those of `_beginnings` that have to be completed."""
        texts = self._beginnings(candidate)
        if is_partial(candidate):
            return texts
        return texts[:-1]

    def _beginnings(self, candidate: Candidate) -> list[str]:
        """Those of a candidate that get a value; the candidate's text is the last."""
        if not self.every:
            return [candidate.text]
        return [*prefixes_of(candidate.text, self.split)[:-1], candidate.text]

    def _request(self, prompt: Prompt, text: str, ctx: Context) -> Request:
        return Request(
            prompt=prompt,
            prefix=text,
            n=self.k,
            params=SamplingParams(
                temperature=self.temperature,
                max_tokens=self.max_tokens,
                seed=ctx.random(f"rollouts/{text}").getrandbits(31),
            ),
            role="verifier",
            engine=self.engine,
        )

    async def _check(self, ctx: Context) -> None:
        can = await ctx.capabilities("verifier", self.engine)
        if can and not can.prefix:
            name = ctx.engine_for("verifier", self.engine).name
            raise CapabilityError(f"rollouts continue a text, and {name} answers anew instead")

    def _weights(self, ends: Sequence[Sequence[str | None]]) -> Mapping[str | None, float]:
        """What ending in a class is worth; `ends` are the classes that each candidate's rollouts end in."""
        there = [e for e in ends if e]
        shares: dict[str | None, float] = {
            key: fsum(e.count(key) / len(e) for e in there) / len(there)
            for e in there
            for key in e
            if key is not None
        }
        if self.value == "share" or not shares:
            return shares
        return {max(shares, key=lambda key: shares[key]): 1.0}

    def _score(self, values: Sequence[float | None]) -> Score:
        known = tuple(v for v in values if v is not None)
        if len(known) == len(values):
            value = aggregate(known, self.reduce)
            if self.every:
                return Score(value=value, steps=known)
            return Score(value=value)
        if self.reduce == "last":
            return Score(value=values[-1])
        return _NO_SCORE


def is_partial(candidate: Candidate) -> bool:
    """Whether a candidate is a beginning that search has not finished."""
    return candidate.finish == "step"


def _ends_of(candidate: Candidate, rolled: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """What a candidate may end in: itself where it is finished."""
    if is_partial(candidate):
        return rolled.get(candidate.text, ())
    return (candidate.text,)


def _score_of(candidate: Candidate, score_by_key: Mapping[_Key, Score]) -> Score:
    if not candidate.is_usable:
        return _NO_SCORE
    return score_by_key.get(_key(candidate), _NO_SCORE)


def _ends(beginnings: Sequence[str], rolled: Mapping[str, Sequence[str]]) -> list[str]:
    return [completed for t in beginnings for completed in rolled.get(t, ())]


async def _classes(whole: Sequence[Candidate], prompt: Prompt, ctx: Context) -> dict[str, str | None]:
    """The class of each text's answer, as a vote would find it. Raises `EngineError` where that takes too long."""
    # Several have the id of the candidate that they complete.
    numbered = [replace(c, id=place) for place, c in enumerate(whole)]
    keys = await answer_classes(numbered, prompt, seconds=ctx.seconds_left)
    return {c.text: key for c, key in zip(whole, keys, strict=True)}


def _value(ends: Sequence[str], weight_by_text: Mapping[str, float]) -> float | None:
    """The mean weight of what a step was completed to; None where every completion failed."""
    return mean([weight_by_text[end] for end in ends])


def _key(candidate: Candidate) -> _Key:
    """The same text has the same score, be it finished or be it not."""
    return candidate.text, is_partial(candidate)
