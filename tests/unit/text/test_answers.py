"""Extraction and equivalence: promises beyond the golden list."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbest.text import Answer, classes, equivalent, extract, read
from nbest.text.answer_words import convention, languages

CHARS = st.one_of(
    st.characters(),  # surrogates and control characters included
    st.sampled_from("0123456789.,-−%/:=()[]{}\\$^*#|'’ \n٫٬٣१๒一百万億〇点分之Ⅳ½²①Ⓑאبক"),
)
TEXTS = st.one_of(
    st.text(CHARS, max_size=200),
    st.lists(
        st.sampled_from(
            ["\\boxed{", "}", "#### ", "Answer:", "答案", "الجواب", "**", "1,234", "50%", "\\frac", "\n"]
        ),
        max_size=40,
    ).map("".join),
    st.integers(1, 30000).map("7".__mul__),
)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, language=st.sampled_from([None, "xx", "zh-Hant-TW", *languages()]))
@example(text="1e999999999", language=None)
@example(text="9" * 5000, language=None)
@example(text="\ud800 42", language="en")
@example(text="1/0", language=None)
@example(text="2^-400", language=None)
def test_any_text_has_an_answer_equal_to_itself_or_none(text, language):
    answer = extract(text, language=language)
    if answer is not None:
        assert answer.readings
        assert all(answer.readings)
        assert equivalent(answer, answer)
        assert classes([answer]) == [answer.key] or answer.is_ambiguous
    assert equivalent(answer, answer) is (answer is not None)


@settings(max_examples=200, deadline=None)
@given(a=st.text(CHARS, max_size=20), b=st.text(CHARS, max_size=20))
def test_equivalence_is_symmetric(a, b):
    assert equivalent(a, b) == equivalent(b, a)


@pytest.mark.parametrize(
    "hostile",
    [
        "\\boxed{" * 3000,
        "answer" * 3000,
        "answer is " * 2000,
        "1,2" * 7000,
        "1 234 " * 3000,
        "." * 20000 + "a",
        "一" * 20000,
        "3/4" * 6000,
        "\\frac{" * 3000,
        "(" * 20000,
        "**a" * 6000,
        "=" * 20000,
        "2^" * 10000,
        "3 million " * 2000,
        "3만 5천 " * 4000,
        "²" * 20000,
        "a. " * 6000,
        " " * 20000 + "x",
        "负" * 20000,
        "5" * 20000,
        "三分之" * 6000,
    ],
)
def test_hostile_texts_take_linear_time(hostile):
    # No clock: a quadratic pattern would take minutes, and the suite's own limit would show it.
    extract(hostile)
    extract(hostile, language="zh")
    read(hostile)


DIGITS_BY_LANGUAGE = {
    "ar": "٠",
    "fa": "۰",
    "hi": "०",
    "bn": "০",
    "te": "౦",
    "th": "๐",
    "zh": "０",
    "ja": "０",
}


@given(n=st.integers(-(10**12), 10**12), language=st.sampled_from(sorted(DIGITS_BY_LANGUAGE)))
def test_digits_of_a_language_are_digits(n, language):
    zero = ord(DIGITS_BY_LANGUAGE[language])
    native = "".join(chr(zero + int(c)) if c.isdigit() else c for c in str(n))
    answer = extract(native, language=language)
    assert answer is not None
    assert answer.key == str(n)


def test_every_decimal_digit_of_unicode_is_read():
    for code in range(0x110000):
        value = unicodedata.decimal(chr(code), None)
        if value is not None:
            answer = read(chr(code) * 2)
            assert answer is not None
            assert answer.key == str(value * 11), hex(code)


@given(n=st.integers(0, 10**9 - 1), language=st.sampled_from(languages()))
def test_grouped_thousands_are_one_number(n, language):
    group = {".": ",", ",": "."}[convention(language).decimals[0]]
    answer = extract(f"{n:,}".replace(",", group), language=language)
    assert answer is not None
    assert answer.key == str(n)


def test_an_ambiguous_numeral_keeps_both_readings_where_the_language_is_not_known():
    answer = read("1.234")
    assert answer is not None
    assert answer.is_ambiguous
    assert equivalent(answer, "1234")
    assert equivalent(answer, "1.2340")
    assert not equivalent(answer, "12.34")


@pytest.mark.parametrize(("language", "key"), [("en", "1.234"), ("de", "1234")])
def test_a_known_language_settles_it(language, key):
    answer = read("1.234", language)
    assert answer is not None
    assert answer.readings == (key,)


def test_a_class_is_what_most_of_the_pool_can_mean():
    pool = [extract(t) for t in ("1.234", "1234", "1 234", "1.2340", "…")]
    assert classes(pool) == ["1234", "1234", "1234", "1.234", None]


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("0.75", "3/4", True),
        ("0.33", "1/3", False),
        ("42 km", "42 miles", False),
        ("42 km", "42", True),  # a unit that only one has says nothing
        ("(B)", "b)", True),
        ("ب", "B", True),
        ("yes", "да", True),
        ("yes", "no", False),
        ("World War 2", "2", False),
        ("World War II", "world war II.", True),
        ("50%", "0.5", True),
        ("2024-03-05", "5/3/2024", True),
        ("2024-03-05", "2024", False),
        ("", "", False),
        ("#### 7", "7", True),
    ],
)
def test_equivalence(a, b, same):
    assert equivalent(a, b) is same


def test_capitals_are_read_in_turkish_too():
    assert equivalent(extract("DOĞRU YANIT: 42", language="tr"), "42")
    assert equivalent(extract("HAYIR", language="tr"), "no")


def test_nothing_equals_nothing():
    assert not equivalent(None, None)
    assert not equivalent(None, "42")


def test_a_marked_sentence_equals_a_gold_phrase():
    assert equivalent(extract("Answer: World War 2"), "World War 2")


def test_the_unit_is_kept():
    answer = extract("Antwort: 3,5 Stunden", language="de")
    assert answer == Answer(text="3,5 Stunden", kind="number", readings=("3.5",), unit="Stunden")


@pytest.mark.parametrize("language", languages())
def test_every_word_of_the_table_is_understood(language):
    conv = convention(language)
    for marker in conv.markers:
        answer = extract(f"3 + 4\n{marker}: 42", language=language)
        assert answer is not None
        assert answer.key == "42", marker
    for word, verdict in conv.verdicts.items():
        answer = read(word, language)
        assert answer is not None
        assert answer.readings == (verdict,), word
    for word, scales in conv.scales.items():
        answer = read(f"3 {word}", language)
        assert answer is not None
        assert answer.key == str(3 * scales[0]), word


@given(
    st.lists(
        st.sampled_from(
            ["12", "1,234", "3/4", "5 March 2024", "слово ", "答案", "$5", "×10^3", "-7", " ", "½", "万"]
        ),
        min_size=40,
        max_size=120,
    )
)
def test_a_long_line_ends_in_the_same_number_wherever_reading_begins(parts):
    from nbest.text import sentence_numbers
    from nbest.text.answer_words import convention
    from nbest.text.normalise import normalised

    line = normalised(" ".join(parts))
    tail = sentence_numbers.last_number(line, convention(None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sentence_numbers, "_TAIL_CHARS", 10**9)
        assert sentence_numbers.last_number(line, convention(None)) == tail


@pytest.mark.parametrize(("language", "mark"), [("en", "A: {}"), ("en", "C) {}"), ("ar", "ج: {}"), ("ja", "A. {}個"), ("zh", "A：{}"), ("ru", "А) {}")])  # fmt: skip
def test_a_letter_before_different_numbers_marks_an_answer(language, mark):
    pool = [extract(mark.format(n), language=language) for n in (18, 17, 18)]
    assert classes(pool) == ["18", "17", "18"]


@pytest.mark.parametrize(("language", "texts"), [("en", ("B) 42", "B", "A) 41")), ("ar", ("ب) ٤٢", "ب", "أ) ٤١")), ("hi", ("(ख) 42", "(ख)", "(क) 41"))])  # fmt: skip
def test_a_letter_before_one_number_is_a_choice(language, texts):
    pool = [extract(t, language=language) for t in texts]
    found = classes(pool)
    assert found[0] == found[1] == "(B)"
    assert found[2] != found[0]
