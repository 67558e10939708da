import msgspec
import pytest

from nbest.serve.api.bad_request import BadRequestError
from nbest.serve.api.responses_request import read_responses
from nbest.types import Message, Overrides

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}


def read(**said):
    return read_responses(msgspec.json.encode({"model": "m", "input": "あ", **said}))


def test_a_text_is_a_user_turn_and_the_instructions_a_system_turn():
    ask = read(instructions="Отвечай кратко.")
    assert ask.messages == (
        Message(role="system", content="Отвечай кратко."),
        Message(role="user", content="あ"),
    )
    assert ask.echo == {"instructions": "Отвечай кратко."}


def test_a_conversation_with_tools_reads_as_in_chat():
    ask = read(
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "อุณหภูมิ"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "一"}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "b", "name": "g", "arguments": '{"x":1}', "id": "fc_1"},
            {"type": "function_call_output", "call_id": "a", "output": "21°"},
            {
                "type": "function_call_output",
                "call_id": "b",
                "output": [{"type": "input_text", "text": "22°"}],
            },
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        ]
    )

    def call(id_, name, arguments):
        return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}

    assert ask.messages == (
        Message(role="user", content="อุณหภูมิ"),
        Message(
            role="assistant",
            content="一",
            fields={"tool_calls": [call("a", "f", "{}"), call("b", "g", '{"x":1}')]},
        ),
        Message(role="tool", content="21°", fields={"tool_call_id": "a"}),
        Message(role="tool", content="22°", fields={"tool_call_id": "b"}),
        Message(role="assistant", fields={"tool_calls": [call("c", "f", "{}")]}),
    )


def thinking(*texts, summary=()):
    content = [{"type": "reasoning_text", "text": t} for t in texts]
    return {"type": "reasoning", "id": "rs", "summary": list(summary), "content": content or None}


CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
SAYS = {"type": "message", "role": "assistant", "content": "一"}


@pytest.mark.parametrize(
    ("items", "thoughts"),
    [
        ([thinking("หา"), CALL], ["หา"]),
        ([thinking("а", "б"), CALL], ["а\n\nб"]),
        ([thinking("а"), thinking("б"), SAYS], ["а\n\nб"]),
        ([thinking("а"), thinking(summary=[{"type": "summary_text", "text": "1/3"}]), SAYS], ["а"]),
        ([SAYS, thinking("а"), CALL], ["а"]),
        ([thinking("а"), SAYS, thinking("б"), CALL], ["а\n\nб"]),
        ([thinking("а"), CALL, thinking("б"), CALL], ["а\n\nб"]),
        ([thinking("а"), SAYS, {"role": "user", "content": "二"}, SAYS], ["а", None]),
        ([thinking("а"), {"role": "user", "content": "二"}, SAYS], [None]),
    ],
)
def test_what_was_thought_goes_with_the_turn_that_it_led_to(items, thoughts):
    turns = [
        m for m in read(input=[{"role": "user", "content": "?"}, *items]).messages if m.role == "assistant"
    ]
    assert [t.fields.get("reasoning_content") for t in turns] == thoughts


@pytest.mark.parametrize(
    "content", [5, True, "か", {"text": "か"}, [5], [{"type": "reasoning_text", "text": 5}]]
)
def test_thoughts_of_another_shape_are_none(content):
    (turn,) = read(input=[{"type": "reasoning", "summary": [], "content": content}, SAYS]).messages
    assert turn.fields == {}


def test_pictures_sounds_and_files_are_parts_of_chat():
    content = [
        {"type": "input_text", "text": "यह क्या है?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
        {"type": "input_image", "image_url": "https://example.org/a.png", "file_id": None},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "input_file", "file_data": "AA==", "filename": "a.pdf"},
    ]
    turn = read(input=[{"role": "user", "content": content}]).messages[0]
    assert turn.content == "यह क्या है?"
    assert turn.parts == (
        {"type": "text", "text": "यह क्या है?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_data": "AA==", "filename": "a.pdf"}},
    )


def test_several_texts_stay_apart():
    content = [{"type": "input_text", "text": text} for text in ("What is 2+2?", "أجب بالعربية")]
    output = {"type": "function_call_output", "call_id": "c", "output": content}
    parts = tuple({"type": "text", "text": part["text"]} for part in content)
    for turn in read(input=[{"role": "user", "content": content}, output]).messages:
        assert (turn.content, turn.parts) == ("What is 2+2?\nأجب بالعربية", parts)


def test_settings_are_put_into_the_words_of_chat():
    schema = {"type": "object", "properties": {}}
    ask = read(
        max_output_tokens=9,
        temperature=0.5,
        tools=[TOOL],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        text={
            "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True},
            "verbosity": "low",
        },
        reasoning={"effort": "high", "summary": "auto"},
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=2,
        user="u",
        store=True,
        metadata={"k": "v"},
        truncation="auto",
        stream=True,
        nbest={"n": 4},
    )
    assert ask.overrides == Overrides(
        temperature=0.5,
        max_tokens=9,
        logprobs=2,
        body={
            "tools": [{"type": "function", "function": {k: v for k, v in TOOL.items() if k != "type"}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": False,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": schema, "strict": True},
            },
            "verbosity": "low",
            "reasoning_effort": "high",
            "user": "u",
        },
    )
    assert (ask.stream, ask.nbest.n) == (True, 4)
    assert ask.echo["metadata"] == {"k": "v"}
    assert ask.echo["tools"] == [TOOL]
    assert not {"store", "truncation", "user"} & ask.echo.keys()


@pytest.mark.parametrize("found", [{"type": "text"}, {"type": "json_object"}])
def test_formats_without_a_schema(found):
    body = read(text={"format": found}).overrides.body
    assert body == ({"response_format": found} if found["type"] == "json_object" else {})


@pytest.mark.parametrize(
    ("said", "param", "words"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "send the whole conversation as input"),
        ({"conversation": "conv_1"}, "conversation", "send the whole conversation"),
        ({"prompt": {"id": "p"}}, "prompt", "nothing is stored"),
        ({"background": True}, "background", "wait for the answer, or stream it"),
        ({"n": 2}, "n", "must be 1"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "'web_search' runs on OpenAI's servers"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing"),
        ({"tools": [TOOL], "tool_choice": {"type": "mcp"}}, "tool_choice", "must be auto"),
        ({"tool_choice": "required"}, "tool_choice", "tools is empty"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema", "missing"),
        ({"max_output_tokens": 0}, "max_output_tokens", "at least 1"),
        ({"metadata": {"a": 1}}, "metadata[...]", "a string"),
        ({"input": []}, "input", "no turn"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input", "no turn"),
        ({"input": 3}, "input", "input must be a string or a list, not an integer"),
        ({"input": [{"role": "user"}]}, "input[0].content", "missing"),
        ({"input": [{"role": "", "content": "a"}]}, "input[0].role", "is empty"),
        ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "input[0].content[0]", "parts are"),
        ({"input": [{"type": "item_reference", "id": "a"}]}, "input[0]", "nothing is stored"),
        ({"input": [{"type": "web_search_call"}]}, "input[0].type", "got 'web_search_call'"),
        (
            {"input": [{"type": "function_call", "name": "f", "arguments": 3}]},
            "input[0].arguments",
            "a string",
        ),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id", "missing"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(said, param, words):
    with pytest.raises(BadRequestError) as e:
        read(**said)
    assert e.value.param == param
    assert words in str(e.value)
