"""Which candidates of a record are draws: the sample that pass@k, hope, risk, oracle, means and pool sizes are of."""

from __future__ import annotations

from collections.abc import Sequence

from nbest.text.language_codes import primary_subtag
from nbest.types import Candidate, Prompt


def draws_of(candidates: Sequence[Candidate], prompt: Prompt) -> list[Candidate]:
    """The candidates that were drawn as whole answers to the prompt, failed ones included.

    Not among them: steps of a search, candidates made from others (fused, revised, continued), and evidence,
    which was asked for in another language than the prompt's. Empty where answers were drawn step by step: a
    search chooses what it continues, so that what it finishes is no sample.
    """
    if any(c.finish == "step" for c in candidates):
        return []
    return [c for c in candidates if not c.parents and not is_evidence(c, prompt)]


def is_evidence(candidate: Candidate, prompt: Prompt) -> bool:
    """Whether the candidate was asked for in another language than the prompt's, and so cannot be its answer.

    False where one of the two languages is not known. Regions and scripts do not count: `pt-BR` answers `pt`.
    """
    asked = primary_subtag(candidate.language)
    return bool(asked and prompt.language) and asked != primary_subtag(prompt.language)


def is_greedy(candidate: Candidate) -> bool:
    """Whether it was drawn at temperature 0."""
    return candidate.params is not None and candidate.params.temperature == 0


def greedy_of(draws: Sequence[Candidate]) -> Candidate | None:
    """The first draw at temperature 0; None where there is none."""
    return next((c for c in draws if is_greedy(c)), None)
