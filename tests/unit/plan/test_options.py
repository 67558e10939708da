"""Values of options on arrays, against the selectors themselves."""

import asyncio

import numpy as np
import pytest

from nbest.context import Context
from nbest.plan.option_values import after_pilot, values_of_best, values_of_vote, values_of_weighted_vote
from nbest.plan.stop_replay import replay
from nbest.selection.best import Best
from nbest.selection.vote import Vote
from nbest.stops.first_n import FirstN
from nbest.types import Candidate, Score
from scripted import prompt_of
from unit.plan.test_difficulty import random_trajectories


class Known:
    """A scorer of recorded values."""

    def __init__(self, scores):
        self.scores = scores

    async def __call__(self, prompt, candidates, ctx):
        return [Score(value=self.scores[c.id]) for c in candidates]


def chosen(selector, trajectories, t, n):
    classes = trajectories.classes_TK[t, :n].tolist()
    texts = [
        "" if c < 0 else f"考え {i}\n答え: {70 + c}" for i, c in enumerate(classes)
    ]  # each is scored by itself
    pool = [Candidate(id=i, text=text) for i, text in enumerate(texts)]
    prompt = prompt_of("合計は？", "ja")
    selection = asyncio.run(selector(prompt, pool, Context({})))
    return float(trajectories.values_TK[t, selection.winner.id])


def with_one_value_per_class(trajectories):
    """Answers of one class are equally right, as recorded ones are."""
    values = trajectories.values_TK.copy()
    for row, classes in zip(values, trajectories.classes_TK, strict=True):
        for c in set(classes.tolist()):
            if c >= 0:
                row[classes == c] = row[classes == c][0]
    trajectories.values_TK[:] = values
    return trajectories


@pytest.mark.parametrize("shift", [0.0, -2.0], ids=["probabilities", "logarithms"])
def test_votes_and_best_of_n_are_those_of_the_selectors(shift):
    trajectories = with_one_value_per_class(random_trajectories(seed=3))
    scores = np.where(trajectories.classes_TK < 0, 0.1, np.nan_to_num(trajectories.scores_TK, nan=0.1))
    trajectories.scores_TK[:] = scores + shift
    sizes = [1, 4, 9]
    weighted, best = values_of_weighted_vote(trajectories, sizes), values_of_best(trajectories, sizes)
    plain = values_of_vote(trajectories, sizes)
    for t in range(20):
        scorer = Known([float(s) for s in trajectories.scores_TK[t]])
        for i, n in enumerate(sizes):
            assert weighted[t, i] == chosen(Vote(weight=scorer), trajectories, t, n)
            assert best[t, i] == chosen(Best(scorer=scorer), trajectories, t, n)
            assert plain[t, i] == chosen(Vote(), trajectories, t, n)


def test_without_scores_there_is_no_weighted_vote():
    trajectories = random_trajectories()
    object.__setattr__(trajectories, "scores_TK", None)
    with pytest.raises(ValueError, match="no scores"):
        values_of_weighted_vote(trajectories, [2])


def test_a_rule_is_asked_after_the_pilot_at_the_earliest():
    trajectories = random_trajectories()
    values, tokens = after_pilot(replay(FirstN(n=1), trajectories), trajectories, 4)
    assert tokens == pytest.approx(trajectories.tokens[:, 3])
    assert values == pytest.approx(values_of_vote(trajectories, [4])[:, 0])
