"""Win-rates: known answers, and simulated judges whose strength and faults are known."""

import importlib.util
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nbest.arena.judged_games import Verdict
from nbest.arena.winrate import win_rates
from nbest.arena.winrate_table import blocks
from nbest.errors import InputError
from nbest.types import Message, Prompt, Usage

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "winrate_coverage.py"
SWAPPED = {"A>>B": "B>>A", "A>B": "B>A", "A=B": "A=B", "B>A": "A>B", "B>>A": "A>>B", None: None}


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("winrate_coverage", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def game(id_, systems, grade, *, language="en", texts=("x", "y"), **gold):
    return Verdict(
        prompt=Prompt(id=id_, messages=(Message(role="user", content="?"),), language=language),
        systems=systems,
        texts=texts,
        grade=grade,
        problem=None if grade else "unreadable",
        is_asked=True,
        is_answered=True,
        gold=gold,
        usage={"judge": Usage(prompt=100, completion=10, calls=1)},
    )


def pair(id_, grade, back=None, systems=("a", "b"), **more):
    """Both games; the second as a judge without position bias gives it, unless `back` says otherwise."""
    back = SWAPPED[grade] if back is None else back
    return [game(id_, systems, grade, **more), game(id_, systems[::-1], back, **more)]


def rates_of(verdicts, system="b", **more):
    found = win_rates(verdicts, baseline=more.pop("baseline", "a"), **more)
    return next(s for s in found.systems if s.system == system)


def test_the_rate_is_the_share_of_points_much_being_three_games():
    # b wins 3 + 3 in one prompt, loses 1 + 1 in another, ties ½ + ½ in the third.
    verdicts = [*pair("1", "B>>A"), *pair("2", "A>B"), *pair("3", "A=B")]
    row = rates_of(verdicts)
    assert row.num_pairs == 3
    assert row.win_rate.value == pytest.approx((6 + 0 + 1) / (6 + 2 + 2))
    assert rates_of(verdicts, "a", baseline="b").win_rate.value == pytest.approx(0.3)
    assert rates_of(verdicts, "a").win_rate is None  # the baseline itself


def test_languages_are_weighed_alike_in_the_macro_average():
    verdicts = [v for i in range(3) for v in pair(f"d{i}", "B>A", language="de")]
    verdicts += pair("j", "A>B", language="ja") + pair("u", "A=B", language=None)
    row = rates_of(verdicts)
    assert {k: e.value for k, e in row.by_language.items()} == {"de": 1.0, "ja": 0.0, "und": 0.5}
    assert row.macro.value == pytest.approx(0.5)
    assert row.win_rate.value == pytest.approx(7 / 10)


def test_translations_of_a_prompt_are_one_cluster():
    one = [*pair("1", "B>>A"), *pair("2", "A>>B"), *pair("3", "B>A"), *pair("4", "A>B"), *pair("5", "A=B")]
    copies = [
        v._replace(
            prompt=msgspec.structs.replace(v.prompt, id=f"{v.prompt.id}-{k}"), gold={"cluster": v.prompt.id}
        )
        for v in one
        for k in ("de", "ja", "ar", "th")
    ]
    alone, together = rates_of(one), rates_of(copies)
    assert together.win_rate == pytest.approx(alone.win_rate)
    guessed = rates_of([v._replace(gold={}) for v in copies])
    assert guessed.win_rate.high - guessed.win_rate.low < 0.7 * (alone.win_rate.high - alone.win_rate.low)


def test_clusters_are_never_guessed():
    some = pair("1", "A>B", cluster=1) + pair("2", "A>B")
    with pytest.raises(InputError, match="'2' has no column 'cluster'"):
        win_rates(some)
    with pytest.raises(InputError, match="no column 'topic'"):
        win_rates(pair("1", "A>B"), cluster="topic")
    found = win_rates(pair("1", "A>B") + pair("2", "A>B", language="ja"))
    assert found.cluster is None
    assert any("taken as independent" in n for n in found.notes)
    assert win_rates(pair("1", "A>B", topic="x"), cluster="topic").cluster == "topic"


def test_games_without_a_verdict_are_told_and_decided_by_name():
    verdicts = [*pair("1", "B>A"), game("2", ("a", "b"), None), game("2", ("b", "a"), "B>A")]
    skipped, tied = win_rates(verdicts, baseline="a"), win_rates(verdicts, baseline="a", nulls="tie")
    assert skipped.systems[1].num_pairs == 1
    assert skipped.systems[1].win_rate.value == 1.0
    assert tied.systems[1].win_rate.value == pytest.approx(2.5 / 4)
    for found in (skipped, tied):
        assert (found.judge.num_null, found.judge.num_pairs_left_out) == (1, 1)
        assert found.judge.problems == {"unreadable": 1}
        assert any("without a verdict" in n for n in found.notes)


def test_without_any_verdict_there_is_no_rate():
    found = win_rates([game("1", ("a", "b"), None), game("1", ("b", "a"), None)])
    assert [s.win_rate for s in found.systems] == [None, None]
    assert found.judge.seat_a is None
    assert msgspec.json.decode(msgspec.json.encode(found))["judge"]["num_null"] == 2
    assert len(list(blocks(found))) >= 3


def test_ties_between_equal_texts_count_but_not_alone():
    equal = [v._replace(is_asked=False) for v in pair("1", "A=B")]
    row = rates_of([*equal, *pair("2", "B>A")])
    assert (row.num_pairs, row.num_equal) == (2, 1)
    assert row.win_rate.value == pytest.approx(3 / 4)
    assert rates_of(equal).win_rate.value == 0.5
    found = win_rates([*equal, game("2", ("a", "b"), None), game("2", ("b", "a"), "A>B")])
    assert found.systems[1].win_rate is None
    assert any("nothing is known" in n for n in found.notes)


def test_a_game_without_its_counterpart_is_told():
    found = win_rates([*pair("1", "A>B"), *pair("2", "A>B")[:1]])
    assert found.systems[1].num_pairs == 1
    assert "1 games have no counterpart in the other order yet: left out" in found.notes


def test_position_bias_and_disagreement():
    verdicts = [
        *pair("1", "A>B", "A>B"),  # the first seat wins both
        *pair("2", "A>B", "B>A"),  # a wins both
        *pair("3", "A>B", "A=B"),  # neither
        *pair("4", "A=B", "A=B"),
    ]
    judge = win_rates(verdicts).judge
    assert judge.seat_a.value == pytest.approx((2 + 1 + 1.5 + 1) / 8)
    assert judge.agreement.value == 0.5
    assert judge.contradiction.value == 0.25
    assert judge.verdicts == {"A>B": 4, "A=B": 3, "B>A": 1}
    assert judge.usage == Usage(prompt=800, completion=80, calls=8)


def test_several_systems_are_ranked_by_all_their_games():
    verdicts = []
    for i in range(20):
        grade = "A>B" if i % 4 else "B>A"
        verdicts += pair(f"{i}", grade, systems=("a", "b")) + pair(f"{i}", grade, systems=("b", "c"))
    verdicts += pair("0", "A>B", systems=("d", "e"))
    # c never met a: b has odds of 1 : 3 against a, c against b; the prior draws a little.
    row = rates_of(verdicts, "c")
    assert row.win_rate is None
    assert row.macro is None
    assert row.bradley_terry.value == pytest.approx(1 / 10, abs=0.01)
    assert rates_of(verdicts, "b").win_rate.value == 0.25
    # Nobody knows how d would do.
    assert rates_of(verdicts, "d").bradley_terry is None


def test_the_order_of_the_records_changes_nothing(simulation):
    verdicts = simulation.simulate(simulation.WORLDS[4]._replace(clusters=8), 3)
    rng = np.random.default_rng(0)
    shuffled = [verdicts[i] for i in rng.permutation(len(verdicts))]
    assert win_rates(verdicts, baseline="b") == win_rates(shuffled, baseline="b")


def test_intervals_hold_the_truth_as_often_as_they_say(simulation):
    """60 evaluations: enough to see that 95 % are not 80 %; the benchmark has more."""
    world = simulation.World("quick", 40, languages=4, position_bias=1.5)
    found = simulation.coverage(world, runs=60, resamples=100)
    assert found.clusters >= 0.88
    assert abs(found.bias) < 0.02
    assert found.prompts < found.clusters
    assert found.games < 0.8  # what the clusters are for


def test_length_control_finds_a_known_love_of_length(simulation):
    world = simulation.World(
        "length", 1500, gap=0.4, prompt_sd=0, language_sd=0, length_bias=1.5, longer=1.0, tie_below=0,
        much_above=np.inf,
    )  # fmt: skip
    found = win_rates(simulation.simulate(world, 1), baseline="b", resamples=300)
    true = simulation.truth(world._replace(length_bias=0.0))
    row = found.systems[0]
    assert row.length_controlled.low <= true <= row.length_controlled.high
    assert row.win_rate.low > true + 0.05
    assert found.length_effect.low <= 1.5 <= found.length_effect.high
    assert row.mean_length == pytest.approx(240, abs=3)


def test_style_that_cannot_be_told_from_the_system_is_said():
    verdicts = [
        v for i in range(30) for v in pair(str(i), "A>B" if i % 3 else "B>A", texts=("x" * 100, "y" * 50))
    ]
    verdicts = [v if v.systems[0] == "a" else v._replace(texts=v.texts[::-1]) for v in verdicts]
    assert any("length and system go together" in n for n in win_rates(verdicts).notes)


def test_an_unknown_baseline_is_refused():
    with pytest.raises(InputError, match="known: a, b"):
        win_rates(pair("1", "A>B"), baseline="c")
    with pytest.raises(InputError, match="no verdict"):
        win_rates([])
