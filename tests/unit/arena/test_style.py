import pytest

from nbest.arena.style import style


@pytest.mark.parametrize(
    ("text", "headers_bold_lists"),
    [
        ("", (0, 0, 0)),
        ("# Title\n\nSome **bold** text.\n\n- one\n- two\n* three", (1, 1, 3)),
        ("＃ 題\n＊＊太字＊＊\n・一\n・二\n１、三\n二、四", (1, 1, 4)),
        ("## عنوان\n١. واحد\n٢. اثنان", (1, 0, 2)),
        ("১. এক\n২) দুই", (0, 0, 2)),
        ("① один\n② два", (0, 0, 2)),
        ("3.5 is a number\n-5 is one\n1984 was a year\n#hashtag", (0, 0, 0)),
        ("__init__ and a__b__c", (0, 1, 0)),
        ("```\n# comment\n- item\n**x**\n```\n- real", (0, 0, 1)),
        ("```\nnever closed\n- item", (0, 0, 0)),
    ],
)
def test_what_is_counted(text, headers_bold_lists):
    assert style(text)[1:] == headers_bold_lists


@pytest.mark.parametrize(
    ("text", "length"), [("", 0), ("abc", 3), ("e\u0301", 1), ("👩‍👩‍👧!", 2), ("नमस्ते", 3), ("한국어", 3)]
)
def test_length_is_in_characters_that_a_reader_sees(text, length):
    assert style(text).length == length
