import asyncio
from math import exp, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges import compares, is_repair, pool_of, shown
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import EngineError
from nbest.judging.games import Game
from nbest.judging.judge_questions import Reply
from nbest.judging.verdict_text import POINTS
from nbest.selection.first import First
from nbest.selection.pairwise import JudgePairwise, point_shares, strengths
from nbest.selection.tournament import Tournament
from nbest.types import Budget
from scripted import PROMPT, Scripted

TEXTS = ["aaa", "b", "ccccc", "dd", "eeee"]
RANKINGS = [JudgePairwise(), JudgePairwise(ranking="points")]


def choose(selector, say, pool, **how):
    judge = Scripted(say)
    ctx = Context({"policy": Fake(), "judge": judge}, **how)
    return asyncio.run(selector(PROMPT, pool, ctx)), judge, ctx


@pytest.mark.parametrize("selector", RANKINGS)
def test_all_pairs_are_judged_in_both_orders(selector):
    selection, judge, _ = choose(selector, compares(len), pool_of(*TEXTS))
    assert selection.winner.text == "ccccc"
    seen = {tuple(shown(r).values()) for r in judge.requests}
    assert len(seen) == len(judge.requests) == 20
    assert all((b, a) in seen for a, b in seen)
    assert sorted(selection.scores, key=selection.scores.get) == [1, 3, 0, 4, 2]


@pytest.mark.parametrize("selector", [*RANKINGS, Tournament()])
def test_a_judge_that_loves_the_first_place_decides_nothing(selector):
    selection, _, _ = choose(selector, lambda _: "[[A>>B]]", pool_of("x", "y", "z"))
    assert selection.winner.id == 0
    if isinstance(selector, JudgePairwise):
        assert len(set(selection.scores.values())) == 1


@pytest.mark.parametrize("selector", [*RANKINGS, Tournament()])
@pytest.mark.parametrize("seed", range(4))
def test_the_better_one_wins_whatever_the_draw(selector, seed):
    selection, _, _ = choose(selector, compares(len), pool_of(*TEXTS), seed=seed)
    assert selection.winner.text == "ccccc"


def test_a_knock_out_takes_two_games_per_loser():
    for n in range(2, 10):
        pool = pool_of(*("x" * (i + 1) for i in range(n)))
        selection, judge, _ = choose(Tournament(), compares(len), pool)
        assert len(judge.requests) == 2 * (n - 1)
        assert selection.winner.id == n - 1
        assert sum(selection.scores.values()) >= n - 1


def test_a_null_verdict_is_a_tie_recorded_after_one_repair():
    def say(request):
        texts = shown(request)
        return "who knows" if "b" in texts.values() else compares(len)(request)

    selection, judge, ctx = choose(JudgePairwise(), say, pool_of("aaa", "b", "cc"))
    assert selection.winner.id == 0
    assert sum(map(is_repair, judge.requests)) == 4
    nulls = [g for g in selection.details["games"] if g["verdict"] is None]
    assert len(nulls) == 4
    assert all("no verdict" in g["problem"] for g in nulls)
    assert ctx.notes[0].startswith("4 of 6 judged games counted as ties")


@pytest.mark.parametrize("selector", [JudgePairwise(fallback=First()), Tournament(fallback=First())])
@pytest.mark.parametrize(
    ("say", "budget"),
    [(lambda _: EngineError("down"), None), (lambda _: "?", None), (compares(len), Budget(samples=0))],
)
def test_where_no_game_has_a_verdict_the_fallback_chooses(selector, say, budget):
    selection, _, ctx = choose(selector, say, pool_of("a", "bb"), budget=budget)
    assert selection.winner.id == 0
    assert "first chose instead" in ctx.notes[-1]
    assert selection.details["games"]


def test_a_budget_for_some_games_uses_those():
    selection, judge, ctx = choose(
        JudgePairwise(), compares(len), pool_of("a", "bbb", "cc"), budget=Budget(samples=2)
    )
    assert len(judge.requests) == 2
    assert selection.winner.id == 1
    assert ctx.stopped == "budget"


def games(results):
    pool = pool_of("a", "b", "c", "d")
    return [Game(pool[a], pool[b], Reply(grade, "")) for a, b, grade in results]


ROUND_ROBIN = st.tuples(*[st.tuples(st.sampled_from(list(POINTS)), st.sampled_from(list(POINTS)))] * 6)
PAIRS = [(a, b) for a in range(4) for b in range(a)]


@given(grades=ROUND_ROBIN)
def test_expected_wins_under_the_strengths_are_the_wins(grades):
    played = games([(a, b, g) for (a, b), both in zip(PAIRS, grades, strict=True) for g in both])
    strength = strengths(played)
    for i in range(4):
        won, expected = 0.5, 1 / (1 + exp(-strength[i]))  # the tie with the phantom
        for game in played:
            for me, other, points in (
                (game.a.id, game.b.id, game.points),
                (game.b.id, game.a.id, game.points[::-1]),
            ):
                if me == i:
                    won += points[0]
                    expected += sum(points) / (1 + exp(strength[other] - strength[me]))
        assert isclose(won, expected, abs_tol=1e-4)


@given(grades=ROUND_ROBIN)
def test_shares_are_points_over_points_played_for(grades):
    played = games([(a, b, g) for (a, b), both in zip(PAIRS, grades, strict=True) for g in both])
    for i, share in point_shares(played).items():
        own = [
            (g.points[0] if g.a.id == i else g.points[1], sum(g.points))
            for g in played
            if i in {g.a.id, g.b.id}
        ]
        assert isclose(share, sum(p for p, _ in own) / sum(t for _, t in own), abs_tol=1e-5)


def test_equal_results_are_equal_strengths():
    cycle = games([(0, 1, "A>B"), (1, 2, "A>B"), (2, 0, "A>B"), (1, 0, "B>A"), (2, 1, "B>A"), (0, 2, "B>A")])
    assert set(strengths(cycle).values()) == {0.0}


def test_a_much_better_weighs_three():
    strong = strengths(games([(0, 1, "A>>B"), (0, 1, "B>A")]))
    weak = strengths(games([(0, 1, "A>B"), (0, 1, "B>A")]))
    assert strong[0] > 0 == weak[0]
    assert point_shares(games([(0, 1, "A>>B"), (0, 1, "B>A")])) == {0: 0.75, 1: 0.25}
