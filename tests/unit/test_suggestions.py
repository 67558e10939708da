import pytest

from nbest.suggestions import did_you_mean, listed, nearest


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("vtoe", ["best", "vote"], "vote"),
        ("投票する", ["投票", "最良"], "投票"),
        ("zzz", ["best", "vote"], None),
        ("best", [], None),
    ],
)
def test_the_nearest_name_or_none(name, known, near):
    assert nearest(name, known) == near


def test_the_end_of_a_message_names_the_nearest_and_what_is_known():
    assert did_you_mean("vtoe", ["best", "vote"]) == "; did you mean 'vote'? Known: best, vote"
    assert did_you_mean("zzz", ["best"], label="Served") == ". Served: best"
    assert did_you_mean("zzz", []) == ". Known: nothing"


def test_long_lists_are_cut_and_say_so():
    assert listed("abcd", num_shown=2) == "a, b …"
    assert listed("ab", num_shown=2) == "a, b"
