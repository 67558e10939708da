"""Ground truth, to learn what a perfect selector would reach, or a verifier of a given quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, inf, sqrt
from statistics import NormalDist
from typing import ClassVar, cast

from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.protocols import Scorer, Utility
from nbest.scoring.rollouts import Rollouts, is_partial
from nbest.scoring.step_texts import Split, prefixes_of
from nbest.text.grading import is_right
from nbest.types import Candidate, Json, Prompt, Score, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """1 for a right final answer, else 0: an upper bound, never a method.

    A beginning is read as if it were an answer, and a note says so. The prompt's row must have an `answer`;
    raises `CapabilityError` where it has none.
    """

    is_open_to_clients: ClassVar[bool] = False

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        gold = _gold(prompt, ctx)
        if any(map(is_partial, candidates)):
            ctx.note(
                "oracle: steps of a search are read as final answers, and are mostly 0: search with"
                "  oracle_rollouts  or  noisy_oracle(auc=1.0)"
            )
        return [Score(value=float(is_right(c, prompt, gold))) for c in candidates]


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleRollouts:
    """What a process reward model is trained to say: the share of `k` completions that end right.

    The soft label of Math-Shepherd (Wang et al. 2023, arXiv 2312.08935, §3.3), for beginnings; 1 or 0 for
    finished candidates. It needs an `answer` in the prompt's row and an engine that continues a text, and
    raises `CapabilityError` without. An upper bound up to the noise of k draws, never a method. Metered as
    the verifier's; a beginning whose completions all fail has no value.
    """

    is_open_to_clients: ClassVar[bool] = False

    k: int = 8
    engine: str | None = None
    """Name of the engine that completes; without one the engine called "verifier", else the policy."""
    temperature: float = 0.7
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        self._rollouts()

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        gold = _gold(prompt, ctx)
        beginnings = [c.text for c in candidates if is_partial(c) and c.is_usable]
        rolled = await self._rollouts().roll(prompt, beginnings, ctx)
        ends = [
            [*rolled.get(c.text, ())] if is_partial(c) else [c.text] if c.is_usable else []
            for c in candidates
        ]
        rights = [
            [float(is_right(replace(c, text=t), prompt, gold)) for t in texts]
            for c, texts in zip(candidates, ends, strict=True)
        ]
        return [Score(value=fsum(r) / len(r) if r else None) for r in rights]

    def _rollouts(self) -> Rollouts:
        return Rollouts(
            k=self.k, engine=self.engine, temperature=self.temperature, max_tokens=self.max_tokens
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyOracle:
    """Ground truth made as unreliable as a verifier of a given AUC: what would that verifier pay?

    A candidate's truth t is 1 or 0: for a finished one whether its answer is right, for a beginning what
    `prefix` says (a soft value is taken as it is). Its score is Φ(δ·(t − ½) + e), between 0 and 1, where
    δ = √2·Φ⁻¹(AUC) and e is standard normal: a right and a wrong candidate differ by N(δ, 2), so the right
    one scores higher with probability AUC. auc=1 is the truth itself, auc=0.5 knows nothing.

    Errors run along a path: e_1 = z_1, e_s = ρ·e_{s−1} + √(1 − ρ²)·z_s over the steps s, where z_s depends
    on the run's seed, the prompt and the text up to step s alone. Steps end at `split`, and where the search
    that drew the candidate ended them. So solutions share the error of what they
    share, a search meets the same error again where it goes on, and calls in any order agree. The AUC
    is that of candidates without a common step (or ρ=0); those with one are told apart better than that.
    """

    is_open_to_clients: ClassVar[bool] = False

    auc: float = 0.9
    """Within a problem: the chance that a right candidate scores above a wrong one; from 0.5 to 1."""
    rho: float = 0.8
    """ρ, how much of the error goes on from step to step; from 0 to below 1."""
    prefix: Scorer = field(default_factory=OracleRollouts)
    """Whether a beginning can still succeed. By default the share of its completions that do, with this
    model; `word_steps` is exact for the problems of `nbest.lab`."""
    split: Split = "line"

    def __post_init__(self) -> None:
        if not 0.5 <= self.auc <= 1:  # noqa: PLR2004
            raise ValueError(f"auc must be from 0.5 to 1, got {self.auc}")
        if not 0 <= self.rho < 1:
            raise ValueError(f"rho must be from 0 to below 1, got {self.rho}")

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        gold = _gold(prompt, ctx)
        begun = [i for i, c in enumerate(candidates) if is_partial(c) and c.is_usable]
        truths = [
            None if is_partial(c) or not c.is_usable else float(is_right(c, prompt, gold)) for c in candidates
        ]
        if begun:
            for i, score in zip(
                begun, await self.prefix(prompt, [candidates[i] for i in begun], ctx), strict=True
            ):
                truths[i] = score.value
        return [
            Score(value=None if t is None else self._value(t, c, ctx))
            for c, t in zip(candidates, truths, strict=True)
        ]

    def _value(self, truth: float, candidate: Candidate, ctx: Context) -> float:
        normal = NormalDist()
        delta = sqrt(2) * normal.inv_cdf(self.auc) if self.auc < 1 else inf
        return truth if delta == inf else normal.cdf(delta * (truth - 0.5) + self._error(candidate, ctx))

    def _error(self, candidate: Candidate, ctx: Context) -> float:
        first, *rest = _beginnings(candidate, self.split, ctx)
        error = ctx.random(f"noisy_oracle/{first}").gauss(0, 1)
        for prefix in rest:
            fresh = ctx.random(f"noisy_oracle/{prefix}").gauss(0, 1)
            error = self.rho * error + sqrt(1 - self.rho**2) * fresh
        return error


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceOracle:
    """A candidate's utility against the row's reference (chrF, BLEU, …): an upper bound, never a method.

    The prompt's row must have a `reference`, one text or a list of them, of which the best counts;
    raises `CapabilityError` where it has none. `best(reference_oracle(utility=chrf))` is the best that any
    selector could do by that metric.
    """

    is_open_to_clients: ClassVar[bool] = False

    utility: Utility

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        gold: Json = ctx.gold.get("reference")
        given: list[Json] = cast("list[Json]", gold) if isinstance(gold, list) else [gold]
        references = [str(r) for r in given if r is not None]
        if not references:
            raise CapabilityError(
                f"prompt {prompt.id!r} has no reference: the reference_oracle needs `reference` in its row"
            )
        if not candidates:
            return []
        matrix = await self.utility([c.text for c in candidates], references, ctx)
        return [Score(value=float(best)) for best in matrix.max(axis=1)]


def _beginnings(candidate: Candidate, split: Split, ctx: Context) -> list[str]:
    """The text up to each end of a step, of `split` or of the search in this context, without white space there."""
    text = candidate.text
    ends = {len(p.rstrip()) for p in prefixes_of(text, split)}
    at = candidate
    while at.parents and at.parents[0] < len(ctx.candidates):
        at = ctx.candidates[at.parents[0]]
        if not (is_partial(at) and text.startswith(at.text)):
            break
        ends.add(len(at.text.rstrip()))
    return [text[:n] for n in sorted(ends - {0})] or [""]


def _gold(prompt: Prompt, ctx: Context) -> Mapping[str, Json]:
    if ctx.gold.get("answer") is None:
        raise CapabilityError(
            f"prompt {prompt.id!r} has no gold answer: the oracle needs `answer` in its row"
        )
    return ctx.gold
