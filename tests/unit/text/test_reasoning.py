import pytest

from nbest.text import extract
from nbest.text.reasoning import answer_text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>6 × 7 = 43?</think>\n\n42", "42"),
        ("[THINK]vielleicht 43[/THINK]Antwort: 42", "Antwort: 42"),
        ("◁think▷あるいは43◁/think▷答えは42です。", "答えは42です。"),
        ("<reasoning>может быть 43</reasoning>Ответ: 42", "Ответ: 42"),
        ("<Thinking>ربما 43</Thinking>الجواب: ٤٢", "الجواب: ٤٢"),
        ("शायद 43 है।</think>उत्तर: 42", "उत्तर: 42"),  # the opening tag stands in the prompt
        ("<think>a<think>b</think>c</think>42", "42"),
        ("<think>first</think>41? <think>no</think>42", "41? 42"),
        ("<think>อาจจะ 43", ""),
        ("答案是42<think>再想想", "答案是42"),
        ("<|channel|>analysis<|message|>43?<|end|><|start|>assistant<|channel|>final<|message|>42", "42"),
        ("no tags: a < b, [1], x", "no tags: a < b, [1], x"),
        ("", ""),
    ],
)
def test_reasoning_is_no_part_of_the_answer(text, said):
    assert answer_text(text) == said


@pytest.mark.parametrize("language", ["en", "de", "ja", "ar", "hi", "th", None])
def test_no_answer_is_read_from_reasoning(language):
    assert extract("<think>Answer: 43. \\boxed{43}", language=language) is None
    assert extract("<think>\\boxed{43}</think>42", language=language).key == "42"
