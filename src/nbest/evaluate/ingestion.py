"""One reading of records for `eval`, `compare`, `report` and `export`: a prompt, its draws, and what each is worth.

The rules, which hold for every table made from records:

- Draws are what `draws_of` says: no steps, no candidates made from others, no evidence in other languages.
- A failed draw, and a prompt without an answer, score what `failed_score` says.
- An answer is read in the language that its candidate was asked for in, else in the prompt's
  (`nbest.text.grading`).
- Prompts are the same where they ask the same (`PromptIndex`).

Outcomes are read one at a time, and nothing here keeps a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np

from nbest.datasets import Pool
from nbest.errors import CapabilityError, MissingEngineError
from nbest.evaluate.confidence import Floats
from nbest.evaluate.recorded_draws import draws_of, greedy_of
from nbest.evaluate.scores import failed_score, pool_of, scores_of
from nbest.evaluate.scoring_engines import ScoringEngines
from nbest.protocols import Scorer
from nbest.scoring.recorded import Recorded
from nbest.types import Candidate, Outcome, Selection


class MeasuredPrompt(NamedTuple):
    """One prompt of a run, with the scores of its answers."""

    outcome: Outcome
    draws: tuple[Candidate, ...]
    scores: Mapping[int, float | None]
    """By candidate id, of the draws at least; a draw that the scorer has no value for is None."""
    value: float | None
    """Score of the chosen answer; None where it is not known."""
    why_unscored: str | None = None
    """What the prompt's row lacks, where it cannot be scored."""

    @property
    def draw_scores(self) -> Floats | None:
        """Scores of the draws, in their order; None where there is no draw, or one has no score."""
        found = [self.scores.get(c.id) for c in self.draws]
        if not found or None in found:
            return None
        return np.array(cast("list[float]", found))

    @property
    def greedy(self) -> float | None:
        """Score of the first draw at temperature 0; None where there is none, or it has no score."""
        draw = greedy_of(self.draws)
        if draw is None:
            return None
        return self.scores.get(draw.id)

    @property
    def num_truncated_draws(self) -> int:
        """Draws that were cut off at their `max_tokens`."""
        return sum(c.finish == "length" for c in self.draws)

    @property
    def is_truncated(self) -> bool:
        """Whether the chosen answer was cut off at its `max_tokens`."""
        selection = self.outcome.selection
        return selection is not None and selection.winner.finish == "length"


async def ingest(
    outcome: Outcome,
    scorer: Scorer | None,
    *,
    scores_all: bool = False,
    known: Mapping[int, float | None] | None = None,
    engines: ScoringEngines | None = None,
) -> MeasuredPrompt:
    """The draws of an outcome, their scores, and the score of the answer that was chosen.

    `scores_all`: evidence, steps and candidates made from others are scored too, for a reader to look at.
    `known` are the scores of the same candidates, where they were scored before. `engines` is for a scorer that
    asks a model. A prompt whose row lacks what the scorer reads has no scores and says why. Raises
    `MissingEngineError` where the scorer needs an engine that is not given.
    """
    draws = tuple(draws_of(outcome.candidates, outcome.prompt))
    if scorer is None:
        return MeasuredPrompt(outcome, draws, {}, None)

    pool = pool_of(outcome)
    try:
        scores = known
        if scores is None:
            wanted = outcome.candidates if scores_all else draws
            scores = await scores_of(pool, scorer, wanted, engines=engines)
        value = await choice_score(outcome.selection, pool, scores, scorer, engines=engines)
    except MissingEngineError:
        raise
    except CapabilityError as e:
        return MeasuredPrompt(outcome, draws, {}, None, str(e))
    return MeasuredPrompt(outcome, draws, scores, value)


async def choice_score(
    selection: Selection | None,
    pool: Pool,
    scores: Mapping[int, float | None],
    scorer: Scorer,
    *,
    engines: ScoringEngines | None = None,
) -> float | None:
    """Score of a choice from `pool`; of no choice, what a failed draw of the pool scores.

    `scores` are those of candidates of the pool; an answer that is none of them is scored on its own. None
    where the scorer has no value for it.
    """
    if selection is None:
        draws = draws_of(pool.candidates, pool.prompt)
        return failed_score(scorer, [scores.get(c.id) for c in draws])

    winner = selection.winner
    if winner.id in scores and not is_new(winner, pool.candidates):
        return scores[winner.id]
    if isinstance(scorer, Recorded) and scorer.field not in winner.meta:
        return None  # nobody has marked an answer that was made after the pool
    return (await scores_of(pool, scorer, (winner,), engines=engines))[winner.id]


def is_new(winner: Candidate, candidates: Sequence[Candidate]) -> bool:
    """Whether the winner is none of the candidates, but was made from them (fused)."""
    return all((c.id, c.text) != (winner.id, winner.text) for c in candidates)
