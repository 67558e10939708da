"""Numbers with units as quantities, in gold answers and in votes."""

import pytest

from nbest.text import equivalent, extract
from nbest.text.classes import classes


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("5 km", "5000 m", True),
        ("5 км", "5000 м", True),
        ("5公里", "5000米", True),
        ("5 किमी", "5000 मीटर", True),
        ("5 كم", "5000 متر", True),
        ("5 กม.", "5000 เมตร", True),
        ("5 km", "5 m", False),
        ("5 km", "5 kg", False),
        ("5 km", "5 км", True),
        ("1.5 h", "90 min", True),
        ("2 weeks", "14 días", True),
        ("50 cents", "0.5 dollars", True),
        ("50 cents", "$50", False),
        ("5 €", "5 $", False),
        ("5 ₽", "5 ₴", False),
        ("100 円", "100 원", False),
        ("3元5角", "3.5元", True),
        ("3元5角", "35角", True),
        ("3元5角", "35元", False),
        ("5 h 30 min", "330 minutes", True),
        ("5 h 30 min", "330 h", False),
        ("5 h 30 min", "330", True),
        ("36 m^2", "36 cm^2", False),
        ("1 m^2", "100 cm^2", False),
        ("36 m²", "36 square meters", True),
        ("5 apples", "5 km", True),  # not a unit of ours: nothing is known
        ("3 miles", "15840 feet", True),
        ("2 l", "2000 ml", True),
    ],
)
def test_quantities(a, b, same):
    assert equivalent(a, b) is same
    assert equivalent(b, a) is same


@pytest.mark.parametrize(
    ("given", "gold", "same"),
    [
        ("В", "Б", False),
        ("В", "В", True),
        ("В", "B", True),  # typed on a Russian keyboard, or meant as the third: a Latin gold does not tell
        ("В", "C", True),
        ("Б", "B", True),
        ("С", "Г", False),
        ("С) Байкал", "Г", False),
    ],
)
def test_cyrillic_letters_that_look_latin(given, gold, same):
    assert equivalent(extract(f"Ответ: {given}", language="ru"), gold) is same


def test_votes_for_cyrillic_letters_are_not_votes_for_others():
    texts = ["Ответ: В", "Ответ: Б", "Ответ: В", "Ответ: Б", "Ответ: В"]
    keys = classes([extract(text, language="ru") for text in texts])
    assert keys == ["(C)", "(B)", "(C)", "(B)", "(C)"]
    latin = classes([extract(f"Ответ: {letter}", language="ru") for letter in "ВBB"])
    assert latin == ["(B)"] * 3
