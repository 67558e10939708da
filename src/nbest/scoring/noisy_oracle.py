"""Ground truth made as unreliable as a verifier of a given quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import NormalDist
from typing import ClassVar

from nbest.context import Context
from nbest.protocols import Scorer
from nbest.scoring.gold_answer import truths
from nbest.scoring.oracle_rollouts import OracleRollouts
from nbest.scoring.rollouts import is_partial
from nbest.scoring.step_texts import Split, prefixes_of
from nbest.types import Candidate, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyOracle:
    """Ground truth made as unreliable as a verifier of a given AUC: what would that verifier pay?

    A candidate's truth t is 1 or 0: for a finished one whether its answer is right, for a beginning the
    score by `prefix` (a soft value is taken as it is). Its score is Φ(δ·(t − ½) + e), between 0 and 1, where
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
        values: list[float | None] = [None] * len(candidates)
        usable = [i for i, c in enumerate(candidates) if c.is_usable]
        begun = [i for i in usable if is_partial(candidates[i])]
        ended = [i for i in usable if not is_partial(candidates[i])]

        found = await truths(prompt, [candidates[i] for i in ended], ctx)
        for i, true in zip(ended, found, strict=True):
            values[i] = true
        if begun:
            scores = await self.prefix(prompt, [candidates[i] for i in begun], ctx)
            for i, score in zip(begun, scores, strict=True):
                values[i] = score.value
        return [Score(value=self._value(t, c, ctx)) for c, t in zip(candidates, values, strict=True)]

    def _value(self, true: float | None, candidate: Candidate, ctx: Context) -> float | None:
        if true is None or self.auc == 1:
            return true
        normal = NormalDist()
        delta = sqrt(2) * normal.inv_cdf(self.auc)
        return normal.cdf(delta * (true - 0.5) + self._error(candidate, ctx))

    def _error(self, candidate: Candidate, ctx: Context) -> float:
        first, *rest = _beginnings(candidate, self.split, ctx)
        error = ctx.random(f"noisy_oracle/{first}").gauss(0, 1)
        for prefix in rest:
            fresh = ctx.random(f"noisy_oracle/{prefix}").gauss(0, 1)
            error = self.rho * error + sqrt(1 - self.rho**2) * fresh
        return error


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
