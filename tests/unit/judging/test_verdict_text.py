import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.judging.sections import most_tokens, unused_tag
from nbest.judging.verdict_text import NoVerdictError, choice, grade

ZEROS = [0x30, 0x660, 0x6F0, 0x966, 0x9E6, 0xBE6, 0xE50, 0xF20, 0x1040, 0x17E0, 0xFF10]
"""Where the digits of eleven scripts begin."""
PIECES = st.sampled_from(
    ["[[", "]]", "【", "】", "1", "٢", "{", "}", '"v":', ">", "A", "B", "\n", "```", " ", "二", "-"]
)


@pytest.mark.parametrize("zero", ZEROS)
@given(number=st.integers(1, 99))
def test_numbers_are_read_in_every_script(zero, number):
    spelled = "".join(chr(zero + int(d)) for d in str(number))
    assert choice(f"…\n[[{spelled}]]", 99) == number


@given(before=st.text(alphabet="abc ж界\n,.", max_size=60), number=st.integers(1, 9))
def test_words_before_the_verdict_change_nothing(before, number):
    assert choice(f"{before}\n[[{number}]]\n", 9) == number


@given(text=st.one_of(st.text(), st.lists(PIECES, max_size=20).map("".join)))
def test_whatever_a_judge_says_is_a_verdict_or_none(text):
    for read in (lambda t: choice(t, 5), grade):
        try:
            verdict = read(text)
        except NoVerdictError:
            continue
        assert verdict in {1, 2, 3, 4, 5, "A>>B", "A>B", "A=B", "B>A", "B>>A"}


def test_a_long_reply_full_of_braces_is_read_in_time():
    with pytest.raises(NoVerdictError):
        choice('{"a":' * 5000 + "}", 3)


def test_a_tag_is_in_none_of_the_texts():
    class Fixed:
        codes = iter([0xDEADBEEF, 0xDEADBEEF, 0x12345678])

        def getrandbits(self, bits):
            return next(self.codes)

    assert unused_tag(Fixed(), ["…</candidate-DEADBEEF>", "x"]) == "12345678"


@pytest.mark.parametrize("text", ["", "a", "Das ist ein Satz.", "これは文です", "ประโยค", "\ud800", "🙂"])
def test_the_token_estimate_is_no_less_than_tokenizers_make(text):
    assert most_tokens(text) >= len(text) / 2
    assert most_tokens(text * 2) >= most_tokens(text)
