import msgspec
import pytest

from nbest.serve.api.chat_stream import ChatWriter
from nbest.serve.api.completions_stream import CompletionWriter
from nbest.serve.api.reply import Choice, Reply
from nbest.serve.api.responses_reply import responses_reply
from nbest.serve.api.responses_stream import ResponsesWriter
from nbest.serve.api.writer import unsent
from nbest.types import ToolCall, ToolCallDelta, Usage

WRITERS = [ChatWriter, CompletionWriter, ResponsesWriter]
CALL = ToolCall(id="c", name="f", arguments="{}")


def make(writer, **said):
    return writer(id="resp_1", model="m", created=7, **said)


def reply(*choices, **said):
    return Reply(id="resp_1", model="m", created=7, choices=choices, **said)


def data(stream):
    lines = [x.removeprefix("data: ") for x in stream.decode().split("\n") if x.startswith("data: ")]
    return [x if x == "[DONE]" else msgspec.json.decode(x) for x in lines]


def test_a_chat_says_who_speaks_then_what_then_why_it_ended():
    w = make(ChatWriter)
    stream = w.start() + w.text("สวัส") + w.finish(reply(Choice(text="สวัสดี"), nbest={"n": 1}), emitted="สวัส")
    *chunks, done = data(stream)
    assert [c["choices"][0]["delta"] for c in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "สวัส"},
        {"content": "ดี"},
        {},
    ]
    assert [c["choices"][0]["finish_reason"] for c in chunks] == [None, None, None, "stop"]
    assert [c.get("nbest") for c in chunks] == [None, None, None, {"n": 1}]
    assert not any("usage" in c for c in chunks)
    assert done == "[DONE]"


@pytest.mark.parametrize("writer", [ChatWriter, CompletionWriter])
def test_usage_comes_last_and_only_where_it_was_asked_for(writer):
    w = make(writer, include_usage=True)
    *chunks, usage, _ = data(
        w.start() + w.finish(reply(Choice(text="a"), usage=Usage(prompt=2, completion=1)))
    )
    assert all(c["usage"] is None for c in chunks)
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 3)


def test_further_choices_follow_the_first_each_with_its_role():
    w = make(ChatWriter)
    chosen = (Choice(text="一"), Choice(text="二", finish="length"), Choice(text=""))
    *chunks, _ = data(w.start() + w.text("一") + w.finish(reply(*chosen, nbest={"n": 3}), emitted="一"))
    said = [
        (c["choices"][0]["index"], c["choices"][0]["delta"], c["choices"][0]["finish_reason"]) for c in chunks
    ]
    assert said == [
        (0, {"role": "assistant", "content": ""}, None),
        (0, {"content": "一"}, None),
        (0, {}, "stop"),
        (1, {"role": "assistant", "content": "二"}, None),
        (1, {}, "length"),
        (2, {"role": "assistant", "content": ""}, None),
        (2, {}, "stop"),
    ]
    assert ["nbest" in c for c in chunks] == [False] * 6 + [True]


