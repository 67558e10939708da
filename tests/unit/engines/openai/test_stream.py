import json

import pytest

from nbest.engines.openai.response import completions
from nbest.engines.openai.server_reply import parse_reply
from nbest.engines.openai.stream import CompletionStream
from nbest.errors import EngineHttpError, EngineProtocolError
from nbest.types import SamplingParams, ToolCall, ToolCallDelta

PARAMS = SamplingParams(max_tokens=16)


def stream(*chunks, done=True):
    emitted = []
    reply = CompletionStream(emitted.append)
    for chunk in chunks:
        reply.feed(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode())
    if done:
        reply.feed(b"data: [DONE]\n\n")
    reply.close()
    return emitted, completions(reply.reply(), PARAMS)[0]


def delta(finish=None, index=0, **said):
    return {"choices": [{"index": index, "delta": said, "finish_reason": finish}]}


def call(index=None, id_=None, name=None, arguments=None):
    made = {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}
    return delta(tool_calls=[{k: v for k, v in made.items() if v is not None}])


END = delta("stop")


def test_calls_are_put_together_by_index():
    _, drawn = stream(
        call(0, "a", "погода", ""),
        call(1, "b", "time", ""),
        call(0, arguments='{"город": '),
        call(1, arguments="{}"),
        call(0, arguments='"東京"}'),
        delta("tool_calls"),
    )
    assert drawn.tool_calls == (
        ToolCall(id="a", name="погода", arguments='{"город": "東京"}'),
        ToolCall(id="b", name="time", arguments="{}"),
    )
    assert (drawn.text, drawn.finish) == ("", "stop")


def test_calls_without_an_index_or_an_id_are_whole_and_told_apart():
    _, drawn = stream(call(name="f", arguments="{}"), call(name="f", arguments={"x": 1}), END)
    assert [c.arguments for c in drawn.tool_calls] == ["{}", '{"x":1}']
    assert len({c.id for c in drawn.tool_calls}) == 2


@pytest.mark.parametrize("names", [("f", "f"), ("f", "г")])
def test_whole_calls_under_one_index_are_told_apart(names):
    emitted, drawn = stream(
        call(0, "a", names[0], '{"x": 1}'), call(0, "b", names[1], '{"x": 2}'), delta("tool_calls")
    )
    assert [(c.id, c.name, c.arguments) for c in drawn.tool_calls] == [
        ("a", names[0], '{"x": 1}'),
        ("b", names[1], '{"x": 2}'),
    ]
    assert emitted == [ToolCallDelta(index=0, id="a", name=names[0], arguments='{"x": 1}')]


def test_calls_under_one_index_without_arguments():
    _, drawn = stream(call(0, "a", "now", ""), call(0, "b", "где", "{}"), call(0, "c", "где", "{}"), END)
    assert [c.name for c in drawn.tool_calls] == ["now", "где", "где"]


@pytest.mark.parametrize("ids", [("a", "a", "a"), ("a", "b", "c"), ("a", None, None)])
def test_a_name_that_comes_with_each_part_is_said_once(ids):
    _, drawn = stream(
        call(0, ids[0], "погода", ""),
        call(0, ids[1], "погода", '{"x"'),
        call(0, ids[2], "погода", ":1}"),
        END,
    )
    assert drawn.tool_calls == (ToolCall(id="a", name="погода", arguments='{"x":1}'),)


def test_a_name_in_deltas():
    _, drawn = stream(call(0, "a", "по", ""), call(0, None, "года", "{}"), END)
    assert drawn.tool_calls == (ToolCall(id="a", name="погода", arguments="{}"),)


def test_a_call_without_arguments_has_none():
    _, drawn = stream(call(0, "a", "now", ""), END)
    assert drawn.tool_calls == (ToolCall(id="a", name="now", arguments="{}"),)


def test_text_and_a_call():
    emitted, drawn = stream(delta(content="Смотрю. "), call(0, "a", "f", "{}"), END)
    assert (emitted[:1], drawn.text, len(drawn.tool_calls)) == (["Смотрю. "], "Смотрю. ", 1)


