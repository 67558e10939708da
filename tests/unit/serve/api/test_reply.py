from math import inf, nan

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.engines.openai.response import completions
from nbest.engines.openai.server_reply import parse_reply
from nbest.http_errors import error_text
from nbest.serve.api.chat_reply import chat_reply
from nbest.serve.api.chat_stream import ChatWriter
from nbest.serve.api.completions_reply import completion_reply
from nbest.serve.api.completions_stream import CompletionWriter
from nbest.serve.api.reply import Choice, Reply, error_reply
from nbest.serve.api.responses_reply import responses_reply
from nbest.serve.api.responses_stream import ResponsesWriter
from nbest.types import Logprobs, SamplingParams, ToolCall, Usage

WITH_LOGPROBS = SamplingParams(logprobs=2)
CALL = ToolCall(id="c", name="f", arguments='{"città":"東京"}')
LOGPROBS = Logprobs(tokens=("ไ", "ทย"), values=(-0.5, -inf), top=({"ไ": -0.5}, {"ทย": -inf, "a": -1.0}))


def reply(*choices, **said):
    return Reply(id="x", model="m", created=7, choices=choices, **said)


def test_what_a_gateway_sends_an_engine_reads():
    drawn = (
        Choice(text="ab", logprobs=Logprobs(tokens=("a", "b"), values=(-1.0, -2.0))),
        Choice(text="ج", finish="length"),
    )
    usage = Usage(prompt=5, cached=2, completion=3)
    for sent in (chat_reply, completion_reply):
        raw = msgspec.json.encode(sent(reply(*drawn, usage=usage)))
        again = completions(parse_reply(raw), SamplingParams(logprobs=0))
        assert [(c.text, c.finish) for c in again] == [("ab", "stop"), ("ج", "length")]
        assert [c.logprobs for c in again] == [drawn[0].logprobs, None]
        assert sum((c.usage for c in again), Usage()) == Usage(prompt=5, cached=2, completion=3, calls=1)


def test_tool_calls_in_chat_and_in_responses():
    choice = Choice(text="", finish="tool_calls", tool_calls=(CALL,))
    chat = chat_reply(reply(choice))["choices"][0]
    assert chat["finish_reason"] == "tool_calls"
    assert chat["message"]["content"] is None
    assert chat["message"]["tool_calls"] == [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": CALL.arguments}}
    ]
    output = responses_reply(reply(choice))["output"]
    assert [(o["type"], o["call_id"], o["arguments"]) for o in output] == [
        ("function_call", "c", CALL.arguments)
    ]


def test_log_probs_in_the_three_shapes():
    choice = Choice(text="ไทย", logprobs=LOGPROBS)
    rows = chat_reply(reply(choice))["choices"][0]["logprobs"]["content"]
    assert rows[1] == {
        "token": "ทย",
        "logprob": -9999.0,
        "bytes": list("ทย".encode()),
        "top_logprobs": [
            {"token": "ทย", "logprob": -9999.0, "bytes": list("ทย".encode())},
            {"token": "a", "logprob": -1.0, "bytes": [97]},
        ],
    }
    assert responses_reply(reply(choice))["output"][0]["content"][0]["logprobs"] == rows
    assert completion_reply(reply(choice))["choices"][0]["logprobs"] == {
        "tokens": ("ไ", "ทย"),
        "token_logprobs": [-0.5, -9999.0],
        "top_logprobs": [{"ไ": -0.5}, {"ทย": -9999.0, "a": -1.0}],
        "text_offset": [0, 1],
    }


@pytest.mark.parametrize(
    ("token", "raw"),
    [
        ("東", [230, 157, 177]),
        (r"bytes:\xe6\x9d", [230, 157]),
        ("\ufffd", []),
        (r"bytes:\x", list(rb"bytes:\x")),
    ],
)
def test_a_token_that_is_a_part_of_a_character_has_its_own_bytes_or_none(token, raw):
    choice = Choice(text="東", logprobs=Logprobs(tokens=(token,), values=(-0.5,)))
    (row,) = chat_reply(reply(choice))["choices"][0]["logprobs"]["content"]
    assert (row["token"], row["bytes"]) == (token, raw)


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_why_an_answer_ended_in_the_words_of_each_api(finish, status, reason):
    sent = reply(Choice(text="a", finish=finish))
    assert chat_reply(sent)["choices"][0]["finish_reason"] == finish
    assert completion_reply(sent)["choices"][0]["finish_reason"] == finish.replace("tool_calls", "stop")
    said = responses_reply(sent)
    assert (said["status"], (said["incomplete_details"] or {}).get("reason")) == (status, reason)