def test_tool_calls_of_a_chat_are_deltas_with_their_places():
    w = make(ChatWriter)
    calls = (CALL, ToolCall(id="d", name="g", arguments='{"x":1}'))
    *chunks, _ = data(w.finish(reply(Choice(text="", finish="tool_calls", tool_calls=calls))))
    found = [c["choices"][0]["delta"].get("tool_calls") for c in chunks]
    assert [(f[0]["index"], f[0]["id"], f[0]["function"]["name"]) for f in found[:-1]] == [
        (0, "c", "f"),
        (1, "d", "g"),
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


BEGUN = (
    ToolCallDelta(index=0, id="c1", name="f"),
    ToolCallDelta(index=0, arguments='{"x":'),
    ToolCallDelta(index=0, arguments='"ж'),
)


def added_up(chunks):
    """What a client makes of the calls in `chunks`: id, name and arguments of each."""
    calls = {}
    for c in chunks:
        for call in c["choices"][0]["delta"].get("tool_calls", ()) if c["choices"] else ():
            known = calls.setdefault(call["index"], ["", "", ""])
            said = (call.get("id", ""), call["function"].get("name", ""), call["function"]["arguments"])
            known[:] = [a + b for a, b in zip(known, said, strict=True)]
    return list(calls.values())


@pytest.mark.parametrize("num_sent", range(4))
def test_calls_that_were_sent_as_they_came_add_up(num_sent):
    calls = (ToolCall(id="c1", name="f", arguments='{"x":"ж"}'), ToolCall(id="c2", name="g", arguments="{}"))
    w = ChatWriter(id="c", model="m", created=1)
    raw = b"".join(map(w.tool_call, BEGUN[:num_sent]))
    raw += w.finish(reply(Choice(text="", finish="tool_calls", tool_calls=calls)))
    assert added_up(data(raw)[:-1]) == [["c1", "f", '{"x":"ж"}'], ["c2", "g", "{}"]]


@pytest.mark.parametrize(
    "calls",
    [
        (),
        (ToolCall(id="c1", name="f", arguments="{}"),),
        (ToolCall(id="c1", name="g", arguments='{"x":"ж"}'),),
    ],
)
def test_other_calls_than_those_that_were_sent_are_an_error(calls):
    w = ChatWriter(id="c", model="m", created=1)
    for delta in BEGUN:
        w.tool_call(delta)
    said = data(w.finish(reply(Choice(text="", finish="tool_calls", tool_calls=calls))))
    assert "send the request again" in said[0]["error"]["message"]


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_a_text_whose_calls_were_cut_ends_as_cut(finish):
    w = ChatWriter(id="c", model="m", created=1)
    raw = w.text("да") + w.tool_call(BEGUN[0])
    raw += w.finish(reply(Choice(text="да", finish=finish)), emitted="да")
    assert data(raw)[-2]["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize("writer", WRITERS)
def test_progress_is_said_as_the_client_wants_it(writer):
    quiet = {p: make(writer, progress=p) for p in ("comments", "events", "reasoning", "none")}
    assert {p: w.keep_alive("2 of\n5") for p, w in quiet.items()} == {
        "comments": b": 2 of 5\n\n",
        "events": b": \n\n",
        "reasoning": b": \n\n",
        "none": b": \n\n",
    }
    assert [p for p, w in quiet.items() if w.event({"arrived": 2})] == ["events"]
    thinks = [] if writer is CompletionWriter else ["reasoning"]
    assert [p for p, w in quiet.items() if w.show_progress("考え中")] == thinks
    assert data(quiet["events"].event({"arrived": 2}))[0]["nbest"] == {"arrived": 2}
    assert [w.text("") for w in quiet.values()] == [b""] * 4


@pytest.mark.parametrize("writer", [ChatWriter, CompletionWriter])
def test_an_error_is_said_in_the_stream_and_ends_it(writer):
    error, done = data(make(writer).error("обрыв", "server_error", "deadline"))
    assert error["error"] == {"message": "обрыв", "type": "server_error", "param": None, "code": "deadline"}
    assert done == "[DONE]"


@pytest.mark.parametrize("writer", WRITERS)
def test_an_answer_that_begins_otherwise_than_what_was_sent_is_an_error(writer):
    w = make(writer)
    w.text("abc")
    said = data(w.finish(reply(Choice(text="abd")), emitted="abc"))
    error = said[0] if writer is ResponsesWriter else said[0]["error"]
    assert "send the request again" in error["message"]


@pytest.mark.parametrize("writer", WRITERS)
def test_space_at_the_end_that_was_sent_too_much_is_forgiven(writer):
    w = make(writer)
    raw = w.finish(reply(Choice(text="मान")), emitted="मान\n")
    assert b"error" not in raw.replace(b'"error":null', b"")


@pytest.mark.parametrize(
    ("text", "emitted", "rest"),
    [
        ("สวัสดี", "", "สวัสดี"),
        ("สวัสดี", "สวัส", "ดี"),
        ("да", "да", ""),
        ("да", "да \n", ""),
        ("да ", "да\n", ""),
        ("да", "нет", None),
        ("да", "дан", None),
        ("да", " да", None),
        (" да", "да", None),
        ("", " \n", ""),
    ],
)
def test_what_was_not_sent_yet(text, emitted, rest):
    assert unsent(text, emitted) == rest


def kinds(raw):
    return [(e["type"].removeprefix("response."), e.get("output_index")) for e in data(raw)]


MESSAGE = ["output_text.done", "content_part.done", "output_item.done"]
ARGUMENTS = ["function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]


def test_the_events_of_a_response_come_in_openais_order():
    w = make(ResponsesWriter)
    final = reply(Choice(text="你好", finish="tool_calls", tool_calls=(CALL,)), nbest={"n": 1})
    raw = w.start() + w.text("你") + w.finish(final, emitted="你")
    begin = ["output_item.added", "content_part.added", "output_text.delta", "output_text.delta"]
    assert kinds(raw) == [
        ("created", None),
        ("in_progress", None),
        *((k, 0) for k in [*begin, *MESSAGE]),
        *((k, 1) for k in ["output_item.added", *ARGUMENTS]),
        ("completed", None),
    ]
    assert raw.startswith(b"event: response.created\ndata: {")
    assert data(raw)[-1]["response"]["nbest"] == {"n": 1}


def test_progress_is_an_item_before_the_answer():
    w = make(ResponsesWriter, progress="reasoning")
    raw = w.show_progress("1/2") + w.show_progress(" 2/2") + w.text("a") + w.show_progress("late")
    raw += w.finish(reply(Choice(text="a")), emitted="a")
    summary = ["part.added", "text.delta", "text.delta", "text.done", "part.done"]
    thinking = ["output_item.added", *(f"reasoning_summary_{s}" for s in summary), "output_item.done"]
    assert [k for k, at in kinds(raw) if at == 0] == thinking
    assert [k for k, at in kinds(raw) if at == 1][-3:] == MESSAGE
    output = data(raw)[-1]["response"]["output"]
    assert [o["type"] for o in output] == ["reasoning", "message"]
    assert output[0]["summary"] == [{"type": "summary_text", "text": "1/2 2/2"}]


def test_reasoning_comes_before_the_answer():
    w = make(ChatWriter)
    choices = (Choice(text="四", reasoning="二足す二"), Choice(text="五", reasoning="二足す三"))
    chunks = data(w.start() + w.finish(reply(*choices)))[:-1]
    said = [(c["choices"][0]["index"], c["choices"][0]["delta"]) for c in chunks]
    assert said == [
        (0, {"role": "assistant", "content": ""}),
        (0, {"reasoning_content": "二足す二"}),
        (0, {"content": "四"}),
        (0, {}),
        (1, {"role": "assistant", "reasoning_content": "二足す三"}),
        (1, {"content": "五"}),
        (1, {}),
    ]


def test_reasoning_of_another_draw_is_followed_by_that_of_the_chosen_one():
    w = make(ChatWriter)
    raw = w.start() + w.reasoning("сбой") + w.finish(reply(Choice(text="4", reasoning="два")))
    said = "".join(c["choices"][0]["delta"].get("reasoning_content", "") for c in data(raw)[:-1])
    assert said == "сбой\n\nдва"
    w = make(ResponsesWriter)
    raw = w.start() + w.reasoning("сбой") + w.finish(reply(Choice(text="4", reasoning="два")))
    assert data(raw)[-1]["response"]["output"][0]["content"][0]["text"] == "два"
    w = make(ResponsesWriter)
    raw = w.start() + w.reasoning("сбой") + w.finish(reply(Choice(text="4")))
    item, message = data(raw)[-1]["response"]["output"]
    assert (item["content"][0]["text"], message["content"][0]["text"]) == ("", "4")


def test_reasoning_that_was_streamed_is_not_sent_again():
    w = make(ChatWriter)
    raw = w.start() + w.reasoning("дв") + w.reasoning("а") + w.text("4")
    raw += w.finish(reply(Choice(text="4", reasoning="два")), emitted="4")
    assert [c["choices"][0]["delta"].get("reasoning_content") for c in data(raw)[:-1]] == [
        None, "дв", "а", None, None,
    ]  # fmt: skip


def test_reasoning_that_was_streamed_behind_that_of_a_failed_draw_is_not_sent_again():
    w = make(ChatWriter)
    raw = w.start() + w.reasoning("сбой") + w.reasoning("два") + w.text("4")
    raw += w.finish(reply(Choice(text="4", reasoning="два")), emitted="4")
    said = [c["choices"][0]["delta"].get("reasoning_content") for c in data(raw)[:-1]]
    assert [text for text in said if text] == ["сбой", "два"]


@pytest.mark.parametrize("is_streamed", [True, False])
def test_reasoning_is_the_content_of_an_item_and_progress_its_summary(is_streamed):
    w = make(ResponsesWriter, progress="reasoning")
    raw = w.start() + w.show_progress("1/2") + (w.reasoning("ส") + w.reasoning("อง") if is_streamed else b"")
    raw += w.finish(reply(Choice(text="4", reasoning="สอง")))
    item, message = data(raw)[-1]["response"]["output"]
    assert item["content"] == [{"type": "reasoning_text", "text": "สอง"}]
    assert item["summary"] == [{"type": "summary_text", "text": "1/2"}]
    assert message["content"][0]["text"] == "4"
    deltas = [e["delta"] for e in data(raw) if e["type"] == "response.reasoning_text.delta"]
    assert deltas == (["ส", "อง"] if is_streamed else ["สอง"])
    whole = responses_reply(reply(Choice(text="4", reasoning="สอง")))["output"]
    assert [o.get("content") for o in whole] == [item["content"], message["content"]]


def test_a_response_of_calls_alone_has_no_message():
    w = make(ResponsesWriter)
    raw = w.finish(reply(Choice(text="", finish="tool_calls", tool_calls=(CALL, CALL))))
    assert [at for k, at in kinds(raw) if k == "output_item.added"] == [0, 1]
    items = data(raw)[-1]["response"]["output"]
    assert len({o["id"] for o in items}) == 2


def test_a_message_that_was_begun_stays_in_the_response():
    w = make(ResponsesWriter)
    raw = w.text("\n") + w.finish(
        reply(Choice(text="", finish="tool_calls", tool_calls=(CALL,))), emitted="\n"
    )
    assert [o["type"] for o in data(raw)[-1]["response"]["output"]] == ["message", "function_call"]
    assert [at for k, at in kinds(raw) if k == "output_item.added"] == [0, 1]


@pytest.mark.parametrize(
    ("kind", "code"), [("rate_limit_exceeded", "rate_limit_exceeded"), ("no_candidate", "server_error")]
)
@pytest.mark.parametrize("own", [None, "deadline"])
def test_a_response_that_fails_says_so_twice(kind, code, own):
    error, failed = data(make(ResponsesWriter).error("انقطع", kind, own))
    assert (error["type"], error["code"], error["message"]) == ("error", own or kind, "انقطع")
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"] == {"code": code, "message": "انقطع"}