@pytest.mark.parametrize("is_streamed", [True, False])
def test_the_older_function_call(is_streamed):
    if is_streamed:
        parts = [{"name": "f", "arguments": '{"x"'}, {"arguments": ": 1}"}]
        _, drawn = stream(*(delta(function_call=p) for p in parts), delta("function_call"))
    else:
        message = {"content": None, "function_call": {"name": "f", "arguments": '{"x": 1}'}}
        raw = json.dumps({"choices": [{"message": message, "finish_reason": "function_call"}]}).encode()
        (drawn,) = completions(parse_reply(raw), PARAMS)
    assert [(c.name, c.arguments) for c in drawn.tool_calls] == [("f", '{"x": 1}')]
    assert drawn.finish == "stop"


@pytest.mark.parametrize(
    "calls",
    [
        [{"function": {"arguments": "{}"}}],
        [{"function": {"name": "f", "arguments": 7}}],
        [{"function": {"name": "f", "arguments": "["}}],
        [{"id": 7, "function": {"name": "f", "arguments": "{}"}}],
        ["f"],
        "f",
    ],
)
def test_malformed_calls_are_a_failed_completion(calls):
    message = {"content": None, "tool_calls": calls}
    raw = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    (drawn,) = completions(parse_reply(raw), PARAMS)
    assert drawn.error.startswith("a malformed tool call")
    assert drawn.tool_calls == ()


def test_a_call_that_was_cut_says_what_to_do():
    call = {"id": "c", "function": {"name": "天気", "arguments": '{"都市": "東'}}
    message = {"content": None, "tool_calls": [call]}
    raw = json.dumps({"choices": [{"message": message, "finish_reason": "length"}]}).encode()
    (drawn,) = completions(parse_reply(raw), PARAMS)
    assert drawn.error == "a tool call was truncated: raise max_tokens"


def test_an_empty_text_is_a_text():
    assert stream(delta(role="assistant", content=""), END)[1].error is None
    assert stream(delta(role="assistant", content=None), END)[1].error is None


def test_reasoning_alone_is_none():
    _, drawn = stream(delta(reasoning_content="хм"), delta("length", content=""))
    assert drawn.error == "no text: every token went into reasoning; raise max_tokens"


@pytest.mark.parametrize("thought", [{"text": "хм"}, ["хм"], "хм"])
def test_thoughts_of_any_shape_alone_are_none(thought):
    _, drawn = stream(delta(reasoning=thought), delta("length", content=""))
    assert drawn.error == "no text: every token went into reasoning; raise max_tokens"
    assert drawn.reasoning == (thought if isinstance(thought, str) else None)


@pytest.mark.parametrize(
    ("said", "num"),
    [
        ({"reasoning_tokens": 5}, 5),
        ({"reasoning_tokens": -1}, 0),
        ({"reasoning_tokens": "5"}, 5),
        ({"reasoning_tokens": "five"}, 0),
        ([], 0),
    ],
)
def test_a_count_of_thoughts_that_makes_no_sense_costs_nothing(said, num):
    usage = {"prompt_tokens": 1, "completion_tokens": 9, "completion_tokens_details": said}
    _, streamed = stream(delta(content="4"), END, {"choices": [], "usage": usage})
    reply = {"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}], "usage": usage}
    (whole,) = completions(parse_reply(json.dumps(reply).encode()), PARAMS)
    assert [(d.text, d.usage.reasoning) for d in (streamed, whole)] == [("4", num)] * 2


def test_thoughts_of_several_choices_are_counted_together():
    reply = CompletionStream(n=2)
    for i in range(2):
        usage = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 5}}
        for chunk in (delta(index=i, content="4"), delta("stop", index=i), {"choices": [], "usage": usage}):
            reply.feed(f"data: {json.dumps(chunk)}\n\n".encode())
    reply.feed(b"data: [DONE]\n\n")
    reply.close()
    assert sum(d.usage.reasoning for d in completions(reply.reply(), PARAMS)) == 10


def test_calls_are_emitted_as_they_come():
    emitted, drawn = stream(
        delta(content="да"),
        call(0, "a", "f", ""),
        call(0, None, None, '{"x"'),
        call(0, None, None, ":1}"),
        END,
    )
    assert emitted == [
        "да",
        ToolCallDelta(index=0, id="a", name="f"),
        ToolCallDelta(index=0, arguments='{"x"'),
        ToolCallDelta(index=0, arguments=":1}"),
    ]
    assert drawn.tool_calls == (ToolCall(id="a", name="f", arguments='{"x":1}'),)


