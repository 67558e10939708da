"""What a client adds up from a stream of the gateway is the reply in one piece, wherever the answer was streamed up to."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nbest.serve.api.chat_reply import chat_reply
from nbest.serve.api.chat_stream import ChatWriter
from nbest.serve.api.completions_reply import completion_reply
from nbest.serve.api.completions_stream import CompletionWriter
from nbest.serve.api.reply import Choice, Reply
from nbest.serve.api.responses_reply import responses_reply
from nbest.serve.api.responses_stream import ResponsesWriter
from nbest.types import Logprobs, ToolCall, ToolCallDelta, Usage

WORDS = st.text(st.sampled_from("aж三ثह🍎 "), min_size=1, max_size=8)
NAMES = st.sampled_from(["f", "погода", "天気"])
ARGUMENTS = st.dictionaries(WORDS, st.integers(0, 9) | WORDS, max_size=2)
USAGES = st.builds(Usage, prompt=st.integers(0, 9), cached=st.integers(0, 9), completion=st.integers(0, 9))


@st.composite
def choices_of(draw):
    refusal = draw(st.none() | WORDS)
    reasoning = draw(st.none() | WORDS)
    if refusal is not None:
        return Choice(text="", refusal=refusal, reasoning=reasoning)
    given = draw(st.lists(st.tuples(NAMES, ARGUMENTS), max_size=3))
    calls = tuple(
        ToolCall(id=f"c{i}", name=name, arguments=msgspec.json.encode(arguments).decode())
        for i, (name, arguments) in enumerate(given)
    )
    tokens = tuple(draw(st.lists(WORDS, max_size=3)))
    logprobs = Logprobs(tokens=tokens, values=tuple(-0.5 - i for i in range(len(tokens))))
    return Choice(
        text=draw(st.just("") | WORDS),
        finish="tool_calls" if calls else draw(st.sampled_from(["stop", "length", "content_filter"])),
        tool_calls=calls,
        logprobs=draw(st.none() | st.just(logprobs)),
        reasoning=reasoning,
    )


@st.composite
def replies(draw):
    choices = draw(st.lists(choices_of(), min_size=1, max_size=3))
    return Reply(
        id="resp_1",
        model="m",
        created=7,
        choices=tuple(choices),
        usage=draw(USAGES),
        nbest={"n": draw(st.integers(0, 9))},
    )


def parts(draw, text):
    edges = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *edges], [*edges, len(text)], strict=True)]


def written(draw, writer, reply):
    """The bytes of a stream that was sent some of the first answer before the reply was there."""
    choice = reply.choices[0]
    deltas = [("reasoning", part) for part in parts(draw, choice.reasoning or "") if part]
    num_reasoning = len(deltas)
    deltas += [("text", part) for part in parts(draw, choice.text) if part]
    for i, call in enumerate(choice.tool_calls):
        first, *more = parts(draw, call.arguments)
        deltas.append(("tool_call", ToolCallDelta(index=i, id=call.id, name=call.name, arguments=first)))
        deltas += [("tool_call", ToolCallDelta(index=i, arguments=part)) for part in more]

    # Reasoning is sent whole or not at all: what follows it comes behind it.
    num_sent = draw(st.sampled_from([0, *range(num_reasoning, len(deltas) + 1)]))
    sent = deltas[:num_sent]
    raw = writer.start() + b"".join(getattr(writer, kind)(delta) for kind, delta in sent)
    return raw + writer.finish(reply, emitted="".join(delta for kind, delta in sent if kind == "text"))


def events_of(raw):
    lines = [line.removeprefix("data: ") for line in raw.decode().split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else msgspec.json.decode(line) for line in lines]


def as_json(shape):
    return msgspec.json.decode(msgspec.json.encode(shape))


def added_up(chunks, kind):
    """The choices that a client makes of chunks."""
    choices = {}
    for chunk in chunks:
        for found in chunk["choices"]:
            known = choices.setdefault(found["index"], {"index": found["index"], kind: {}})
            assert known.get("finish_reason") is None, "nothing comes behind the end of a choice"
            known["finish_reason"], known["logprobs"] = found["finish_reason"], found["logprobs"]
            for name, value in (found["delta"] if kind == "message" else {"text": found["text"]}).items():
                add(known[kind], name, value)
    return [choices[i] for i in sorted(choices)]


def add(message, name, value):
    if name == "tool_calls":
        for delta in value:
            calls = message.setdefault("calls", {})
            call = calls.setdefault(delta["index"], {"id": "", "name": "", "arguments": ""})
            call["id"] += delta.get("id", "")
            call["name"] += delta["function"].get("name", "")
            call["arguments"] += delta["function"]["arguments"]
    elif name == "role":
        assert "role" not in message, "the role is said once"
        message["role"] = value
    else:
        message[name] = message.get(name, "") + value


@given(replies(), st.booleans(), st.data())
def test_a_streamed_chat_is_the_chat_in_one_piece(reply, include_usage, data):
    writer = ChatWriter(id="resp_1", model="m", created=7, include_usage=include_usage)
    *chunks, done = events_of(written(data.draw, writer, reply))
    check_chunks(chunks, done, reply, include_usage=include_usage)

    whole = as_json(chat_reply(reply))
    found = added_up(chunks, "message")
    assert len(found) == len(whole["choices"])
    for streamed, choice in zip(found, whole["choices"], strict=True):
        message, expected = streamed["message"], choice["message"]
        assert message["role"] == "assistant"
        assert message.get("content", "") == (expected["content"] or "")
        assert message.get("refusal") == expected["refusal"]
        assert message.get("reasoning_content") == expected.get("reasoning_content")
        calls = [{"id": c["id"], **c["function"]} for c in expected.get("tool_calls", ())]
        assert [call for _, call in sorted(message.get("calls", {}).items())] == calls
        assert streamed["finish_reason"] == choice["finish_reason"]
        assert streamed["logprobs"] == choice["logprobs"]


@given(replies(), st.booleans(), st.data())
def test_a_streamed_completion_is_the_completion_in_one_piece(reply, include_usage, data):
    writer = CompletionWriter(id="resp_1", model="m", created=7, include_usage=include_usage)
    *chunks, done = events_of(written(data.draw, writer, reply))
    check_chunks(chunks, done, reply, include_usage=include_usage)
    found = added_up(chunks, "said")
    assert [c["said"].get("text", "") for c in found] == [c.text for c in reply.choices]
    whole = as_json(completion_reply(reply))["choices"]
    assert [c["finish_reason"] for c in found] == [c["finish_reason"] for c in whole]
    assert [c["logprobs"] for c in found] == [c["logprobs"] for c in whole]


def check_chunks(chunks, done, reply, *, include_usage):
    """What holds for the chunks of both completions APIs."""
    assert done == "[DONE]"
    assert {(c["id"], c["model"], c["created"]) for c in chunks} == {("resp_1", "m", 7)}
    told = [chunk for chunk in chunks if "nbest" in chunk]
    assert [(c["nbest"], c["choices"][0]["index"]) for c in told] == [(reply.nbest, len(reply.choices) - 1)]
    assert told[0]["choices"][0]["finish_reason"] is not None
    usages = [chunk["usage"] for chunk in chunks if "usage" in chunk]
    if not include_usage:
        assert usages == []
        return
    assert usages == [*[None] * (len(chunks) - 1), chat_reply(reply)["usage"]]
    assert chunks[-1]["choices"] == []


@given(replies(), st.data())
def test_a_streamed_response_is_the_response_in_one_piece(reply, data):
    writer = ResponsesWriter(id="resp_1", model="m", created=7)
    events = events_of(written(data.draw, writer, reply))
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    response = events[-1]["response"]
    whole = as_json(responses_reply(reply))
    assert response == whole
    assert events[-1]["type"] == f"response.{response['status']}"

    begun = [(e["output_index"], e["item"]["id"]) for e in events if e["type"].endswith("output_item.added")]
    done = [(e["output_index"], e["item"]) for e in events if e["type"].endswith("output_item.done")]
    assert begun == [(i, item["id"]) for i, item in enumerate(response["output"])]
    assert sorted(done, key=lambda at: at[0]) == list(enumerate(response["output"]))
    for at, item in enumerate(response["output"]):
        check_item(item, [e for e in events if e.get("output_index") == at])


def check_item(item, events):
    """The deltas of an item add up to it, and its parts are announced and ended."""
    deltas = "".join(e["delta"] for e in events if e["type"].endswith(".delta"))
    kinds = [e["type"].removeprefix("response.") for e in events]
    assert {e["item_id"] for e in events if "item_id" in e} <= {item["id"]}
    if item["type"] == "function_call":
        assert deltas == item["arguments"]
        assert [e["arguments"] for e in events if e["type"].endswith("arguments.done")] == [item["arguments"]]
        return
    [part] = item["content"]
    assert deltas == part.get("text", part.get("refusal"))
    assert [kinds.count(f"content_part.{what}") for what in ("added", "done")] == [1, 1]
    assert [e["part"] for e in events if e["type"].endswith("content_part.done")] == [part]
    [text] = [e.get("text", e.get("refusal")) for e in events if "text" in e or "refusal" in e]
    assert text == deltas
