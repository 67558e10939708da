"""Closeness to a reference as a verifier: what a perfect selector would reach by a metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.protocols import Utility
from nbest.types import Candidate, Json, Prompt, Score


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
        given: list[Json] = [gold]
        if isinstance(gold, list):
            given = cast("list[Json]", gold)
        references = [str(r) for r in given if r is not None]
        if not references:
            raise CapabilityError(
                f"prompt {prompt.id!r} has no reference: the reference_oracle needs `reference` in its row"
            )
        if not candidates:
            return []
        matrix = await self.utility([c.text for c in candidates], references, ctx)
        return [Score(value=float(best)) for best in matrix.max(axis=1)]
