"""What judges see of conversations that are more than text."""

from nbest.context import Context
from nbest.judging.judge_questions import question
from nbest.judging.sections import shown_prompt, texts_of
from nbest.judging.verdict_forms import FREE_TEXT
from nbest.types import Message, Prompt, SamplingParams
from scripted import prompt_of

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
CALL = {"id": "c", "type": "function", "function": {"name": "天気", "arguments": '{"都市": "東京", "日": 1}'}}
PROMPT = Prompt(
    id="p",
    messages=(
        Message(role="user", content="ما هذا؟", parts=({"type": "text", "text": "ما هذا؟"}, IMAGE)),
        Message(role="assistant", fields={"tool_calls": [CALL, "nonsense"]}),
        Message(role="tool", content="晴れ", fields={"tool_call_id": "c"}),
    ),
)


def test_calls_of_earlier_turns_are_shown():
    assert texts_of(PROMPT) == ["ما هذا؟", '天気({"日":1,"都市":"東京"})', "晴れ"]
    assert '天気({"日":1,"都市":"東京"})' in shown_prompt(PROMPT, "ab12")


def asked(prompt):
    return question(
        "score",
        prompt,
        {"1": "四"},
        Context({}),
        role="judge",
        engine=None,
        params=SamplingParams(),
        template_language="en",
        templates=None,
        form=FREE_TEXT,
    ).request.prompt.messages


def test_images_reach_the_judge_behind_the_question():
    [turn] = asked(PROMPT)
    assert turn.parts[0] == {"type": "text", "text": turn.content}
    assert turn.parts[1:] == (IMAGE,)


def test_a_question_about_text_alone_is_text():
    [turn] = asked(prompt_of("四?"))
    assert turn.parts == ()
