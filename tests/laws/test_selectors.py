"""What every selector promises, whatever its method."""

import asyncio
from math import fsum, isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.engines.fake_judge import merit
from nbest.errors import SelectionError
from nbest.types import Candidate, Logprobs
from scripted import prompt_of
from specs import all_of

TEXTS = st.sampled_from(
    [
        "Answer: 12",
        "الجواب: ١٢",
        "答案：十二",
        "उत्तर: १२",
        "答え：13",
        "Ответ: 14",
        "คำตอบ: ๑๔",
        "Antwort: 12,0",
        "",
        "…",
    ]
)
PROMPT = prompt_of("7 + 5 = ?", "en")


@st.composite
def pools(draw: st.DrawFn) -> list[Candidate]:
    texts = draw(st.lists(TEXTS, min_size=1, max_size=8))
    values = draw(st.lists(st.floats(-9, 0), min_size=len(texts), max_size=len(texts)))
    failed = draw(st.sets(st.integers(1, 7), max_size=3))
    return [
        Candidate(
            id=i,
            text="" if i in failed else text,
            error="failed" if i in failed else None,
            logprobs=Logprobs(tokens=("t",), values=(value,)),
        )
        for i, (text, value) in enumerate(zip(texts, values, strict=True))
    ]


def choose(spec: str, pool: list[Candidate], seed: int = 0):
    """What is chosen. A choice that a fallback made, or that lacks a verdict, is no test of the method: it fails."""
    ctx = Context({"policy": Fake()}, seed=seed, prompt_id="p", gold={"answer": "12"})
    selection = asyncio.run(registry.parse("selectors", spec)(PROMPT, pool, ctx))
    assert not [note for note in ctx.notes if "counted as ties" in note or "have no" in note]
    assert ctx.stopped == "done", ctx.notes
    return selection


def is_stochastic(spec: str) -> bool:
    return getattr(registry.parse("selectors", spec), "is_stochastic", False)


JUDGED = [
    "chops",
    "chops(context_tokens=9100)",  # three candidates fit: several rounds
    "judge_pairwise",
    "judge_pairwise(ranking=points)",
    "tournament",
]
"""Selectors that a judge's verdicts decide."""
MORE = [
    *JUDGED[1:],
    "best(judge)",
    "best(judge(mode=yes_no))",
    "guard(selector=chops)",
    "mbr(utility=judged)",
    "vote(weight=judge)",
]
SPECS = list(dict.fromkeys([*all_of("selectors"), *MORE]))
LOTS = [spec for spec in SPECS if is_stochastic(spec)]


def test_a_choice_of_a_fallback_is_noticed_by_these_laws():
    pool = [Candidate(id=i, text=f"Answer: {i}") for i in range(3)]
    with pytest.raises(AssertionError, match="chose instead"):
        choose("chops(max_tokens=1)", pool)
    with pytest.raises(AssertionError, match="counted as ties"):
        choose("judge_pairwise(max_tokens=1)", pool)


@pytest.mark.parametrize("spec", JUDGED)
@settings(max_examples=40, deadline=None)
@given(pool=pools(), seed=st.integers(0, 99))
def test_the_text_that_the_judge_likes_best_wins(spec, pool, seed):
    best = max({c.text for c in pool if c.is_usable}, key=merit)
    assert choose(spec, pool, seed).winner.text == best


@settings(max_examples=40, deadline=None)
@given(pool=pools(), seed=st.integers(0, 99))
def test_a_fused_answer_is_new_and_made_from_the_distinct_ones(pool, seed):
    distinct = {c.text: c.id for c in reversed(pool) if c.is_usable}
    selection = choose("fuse", pool, seed)
    if len(distinct) > 1:
        assert sorted(selection.winner.parents) == sorted(distinct.values())
        assert selection.winner not in pool
        assert selection.weights == pytest.approx(dict.fromkeys(distinct.values(), 1 / len(distinct)))


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec not in LOTS])
@settings(max_examples=15, deadline=None)
@given(pool=pools(), seed=st.integers(1, 99))
def test_a_selector_that_does_not_draw_by_lot_chooses_the_same_text_for_every_seed(spec, pool, seed):
    assert choose(spec, pool, seed).winner.text == choose(spec, pool, 0).winner.text


@pytest.mark.parametrize("spec", LOTS)
def test_a_selector_that_draws_by_lot_chooses_by_the_seed(spec):
    logprobs = Logprobs(tokens=("t",), values=(-1.0,))
    pool = [Candidate(id=i, text=f"Answer: {i}", logprobs=logprobs) for i in range(4)]
    chosen = [choose(spec, pool, seed).winner.id for seed in range(40)]
    assert len(set(chosen)) > 1
    assert chosen == [choose(spec, pool[::-1], seed).winner.id for seed in range(40)]


@pytest.mark.parametrize("spec", SPECS)
class TestEverySelector:
    @settings(max_examples=40, deadline=None)
    @given(pool=pools(), order=st.randoms(use_true_random=False))
    def test_the_order_of_the_pool_changes_nothing(self, spec, pool, order):
        shuffled = list(pool)
        order.shuffle(shuffled)
        assert choose(spec, shuffled) == choose(spec, pool)

    @settings(max_examples=40, deadline=None)
    @given(pool=pools())
    def test_the_winner_is_usable_and_of_the_pool_or_made_from_it(self, spec, pool):
        winner = choose(spec, pool).winner
        assert winner.error is None
        assert winner in pool or set(winner.parents) <= {c.id for c in pool}

    @settings(max_examples=40, deadline=None)
    @given(pool=pools())
    def test_weights_sum_to_one(self, spec, pool):
        weights = choose(spec, pool).weights
        assert isclose(fsum(weights.values()), 1.0, abs_tol=1e-9)
        assert all(w >= 0 for w in weights.values())
        assert weights.keys() <= {c.id for c in pool}

    def test_among_equals_the_lowest_id_wins(self, spec):
        if spec in LOTS and spec != "random":
            pytest.skip("a lot decides between equals")
        logprobs = Logprobs(tokens=("t",), values=(-1.0,))
        pool = [Candidate(id=i, text="Answer: 12", logprobs=logprobs) for i in range(4)]
        assert choose(spec, pool).winner.id == 0

    def test_one_candidate_wins(self, spec):
        only = Candidate(id=0, text="答案：12", logprobs=Logprobs(tokens=("t",), values=(-1.0,)))
        assert choose(spec, [only]).winner == only

    def test_an_empty_pool_is_said(self, spec):
        with pytest.raises(SelectionError):
            choose(spec, [])

    def test_a_pool_of_failures_is_said(self, spec):
        with pytest.raises(SelectionError, match="failed"):
            choose(spec, [Candidate(id=0, text="", error="HTTP 500")])

    def test_the_spec_survives_a_round_trip(self, spec):
        plugin = registry.parse("selectors", spec)
        assert registry.parse("selectors", registry.spec_of(plugin)) == plugin
