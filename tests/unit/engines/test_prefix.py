"""Deltas of a completion on their way out: the prefix that a server repeats, and what was not emitted."""

import pytest

from nbest.engines.prefix import PrefixStripper
from nbest.types import Completion, ReasoningDelta

TEXT = "答えは四です"


def emitted(deltas, drawn=None, *, echo=""):
    found = []
    strip = PrefixStripper(found.append, echo=echo)
    for delta in deltas:
        strip(delta)
    if drawn is not None:
        strip.emit_rest(drawn)
    return found


@pytest.mark.parametrize("deltas", [["答え", "は四です"], ["答", "え", "は四", "です"], [TEXT]])
def test_a_prefix_that_is_repeated_is_left_out_wherever_it_is_cut(deltas):
    assert "".join(emitted(deltas, echo="答え")) == "は四です"
    assert "".join(emitted(deltas)) == TEXT


def test_a_text_that_only_begins_as_the_prefix_is_emitted_whole():
    assert "".join(emitted(["答", "案"], echo="答え")) == "答案"


def test_a_completion_in_one_reply_is_emitted_reasoning_first():
    reasoning = ReasoningDelta(text="二足す二")
    assert emitted([], Completion(text=TEXT, reasoning="二足す二")) == [reasoning, TEXT]
    assert emitted([reasoning], Completion(text=TEXT, reasoning="二足す二")) == [reasoning, TEXT]


def test_reasoning_is_never_emitted_behind_the_text():
    assert emitted(["答え"], Completion(text=TEXT, reasoning="二足す二")) == ["答え", "は四です"]
