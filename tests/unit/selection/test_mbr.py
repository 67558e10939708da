import random
from math import fsum, isclose

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import CapabilityError, SelectionError, SpecError
from nbest.selection import mbr
from nbest.selection.mbr import Mbr
from nbest.types import Candidate
from nbest.utilities.chrf import chrf_aggregate, chrf_matrix
from scripted import prompt_of

PROMPT = prompt_of("?")
TEXTS = ["一百二十", "一百二十。", "ответ 12", "ответ 13", "उत्तर १२", "उत्तर १३", "a cat", "a cat sat", "…"]
pools = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=9)


def same_places(hypotheses, references):
    same = [[sum(a == b for a, b in zip(h, r, strict=False)) for r in references] for h in hypotheses]
    return np.array(same, float) / 100


class Counted:
    """Remembers what it was asked."""

    def __init__(self, function=same_places):
        self.function = function
        self.calls = []

    async def __call__(self, hypotheses, references, ctx):
        self.calls.append((list(hypotheses), list(references)))
        return self.function(hypotheses, references)


class Returning:
    def __init__(self, matrix):
        self.matrix = np.array(matrix)

    async def __call__(self, hypotheses, references, ctx):
        return self.matrix


def candidates(texts):
    return [Candidate(id=i, text=t) for i, t in enumerate(texts)]


def context(seed=0):
    return Context({"policy": Fake()}, seed=seed, prompt_id="p")


async def select(texts, selector=None, seed=0):
    return await (selector or Mbr())(PROMPT, candidates(texts), context(seed))


@settings(max_examples=80, deadline=None)
@given(pools)
async def test_scores_are_the_mean_utility_over_the_whole_pool(texts):
    selection = await select([*texts, "한국어"])
    expected = chrf_matrix([*texts, "한국어"]).mean(axis=1)
    if len({*texts, "한국어"}) > 1:
        assert np.allclose([selection.scores[i] for i in range(len(texts) + 1)], expected, atol=1e-9)
        best = [i for i, e in enumerate(expected) if isclose(e, expected.max(), abs_tol=1e-9)]
        assert selection.winner.id in best


async def test_the_answer_most_like_the_others_wins():
    selection = await select(["答案是十二", "完全不同", "答案是十二。", "答案：十二"])
    assert selection.winner.id in {0, 2, 3}


async def test_drawing_a_text_twice_counts_twice():
    assert (await select(["alpha", "omega", "omega"])).winner.id == 1


async def test_weights_say_how_much_each_candidate_gave_to_the_winner():
    selection = await select(["кот сидел", "кот сидит", "12"])
    assert isclose(fsum(selection.weights.values()), 1)
    assert selection.weights[2] == 0 < selection.weights[1] < selection.weights[0]


async def test_equal_texts_share_score_and_weight_and_are_computed_once():
    utility = Counted()
    selection = await select(["b", "a", "b"], Mbr(utility=utility))
    assert utility.calls == [(["a", "b"], ["a", "b"])]
    assert selection.scores[0] == selection.scores[2]
    assert selection.weights[0] == selection.weights[2]
    assert selection.winner.id == 0


@pytest.mark.parametrize("mode", ["exact", "aggregate", "pruned"])
async def test_one_text_wins_without_a_computation(mode):
    utility = Counted()
    selection = await select(["x", "x"], Mbr(utility=utility, mode=mode))
    assert (selection.winner.id, selection.weights, utility.calls) == (0, {0: 0.5, 1: 0.5}, [])


@pytest.mark.parametrize("mode", ["exact", "aggregate", "pruned"])
async def test_ties_go_to_the_lowest_id(mode):
    pool = [Candidate(id=i, text=t) for i, t in ((7, "xy"), (3, "zw"), (5, "uv"))]
    assert (await Mbr(mode=mode)(PROMPT, pool, context())).winner.id == 3


@pytest.mark.parametrize("mode", ["exact", "aggregate", "pruned"])
async def test_nothing_in_common_at_all_still_gives_an_answer(mode):
    selection = await select(["ab", "cd"], Mbr(mode=mode))
    assert (selection.winner.id, selection.weights) == (0, {0: 1.0, 1: 0.0})
    selection = await select(["", " "], Mbr(mode=mode))
    assert (selection.winner.id, selection.weights) == (0, {0: 0.5, 1: 0.5})


async def test_without_any_utility_the_winner_has_all_the_weight():
    selection = await select(["ab", "cd"], Mbr(utility=Returning(np.zeros((2, 2)))))
    assert (selection.winner.id, selection.weights) == (0, {0: 1.0})


@settings(max_examples=30, deadline=None)
@given(pools, st.sampled_from(["exact", "aggregate", "pruned"]), st.randoms(use_true_random=False))
async def test_the_order_of_the_pool_changes_no_bit(texts, mode, order):
    selector = Mbr(mode=mode, first_references=2)
    pool = candidates(texts)
    shuffled = order.sample(pool, len(pool))
    assert await selector(PROMPT, pool, context()) == await selector(PROMPT, shuffled, context())


