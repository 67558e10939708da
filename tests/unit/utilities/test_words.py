import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.utilities.words import bare_words, graphemes, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat, 1,234.5!", ["The", "cat", ",", "1,234.5", "!"]),
        ("去年春天，コーヒー", [*"去年春天，コーヒー"]),
        ("第12章abc", ["第", "12", "章", "abc"]),
        ("ฉันกิน", ["ฉั", "น", "กิ", "น"]),
        ("मैं घर गया।", ["मैं", "घर", "गया", "।"]),
        ("می‌خواهم ١٢٫٥", ["می‌خواهم", "١٢٫٥"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("e\u0301te\u0301 👩‍👩‍👧!", ["e\u0301te\u0301", "👩‍👩‍👧", "!"]),
        ("\ud800x", ["\ud800", "x"]),
        (" \n\u3000", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_bare_words_have_neither_case_nor_punctuation():
    assert bare_words("Straße, «ΣΟΦΌΣ» … 5€!") == ["strasse", "σοφοσ", "5", "€"]


@given(st.text())
def test_nothing_but_whitespace_is_lost(text):
    assert "".join("".join(words(text)).split()) == "".join(text.split())
    assert "".join(graphemes(text)) == text
