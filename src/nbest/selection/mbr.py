"""Minimum Bayes risk: the candidate that is the best answer on average over all answers of the pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from math import fsum
from random import Random
from typing import ClassVar, Literal, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nbest.context import Context
from nbest.errors import CapabilityError, EngineError, SelectionError
from nbest.protocols import Utility
from nbest.registry import spec_of
from nbest.selection.pool import answer_texts, argmax, chosen, usable
from nbest.types import Candidate, Prompt, Selection
from nbest.utilities.chrf import Chrf

_CELLS = 1 << 24
"""Pairs that one call of a utility gets at most: larger pools are done in blocks of hypotheses."""
_MAX_RESAMPLES = 10_000

_Rows = dict[str, dict[str, float]]
"""Utility of a text for each reference: of all texts that may win."""
_Means = tuple[dict[str, float], _Rows]
"""Expected utility of every text, and the rows of those that may win."""


@runtime_checkable
class Aggregating(Protocol):
    """A utility that can score hypotheses against the mean of all references at once."""

    async def aggregate(
        self, hypotheses: Sequence[str], references: Sequence[str], weights: Sequence[float], ctx: Context
    ) -> NDArray[np.float64]: ...


@runtime_checkable
class NeedsPrompt(Protocol):
    """A utility that also reads what was asked (COMET: the source of a translation)."""

    def for_prompt(self, prompt: Prompt) -> Utility: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mbr:
    """Minimum Bayes risk decoding: argmax_i Σ_j u(y_i, y_j), j over all usable candidates, i included.

    Every candidate is a hypothesis and a sample of what the model believes, so a text that was drawn
    twice counts twice as evidence (and is computed once). Texts are compared without their reasoning; an
    empty one neither wins nor counts, unless all are empty. `scores` are the expected utilities in the
    utility's unit; `weights` say how much of the winner's utility each candidate gave. One candidate wins
    as it is. Sums are exact (`fsum`): neither the order of the pool nor rounding decides a tie, the lowest
    id does. Kumar and Byrne 2004; Eikema and Aziz 2020 (arXiv 2005.10283).

    Where the utility's engine fails, or is late for the deadline, the first candidate wins, with a note. Raises
    `SelectionError` where a utility returns anything but N×M finite numbers, and `CapabilityError` for
    `aggregate` with a utility that has no such form.
    """

    is_open_to_clients: ClassVar[bool] = True

    utility: Utility = field(default_factory=Chrf)
    mode: Literal["exact", "aggregate", "pruned"] = "exact"
    """exact: every pair. aggregate: against the mean of all references, O(N), approximate (Vamvas and
    Sennrich 2024, arXiv 2402.04251). pruned: against more and more references, dropping hypotheses that a
    bootstrap says will not win (Cheng and Vlachos 2023, arXiv 2311.14919): for costly utilities."""
    confidence: float = 0.99
    """pruned: a hypothesis is dropped once it beats the leader in less than 1 − this of the resamples."""
    first_references: int = 16
    """pruned: how many references come first; then twice as many each time, up to all."""
    num_resamples: int = 500

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence={self.confidence} must be between 0 and 1")
        if self.first_references < 1 or self.num_resamples < 1:
            raise ValueError("first_references and num_resamples must be at least 1")
        if self.num_resamples > _MAX_RESAMPLES:
            raise ValueError(f"num_resamples={self.num_resamples} must be at most {_MAX_RESAMPLES}")

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        informed = self
        if isinstance(self.utility, NeedsPrompt):
            informed = replace_fields(self, utility=self.utility.for_prompt(prompt))
        return await or_first(informed.choose(candidates, ctx), candidates, ctx)

    async def choose(self, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        """The choice, once the utility knows the prompt."""
        pool = usable(candidates)
        # Sorted, so that not even a utility whose rounding depends on its batch sees the pool's order.
        text_by_id = await answer_texts(pool)
        count_by_text = Counter(sorted(text_by_id.values()))
        texts = list(count_by_text)
        if len(texts) == 1:
            first = next(c for c in pool if c.id in text_by_id)
            return chosen(first, weights=dict.fromkeys(text_by_id, 1.0))

        if self.mode == "exact":
            means, rows = await self._exact(texts, list(count_by_text.values()), ctx)
        elif self.mode == "aggregate":
            means, rows = await self._aggregate(texts, list(count_by_text.values()), ctx)
        else:
            means, rows = await self._pruned(count_by_text, ctx)
        scores = {i: means[text] for i, text in text_by_id.items()}
        winner = argmax([c for c in pool if text_by_id.get(c.id) in rows], scores)
        row = rows[text_by_id[winner.id]]
        weights = {i: max(0.0, row.get(text, 0.0)) for i, text in text_by_id.items()}
        return chosen(winner, weights=weights, scores=scores)

    async def _exact(self, texts: list[str], counts: list[int], ctx: Context) -> _Means:
        """`_CELLS` pairs at a time."""
        step = max(1, _CELLS // len(texts))
        means: dict[str, float] = {}
        rows: _Rows = {}
        for start in range(0, len(texts), step):
            block = texts if step >= len(texts) else texts[start : start + step]
            matrix = await self._utilities(block, texts, ctx)
            means.update(zip(block, row_means(matrix, counts), strict=True))
            highest = max(means.values())
            rows = {t: row for t, row in rows.items() if means[t] == highest}
            rows |= {
                t: dict(zip(texts, matrix[i].tolist(), strict=True))
                for i, t in enumerate(block)
                if means[t] == highest
            }
        return means, rows

    async def _aggregate(self, texts: list[str], counts: list[int], ctx: Context) -> _Means:
        if not isinstance(self.utility, Aggregating):
            raise CapabilityError(
                f"mbr(mode=aggregate): {spec_of(self.utility)} has no aggregate form, chrf has one;"
                " use mode=exact, or mode=pruned where the utility is costly"
            )
        scores = (await self.utility.aggregate(texts, texts, counts, ctx)).tolist()
        means: dict[str, float] = dict(zip(texts, scores, strict=True))
        highest = max(scores)
        best = [t for t in texts if means[t] == highest]
        matrix = await self._utilities(best, texts, ctx)
        return means, {
            t: dict(zip(texts, row, strict=True)) for t, row in zip(best, matrix.tolist(), strict=True)
        }

    async def _pruned(self, counts: Counter[str], ctx: Context) -> _Means:
        """Means of texts that were dropped are over the references seen until then."""
        rng = ctx.random("select")
        references = list(counts.elements())
        rng.shuffle(references)
        rows: _Rows = {t: {} for t in counts}
        means: dict[str, float] = {}
        num_seen = 0
        while num_seen < len(references) and len(rows) > 1:
            num_seen = min(len(references), max(self.first_references, 2 * num_seen))
            seen = Counter(references[:num_seen])
            alive = list(rows)
            new = sorted(seen.keys() - rows[alive[0]].keys())
            if new:
                matrix = await self._utilities(alive, new, ctx)
                for text, row in zip(alive, matrix.tolist(), strict=True):
                    rows[text].update(zip(new, row, strict=True))
            matrix = np.array([[rows[t][r] for r in seen] for t in alive])
            means.update(zip(alive, row_means(matrix, list(seen.values())), strict=True))
            if num_seen < len(references):
                wins = _wins_over_leader(matrix, list(seen.values()), self.num_resamples, rng)
                rows = {t: rows[t] for t, w in zip(alive, wins, strict=True) if w > 1 - self.confidence}
        return means, rows

    async def _utilities(
        self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
    ) -> NDArray[np.float64]:
        return await utilities(self.utility, hypotheses, references, ctx)


async def or_first(choice: Awaitable[Selection], candidates: Sequence[Candidate], ctx: Context) -> Selection:
    """The choice; the first of `candidates` and a note where the utility's engine fails, or is late for the deadline.

    A failed utility costs its values, never an answer that was drawn.
    """
    try:
        return await choice
    except EngineError as e:
        ctx.fall_back(f"no utilities, so the first candidate was chosen: {e}")
        return chosen(usable(candidates)[0])


async def utilities(
    utility: Utility, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
) -> NDArray[np.float64]:
    """The N×M matrix of `utility`. Raises `SelectionError` where that is anything but finite numbers."""
    matrix = await utility(hypotheses, references, ctx)
    shape = len(hypotheses), len(references)
    if matrix.shape != shape:
        raise SelectionError(f"{spec_of(utility)} returned {matrix.shape} utilities, not {shape}")
    if not np.isfinite(matrix).all():
        raise SelectionError(f"{spec_of(utility)} returned utilities that are no finite numbers")
    return matrix


def row_means(matrix: NDArray[np.float64], counts: Sequence[float]) -> list[float]:
    """Mean of each row, column j counted `counts[j]` times: exact, whatever the order of columns."""
    weighted = matrix if min(counts) == max(counts) == 1 else matrix * np.array(counts)
    return [fsum(cast("list[float]", row.tolist())) / fsum(counts) for row in weighted]


def _wins_over_leader(
    matrix: NDArray[np.float64], counts: Sequence[int], num_resamples: int, rng: Random
) -> list[float]:
    """Share of bootstrap resamples of the references in which each row's mean is at least the best row's."""
    shares = np.array(counts) / sum(counts)
    resamples = np.random.default_rng(rng.getrandbits(64)).multinomial(sum(counts), shares, num_resamples)
    totals = matrix @ resamples.T
    leader = int(np.argmax(matrix @ shares))
    return (totals >= totals[leader]).mean(axis=1).tolist()
