"""Words and phrases of all languages, found at a place of a text."""

import re

import pytest

from nbest.text.phrase_index import Phrases

PHRASES = Phrases(["or more", "or", "以上", "以", "и более", "或更多", "से ज्यादा", "ขึ้นไป", "이상", "p.m", "a"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("or more than that", "or more"),  # the longest
        ("or mores", "or"),  # no part of a longer word
        ("orange", None),
        ("и более трёх", "и более"),
        ("से ज्यादा लोग", "से ज्यादा"),
        ("से ज्यादाा", None),  # a vowel sign goes on
        ("以上です", "以上"),
        ("以前", "以"),
        ("ขึ้นไปอีก", "ขึ้นไป"),
        ("이상입니다", "이상"),
        ("p.m.", "p.m"),
        ("", None),
    ],
)
def test_longest_at_the_start(text, found):
    end = PHRASES.end_at(text)
    assert (None if end is None else text[:end]) == found


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("5 or more", "5"),
        ("5以上", "5"),
        ("5 и более", "5"),
        ("5 कया से ज्यादा", "5 कया"),
        ("color", None),
        ("5", None),
    ],
)
def test_at_the_end(text, before):
    assert PHRASES.without_end(text) == before


def test_first_anywhere():
    assert PHRASES.first("color 5個以上 or more") == (8, 10)
    assert PHRASES.first("color") is None


def test_behind_the_start_there_is_no_space():
    assert PHRASES.without_start("or more  5") == "5"
    assert PHRASES.without_start("5 or more") is None


def test_like_a_regular_expression():
    words = ["or more", "or", "a", "an", "and"]
    phrases = Phrases(words)
    longest_first = sorted(words, key=len, reverse=True)
    pattern = re.compile(rf"(?<![a-z])(?:{'|'.join(longest_first)})(?![a-z])")
    for text in ("an or more and a", "anor", "x and", "or more", " a", "candor or"):
        for at in range(len(text)):
            match = pattern.match(text, at)
            assert phrases.end_at(text, at) == (match.end() if match else None)
