"""Which answers a reply holds, in which order, and how each ended."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.serve.outcome_reply import ranked
from nbest.types import Candidate, Outcome, Selection
from scripted import PROMPT

NUMBERS = st.none() | st.sampled_from([-1.0, 0.0, 0.5, 2.0])
CANDIDATES = st.lists(
    st.tuples(
        st.sampled_from(["stop", "length", "step"]),
        st.none() | st.just("failed"),
        NUMBERS,  # score
        NUMBERS,  # weight
    ),
    min_size=1,
    max_size=6,
)


def outcome_of(rows, winner):
    pool = tuple(Candidate(id=i, text=f"{i}", finish=row[0], error=row[1]) for i, row in enumerate(rows))
    scores = {i: row[2] for i, row in enumerate(rows) if row[2] is not None}
    weights = {i: row[3] for i, row in enumerate(rows) if row[3] is not None}
    selection = Selection(winner=pool[winner], weights=weights, scores=scores)
    return Outcome(prompt=PROMPT, strategy="s", seed=0, selection=selection, candidates=pool, usage={})


@given(CANDIDATES, st.data())
def test_behind_the_winner_answers_stand_by_score_then_weight_then_age(rows, data):
    winner = data.draw(st.integers(0, len(rows) - 1))
    first, *others = [c.id for c in ranked(outcome_of(rows, winner))]
    assert first == winner
    assert set(others) == {
        i for i, row in enumerate(rows) if i != winner and row[0] != "step" and row[1] is None
    }
    for better, worse in pairwise(others):
        (_, _, score, weight), (_, _, other_score, other_weight) = rows[better], rows[worse]
        if score != other_score:
            assert other_score is None or (score is not None and score > other_score)
        elif (weight or 0.0) != (other_weight or 0.0):
            assert (weight or 0.0) > (other_weight or 0.0)
        else:
            assert better < worse


def test_a_winner_that_was_made_from_the_pool_stands_before_it():
    outcome = outcome_of([("stop", None, 1.0, 0.5), ("stop", None, 2.0, 0.5)], 0)
    fused = Candidate(id=7, text="fused", parents=(0, 1))
    made = Outcome(
        prompt=PROMPT,
        strategy="s",
        seed=0,
        selection=Selection(winner=fused, weights={}, scores={0: 1.0, 1: 2.0}),
        candidates=outcome.candidates,
        usage={},
    )
    assert [c.id for c in ranked(made)] == [7, 1, 0]


@pytest.mark.parametrize("finish", ["refused", "filtered"])
def test_a_refusal_stands_nowhere_but_first(finish):
    rows = [("stop", None, None, None), (finish, "refused", 9.0, 9.0)]
    assert [c.id for c in ranked(outcome_of(rows, 0))] == [0]
    assert [c.id for c in ranked(outcome_of(rows, 1))] == [1, 0]
