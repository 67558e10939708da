import pytest

from nbest.judging.templates import language_words
from nbest.lab.language_data import LANGUAGES
from nbest.strategies.phrases import table
from nbest.text import extract


def test_the_embedded_model_hears_the_turns_that_it_was_trained_on():
    assert {code: table()[code].try_again for code in LANGUAGES} == {
        code: words.retry for code, words in LANGUAGES.items()
    }


def test_every_language_of_the_judges_but_telugu_has_words():
    assert set(table()) == set(language_words()) - {"te"}


@pytest.mark.parametrize("language", sorted(table()))
def test_the_final_words_mark_an_answer(language):
    words = table()[language]
    found = extract(f"1 2 3\n{words.final} 42\n", language=language)
    assert found is not None
    assert found.readings == ("42",)
    assert len({words.try_again, words.wait, words.final}) == 3
