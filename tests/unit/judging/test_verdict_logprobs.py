"""Verdicts as probabilities of the tokens that spell them."""

from math import isclose, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.judging.verdict_logprobs import option_probabilities
from nbest.judging.verdict_text import POINTS
from nbest.types import Logprobs


def reply(*places):
    """Each place: the drawn token, and the probability of each alternative."""
    return Logprobs(
        tokens=tuple(drawn for drawn, _ in places),
        values=tuple(log(shares.get(drawn, 0.5)) for drawn, shares in places),
        top=tuple({token: log(p) for token, p in shares.items()} for _, shares in places),
    )


ONE_TO_NINE = [str(n) for n in range(1, 10)]


@pytest.mark.parametrize(
    "shares",
    [
        {"2": 0.6, "3": 0.2, "the": 0.2},
        {"▁2": 0.3, "2]]": 0.3, "3": 0.2},
        {"Ġ2": 0.6, " 3": 0.2},
        {"٢": 0.6, "٣": 0.2},
        {"२": 0.6, "३": 0.2},
        {"２": 0.3, "2": 0.3, "３": 0.2},
        {"**2**": 0.6, "3 ": 0.2},
    ],
)
def test_one_token_is_one_option_in_any_spelling_and_script(shares):
    found = option_probabilities(reply((next(iter(shares)), shares)), ONE_TO_NINE)
    assert isclose(found["2"], 0.75)
    assert isclose(found["3"], 0.25)
    assert isclose(sum(found.values()), 1)


def test_brackets_before_the_verdict_are_gone_past():
    drawn = reply(("[[", {"[[": 0.5, "1": 0.5}), ("2", {"2": 0.8, "1": 0.2}), ("]]", {"]]": 1.0}))
    found = option_probabilities(drawn, ONE_TO_NINE)
    assert isclose(found["2"], 0.4)
    assert isclose(found["1"], 0.6)


def test_words_before_the_verdict_are_gone_past():
    drawn = reply(("Answer", {"Answer": 1.0}), (":", {":": 1.0}), (" 4", {" 4": 0.9, " 5": 0.1}))
    assert isclose(option_probabilities(drawn, ONE_TO_NINE)["4"], 0.9)


def test_ten_is_not_one_whichever_way_the_vocabulary_splits_it():
    options = [str(n) for n in range(1, 11)]
    whole = option_probabilities(reply(("10", {"10": 0.7, "1": 0.3})), options)
    assert isclose(whole["10"], 0.7)
    assert isclose(whole["1"], 0.3)
    digits = option_probabilities(reply(("1", {"1": 0.8, "2": 0.2}), ("0", {"0": 0.75, "]]": 0.25})), options)
    assert isclose(digits["10"], 0.6)
    assert isclose(digits["1"], 0.2)
    assert isclose(digits["2"], 0.2)
    ended = option_probabilities(reply(("1", {"1": 1.0}), ("]]", {"]]": 0.9, "0": 0.1})), options)
    assert isclose(ended["1"], 0.9)
    assert isclose(ended["10"], 0.1)
    # What is not among the alternatives ends it too.
    ended = option_probabilities(reply(("1", {"1": 1.0}), ("]]", {"]]": 0.7, "0": 0.2})), options)
    assert isclose(ended["1"], 0.8)
    assert isclose(ended["10"], 0.2)


def test_grades_are_followed_token_by_token():
    drawn = reply(
        ("A", {"A": 0.6, "B": 0.4}), (">>", {">>": 0.5, ">": 0.3, "=": 0.2}), ("B", {"B": 1.0}), ("]]", {})
    )
    found = option_probabilities(drawn, POINTS)
    assert isclose(found["A>>B"], 0.3)
    assert isclose(found["A>B"], 0.18)
    assert isclose(found["A=B"], 0.12)
    assert isclose(found["B>A"], 0.4), "what was not drawn is the weaker claim"
    assert found["B>>A"] == 0


def test_a_word_that_begins_like_an_option_is_none():
    assert option_probabilities(reply(("A good", {"A good": 0.6, "Both": 0.4})), POINTS) == {}


@pytest.mark.parametrize(
    "drawn", [reply(), reply(("yes", {"yes": 1.0})), Logprobs(tokens=("1",), values=(0.0,))]
)
def test_without_an_option_there_are_no_probabilities(drawn):
    assert option_probabilities(drawn, ONE_TO_NINE) == {}


@given(
    places=st.lists(
        st.tuples(
            st.sampled_from(["1", "0", "[[", "]]", "A", ">", "x", ""]),
            st.dictionaries(
                st.sampled_from(["1", "0", "2", "]]", "A", "=", "B", "x"]), st.floats(0.01, 1), max_size=4
            ),
        ),
        max_size=6,
    )
)
def test_whatever_is_drawn_probabilities_sum_to_one_or_there_are_none(places):
    for options in (ONE_TO_NINE, ["1", "10", "2"], list(POINTS)):
        found = option_probabilities(reply(*places), options)
        assert not found or isclose(sum(found.values()), 1)
        assert all(p >= 0 for p in found.values())