async def test_large_pools_are_computed_in_blocks(monkeypatch):
    whole = await select(TEXTS * 2)
    monkeypatch.setattr(mbr, "_CELLS", 20)
    assert await select(TEXTS * 2) == whole
    utility = Counted()
    await select(TEXTS, Mbr(utility=utility))
    assert [len(h) for h, _ in utility.calls] == [2, 2, 2, 2, 1]


async def test_aggregate_scores_are_those_of_the_utility():
    texts = [*TEXTS, TEXTS[0]]
    selection = await select(texts, Mbr(mode="aggregate"))
    assert np.allclose(list(selection.scores.values()), chrf_aggregate(texts, texts), atol=1e-12)


async def test_aggregate_needs_a_utility_that_has_it():
    with pytest.raises(CapabilityError, match=r"no aggregate form.*mode=exact"):
        await select(["a", "b"], Mbr(utility=Counted(), mode="aggregate"))


def near_and_far(n, seed=0):
    """One phrase in many variants, most of them spoilt."""
    rng = random.Random(seed)
    base = ["кот", "сидел", "на", "старом", "окне", "и", "смотрел", "на", "дождь"] * 3
    return [" ".join(w if rng.random() > i / n else w[::-1] + "я" for w in base) + str(i) for i in range(n)]


async def test_pruning_finds_the_exact_winner_with_fewer_pairs():
    texts = near_and_far(64)
    utility = Counted(chrf_matrix)
    pruned = await select(texts, Mbr(utility=utility, mode="pruned", first_references=8))
    exact = await select(texts)
    assert pruned.winner == exact.winner
    assert sum(len(h) * len(r) for h, r in utility.calls) < 64 * 64 / 2
    assert isclose(fsum(pruned.weights.values()), 1)


async def test_pruning_with_every_reference_at_once_is_exact():
    texts = near_and_far(20)
    pruned = await select(texts, Mbr(mode="pruned", first_references=99))
    assert pruned == await select(texts)


async def test_pruning_counts_a_text_as_often_as_it_was_drawn():
    texts = near_and_far(20)
    texts += texts[-3:] * 5
    pruned = await select(texts, Mbr(mode="pruned", first_references=99))
    exact = await select(texts)
    assert exact.winner != (await select(near_and_far(20))).winner
    assert pruned == exact


@pytest.mark.parametrize(("confidence", "least", "most"), [(0.999, 15, 20), (0.001, 0, 0)])
async def test_pruning_drops_the_sooner_the_less_confidence_it_needs(confidence, least, most):
    """Of texts that are all alike none is sure not to win; without any confidence only the leader is left."""
    texts = [f"кот сидел на окне {i:02}" for i in range(20)]
    utility = Counted(chrf_matrix)
    selector = Mbr(utility=utility, mode="pruned", first_references=10, confidence=confidence)
    await select(texts, selector)
    first, *later = utility.calls
    assert (len(first[0]), len(first[1])) == (20, 10)
    assert least <= sum(len(hypotheses) for hypotheses, _ in later) <= most


async def test_pruning_follows_the_seed():
    selector = Mbr(mode="pruned", first_references=2, confidence=0.6)
    assert await select(near_and_far(32), selector, 1) == await select(near_and_far(32), selector, 1)


async def test_failed_candidates_are_neither_chosen_nor_evidence():
    pool = [*candidates(["aaa", "bbb b", "bbb"]), *(Candidate(id=i, text="aaa", error="x") for i in (3, 4))]
    selection = await Mbr()(PROMPT, pool, context())
    assert selection.winner.id in {1, 2}
    assert selection.scores.keys() == {0, 1, 2}


@pytest.mark.parametrize("matrix", [[[1.0]], [[1.0, np.nan], [0, 1]], [[1.0, 0], [0, np.inf]]])
async def test_a_utility_that_breaks_its_promise_is_named(matrix):
    with pytest.raises(SelectionError, match=r"Returning.*(not \(2, 2\)|no finite)"):
        await select(["a", "b"], Mbr(utility=Returning(matrix)))


async def test_negative_utilities_choose_but_give_no_negative_weight():
    selection = await select(["a", "b"], Mbr(utility=Returning([[-1.0, -2.0], [-1.0, 0.5]])))
    assert selection.winner.id == 1
    assert selection.weights == {0: 0.0, 1: 1.0}


@pytest.mark.parametrize("spec", ["mbr(confidence=1.0)", "mbr(first_references=0)", "mbr(mode=als)"])
def test_parameters_that_mean_nothing_are_refused(spec):
    with pytest.raises(SpecError):
        registry.parse("selectors", spec)


def test_a_spec_says_it_all():
    spec = "mbr(utility=chrf(word_order=2), mode='pruned', first_references=8)"
    assert registry.spec_of(registry.parse("selectors", spec)) == spec
