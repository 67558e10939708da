"""Answers that a word in the last line marks are read from that line alone, with the same result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.text import extraction
from nbest.text.extraction import extract

FRAGMENTS = (
    "Answer: 42",
    "the answer is 7",
    "**Antwort:** 1.234",
    "答：42个，每人3个",
    "答案是 B",
    "उत्तर: ४२",
    "الجواب: ٤٢",
    "คำตอบคือ 12",
    "정답: 5",
    "Ответ: 3,5 кг",
    "Check: 6 × 7 = 42",
    "Probe: 6 · 7 = 42",
    "Wait, actually it is 9.",
    r"\boxed{3}",
    "#### 8",
    "<answer>2</answer>",
    '{"answer": 3}',
    "```",
    "total 11 in 3 steps",
    "",
)
TEXTS = st.lists(
    st.tuples(st.sampled_from(FRAGMENTS), st.sampled_from(("\n", "\n\n", "\n\n\n", " ", "\r\n"))),
    min_size=1,
    max_size=6,
).map(lambda parts: "".join(fragment + end for fragment, end in parts))
LANGUAGES = st.sampled_from((None, "ar", "de", "en", "hi", "ja", "ko", "ru", "th", "zh"))


@given(text=TEXTS, language=LANGUAGES)
def test_a_marked_last_line_says_what_the_whole_text_does(text, language):
    sooner = extract.__wrapped__(text, language=language)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "_marked_last", lambda *_: None)
        whole = extract.__wrapped__(text, language=language)
    assert sooner == whole
