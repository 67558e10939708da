"""Cross-lingual minimum Bayes risk: answers in other languages are evidence, and cannot win."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from math import fsum, isfinite
from typing import ClassVar

from nbest.context import Context
from nbest.errors import SelectionError
from nbest.protocols import LanguageCode, Utility
from nbest.registry import spec_of
from nbest.selection.mbr import NeedsPrompt, or_first, row_means, utilities
from nbest.selection.pool import answer_texts, argmax, chosen, usable
from nbest.text.language_codes import check_language, primary_subtag
from nbest.text.language_tags import closest_tag
from nbest.types import Candidate, Prompt, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Xmbr:
    """X-MBR: argmax_i Σ_j w_j u(y_i, y_j) (Khairi et al. 2025, arXiv 2506.20544).

    i runs over the candidates that were asked for in the prompt's language (`Candidate.language`, where
    it is recorded), j over all usable ones: with w = 1 in that language and `evidence` in any other. The
    sampler `translated` and the strategy `cross_lingual` draw such evidence. `scores` are weighted mean
    utilities, of the candidates that may win.

    `utility` has to compare across languages: `embedding` or `comet`. One that is not marked `is_multilingual`, such as
    chrF, sees little more than names and digits across languages; that is allowed, and noted. Without
    evidence the choice is that of `mbr`. Where the utility fails or is late, the first candidate
    that may win does, as there.
    Raises `SelectionError` where no candidate may win.
    """

    is_open_to_clients: ClassVar[bool] = True

    utility: Utility
    evidence: float | dict[LanguageCode, float] = 1.0
    """Weight of a sample in another language, for all or by language (`pt` holds for `pt-BR`); what is not named weighs 1."""

    def __post_init__(self) -> None:
        given: Iterable[float]
        if isinstance(self.evidence, dict):
            for language in self.evidence:
                check_language(language)
            given = self.evidence.values()
        else:
            given = (self.evidence,)
        if not all(isfinite(w) and w >= 0 for w in given):
            raise ValueError(f"evidence={self.evidence} must be weights of at least 0")

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection:
        informed = self
        if isinstance(self.utility, NeedsPrompt):
            informed = replace_fields(self, utility=self.utility.for_prompt(prompt))
        pool = usable(candidates)
        own = [
            c
            for c in pool
            if c.language is None or primary_subtag(c.language) == primary_subtag(prompt.language)
        ]
        if not own:
            raise SelectionError(
                f"no candidate in the prompt's language ({prompt.language or 'not known'}) is usable: the"
                f" {len(pool)} others are evidence only"
            )
        return await or_first(informed.choose(pool, own, ctx), own, ctx)

    async def choose(self, pool: Sequence[Candidate], own: Sequence[Candidate], ctx: Context) -> Selection:
        """The choice among `own`, once the utility knows the prompt."""
        text_by_id = await answer_texts(pool)
        speaking = [c for c in own if c.id in text_by_id]
        if not speaking:
            return chosen(own[0])
        weight_by_id = dict.fromkeys(text_by_id, 1.0)
        for c in pool:
            if c not in own and c.id in text_by_id:
                weight_by_id[c.id] = self._weight(c.language)

        # Sorted, and equal texts once: the order of the pool must not matter, not even by rounding.
        texts = sorted({text_by_id[c.id] for c in speaking})
        if len(texts) == 1:
            return chosen(speaking[0], weights={c.id: 1.0 for c in speaking})

        references = sorted({text for i, text in text_by_id.items() if weight_by_id[i] > 0})
        weights = [fsum(weight_by_id[i] for i, text in text_by_id.items() if text == r) for r in references]
        self._note_a_lexical_utility(weight_by_id, speaking, ctx)
        matrix = await utilities(self.utility, texts, references, ctx)
        means = dict(zip(texts, row_means(matrix, weights), strict=True))
        scores = {c.id: means[text_by_id[c.id]] for c in speaking}
        winner = argmax(speaking, scores)
        row = dict(zip(references, matrix[texts.index(text_by_id[winner.id])].tolist(), strict=True))
        support = {i: weight_by_id[i] * max(0.0, row.get(text, 0.0)) for i, text in text_by_id.items()}
        return chosen(winner, weights=support, scores=scores)

    def _weight(self, language: str | None) -> float:
        if not isinstance(self.evidence, dict):
            return self.evidence
        named = closest_tag(language, self.evidence)
        return 1.0 if named is None else self.evidence[named]

    def _note_a_lexical_utility(
        self,
        weight_by_id: dict[int, float],
        own: Sequence[Candidate],
        ctx: Context,
    ) -> None:
        has_evidence = sum(weight > 0 for weight in weight_by_id.values()) > len(own)
        if has_evidence and not getattr(self.utility, "is_multilingual", False):
            ctx.note(
                f"xmbr: {spec_of(self.utility)} does not compare texts across languages, so the evidence"
                " counts for little: use  embedding  or  comet"
            )