@pytest.mark.parametrize(
    "chunk",
    [
        call(0, None, "f", "{}"),  # without an id
        call(1, "a", "f", "{}"),  # not the first
        call(None, "a", "f", "{}"),
        call(0, "a", "f", {"x": 1}),
    ],
)
def test_calls_that_do_not_say_where_they_belong_come_with_the_completion(chunk):
    emitted, drawn = stream(chunk, call(0, "b", "f", ""), END)
    assert emitted == []
    assert drawn.tool_calls


@pytest.mark.parametrize(
    "second", [call(1, "a", "f", "{}"), call(1, "", "f", "{}"), call(1, None, "f", "{}")]
)
def test_a_call_whose_id_is_taken_or_missing_comes_with_the_completion_under_another(second):
    emitted, drawn = stream(call(0, "a", "f", "{}"), second, call(1, None, None, ""), END)
    assert emitted == [ToolCallDelta(index=0, id="a", name="f", arguments="{}")]
    first, other = drawn.tool_calls
    assert first == ToolCall(id="a", name="f", arguments="{}")
    assert other.id not in {"a", ""}


@pytest.mark.parametrize(
    ("parts", "arguments"),
    [
        ([{}, '{"x":1}'], '{"x":1}'),
        (['{"x"', ":1}", {}], '{"x":1}'),
        ([{"x": 1}, {}], '{"x":1}'),
        (["", {"x": 1}, ""], '{"x":1}'),
        ([{}, {}], "{}"),
        (["", ""], "{}"),
    ],
)
def test_arguments_are_an_object_or_a_text_whichever_says_something(parts, arguments):
    first, *more = parts
    calls = [call(0, "a", "f", first), *(call(0, None, None, part) for part in more)]
    assert [c.arguments for c in stream(*calls, END)[1].tool_calls] == [arguments]


def test_a_refusal_in_deltas():
    chunks = [delta(refusal="I "), delta(refusal="cannot"), delta("content_filter")]
    emitted, drawn = stream(*chunks)
    assert (emitted, drawn.text, drawn.finish) == ([], "I cannot", "refused")


def test_a_content_filter_fails_what_was_emitted():
    emitted, drawn = stream(delta(content="да"), delta("content_filter"))
    assert (emitted, drawn.text, drawn.finish) == (["да"], "да", "filtered")


def test_content_in_parts():
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "हाँ"}]
    emitted, drawn = stream(delta(content=parts), END)
    assert emitted == ["हाँ"] == [drawn.text]


def test_other_choices_and_chunks_without_any_are_passed_over():
    emitted, drawn = stream(
        {"choices": [], "usage": None}, delta(content="да"), delta(index=1, content="нет"), END
    )
    assert emitted == ["да"] == [drawn.text]


def test_the_last_usage_counts():
    first, last = ({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": n}} for n in (1, 2))
    _, drawn = stream(first, delta(content="да"), END, last)
    assert (drawn.usage.prompt, drawn.usage.completion, drawn.usage.calls) == (3, 2, 1)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "überlastet", "code": 503}}, EngineHttpError),
        ({"error": {"message": "überlastet", "code": "busy"}}, EngineProtocolError),
        ({"error": "überlastet"}, EngineProtocolError),
    ],
)
def test_errors_in_the_stream(error, kind):
    with pytest.raises(kind, match="überlastet"):
        stream(delta(content="да"), error)


@pytest.mark.parametrize("chunks", [[], [delta(content="да")]])
def test_a_stream_that_just_ends(chunks):
    with pytest.raises(EngineProtocolError, match="broke off"):
        stream(*chunks, done=False)


@pytest.mark.parametrize("after", [delta(), delta(content=""), delta(role="assistant")])
def test_a_chunk_behind_the_end_leaves_the_finish_reason(after):
    _, drawn = stream(delta(content="答えは"), delta("length"), after)
    assert (drawn.text, drawn.finish) == ("答えは", "length")


def test_a_finish_reason_is_an_end():
    assert stream(delta(content="да"), END, done=False)[1].text == "да"


def test_nothing_but_the_end_is_no_text():
    with pytest.raises(EngineProtocolError, match="no text"):
        stream()
