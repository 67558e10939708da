"""What a reader of an evaluation is told beside its tables."""

from __future__ import annotations

from collections.abc import Iterator

from nbest.evaluate.runs import MOST_LANGUAGE_CHECKS
from nbest.evaluate.scoring_engines import spending
from nbest.evaluate.summary import Evaluation, Group, RunFacts


def warnings_on(evaluation: Evaluation) -> Iterator[str]:
    """What may make the numbers wrong."""
    for facts in evaluation.runs:
        whole = _whole(evaluation, facts)
        num_truncated = _num_of(whole, "truncated")
        draws = whole.cells.get("truncated_draws")
        if num_truncated or (draws and draws.value > 0):
            num_draws = 0.0
            if draws is not None:
                num_draws = 100 * draws.value
            yield (
                f"{facts.run}: {num_truncated} of {whole.num_prompts} chosen answers, and {num_draws:.1f} % of the"
                " draws, were cut off at max_tokens (finish=length); they may be graded by a number on the way"
            )
        for note in facts.scoring_notes:
            yield f"{facts.run}: {note}"
        num_inside = _num_of(whole, "gold_inside")
        if num_inside:
            yield (
                f"{facts.run}: {num_inside} of {_num_wrong(whole)} answers graded wrong say the gold answer:"
                " see whether they are read as they are meant, or choose another score"
            )


def _whole(evaluation: Evaluation, facts: RunFacts) -> Group:
    """The group of all prompts of a run, which stands last."""
    return [g for g in evaluation.groups if g.run == facts.run][-1]


def _num_of(group: Group, measure: str) -> int:
    """For how many prompts a measure that is 0 or 1 is 1."""
    cell = group.cells.get(measure)
    if cell is None:
        return 0
    return round(cell.value * cell.num_prompts)


def _num_wrong(group: Group) -> int:
    return group.cells["score"].num_prompts - _num_of(group, "score")


def notes_on(evaluation: Evaluation) -> Iterator[str]:
    """What a reader must know to trust the numbers."""
    cells = [cell for group in evaluation.groups for cell in group.cells.values()]
    if any(cell.low is None for cell in cells):
        yield (
            "No interval: a single prompt or cluster, or a macro average of groups with one, does not tell how sure a"
            " value is."
        )
    for facts in evaluation.runs:
        yield from _notes_on_run(facts, _whole(evaluation, facts))


def _notes_on_run(facts: RunFacts, whole: Group) -> Iterator[str]:
    measured = "nothing to measure answers by"
    if facts.scorer is not None:
        measured = f"measured by {facts.scorer}"
    units = "intervals over prompts, each on its own"
    if facts.cluster:
        units = f"intervals over {whole.num_clusters} clusters (column {facts.cluster!r})"
    yield f"{facts.run}: {measured}; {units}."
    if facts.scoring:
        yield f"  scoring: {spending(facts.scoring)}."

    num_scored = 0
    if "score" in whole.cells:
        num_scored = whole.cells["score"].num_prompts
    if facts.scorer and num_scored < whole.num_prompts:
        yield f"  {whole.num_prompts - num_scored} of {whole.num_prompts} prompts have no score."
    line = whole.cells.get("line")
    if line and line.num_prompts < whole.num_prompts:
        sampled = ""
        if whole.num_prompts > MOST_LANGUAGE_CHECKS:
            sampled = ", of a sample"
        yield (
            f"  language was judged in {line.num_prompts} answers of {whole.num_prompts}: those with a line"
            f" of 5 words or more{sampled}."
        )