def test_how_an_answer_came_about_stands_beside_it():
    told = {"strategy": "s", "scores": {0: 0.5}, "stopped": "deadline"}
    for shape in (chat_reply, completion_reply, responses_reply):
        said = msgspec.json.decode(msgspec.json.encode(shape(reply(Choice(text="a"), nbest=told))))
        assert said["nbest"] == {"strategy": "s", "scores": {"0": 0.5}, "stopped": "deadline"}


def test_a_response_repeats_what_the_client_said():
    echo = {"temperature": 0.5, "metadata": {"k": "v"}, "tools": [{"type": "function", "name": "f"}]}
    said = responses_reply(reply(Choice(text="a"), echo=echo))
    assert (said["temperature"], said["metadata"], said["store"]) == (0.5, {"k": "v"}, False)
    tool = {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}
    assert said["tools"] == [tool]


def test_errors_are_in_openais_shape():
    error = error_reply("no such strategy", param="model", code="model_not_found")
    assert error_text(msgspec.json.encode(error)) == "no such strategy"
    assert error["error"]["code"] == "model_not_found"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["مرحبا", "你好", "नमस्ते", "こんにちは", "Привет", "สวัสดี", "👩‍👩‍👧‍👦", "a\r\n\n data: b\u2028"]
)
TOKENS = st.lists(st.tuples(TEXT, st.floats(max_value=0) | st.just(-inf)), max_size=4)
CHOICES = st.builds(
    Choice,
    text=TEXT,
    finish=st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    tool_calls=st.lists(st.builds(ToolCall, id=TEXT, name=TEXT, arguments=TEXT), max_size=2).map(tuple),
    logprobs=st.none()
    | TOKENS.map(
        lambda rows: Logprobs(
            tokens=tuple(t for t, _ in rows),
            values=tuple(v for _, v in rows),
            top=tuple({t: v} for t, v in rows),
        )
    ),
)
REPLIES = st.builds(
    Reply,
    id=TEXT,
    model=TEXT,
    created=st.integers(0, 2**32),
    choices=st.lists(CHOICES, min_size=1, max_size=3).map(tuple),
    usage=st.builds(Usage, prompt=st.integers(0, 9), cached=st.integers(0, 9), completion=st.integers(0, 9)),
    nbest=st.dictionaries(TEXT, TEXT | st.floats() | st.just(nan), max_size=3),
)


def data(stream):
    """The data of each event, read as the standard says: an event is lines up to an empty one."""
    blocks = [block for block in stream.decode().split("\n\n") if block and not block.startswith(":")]
    lines = [[x for x in block.split("\n") if x.startswith("data: ")] for block in blocks]
    assert all(len(found) == 1 for found in lines)
    return [found[0].removeprefix("data: ") for found in lines]


@given(REPLIES, st.integers(0, 12))
def test_any_reply_is_json_and_its_stream_says_the_same(sent, cut):
    for shape, writer in (
        (chat_reply, ChatWriter),
        (completion_reply, CompletionWriter),
        (responses_reply, ResponsesWriter),
    ):
        whole = msgspec.json.decode(msgspec.json.encode(shape(sent)))
        stream = writer(id=sent.id, model=sent.model, created=sent.created, include_usage=True)
        already = sent.choices[0].text[:cut]
        raw = stream.start() + stream.keep_alive("1/2\n\n") + stream.text(already)
        events = data(raw + stream.finish(sent, emitted=already))
        if writer is ResponsesWriter:
            last = msgspec.json.decode(events[-1])
            assert [msgspec.json.decode(e)["sequence_number"] for e in events] == list(range(len(events)))
            assert last["response"] == whole
            continue
        assert events.pop() == "[DONE]"
        chunks = [msgspec.json.decode(e) for e in events]
        assert chunks[-1]["usage"] == whole["usage"]
        assert [c["nbest"] for c in chunks if "nbest" in c] == [whole["nbest"]]
        for i, choice in enumerate(sent.choices):
            own = [x for c in chunks for x in c["choices"] if x["index"] == i]
            texts = [x.get("text") or x.get("delta", {}).get("content") or "" for x in own]
            assert "".join(texts) == choice.text
            assert own[-1]["finish_reason"] == whole["choices"][i]["finish_reason"]
            assert own[-1]["logprobs"] == whole["choices"][i]["logprobs"]
