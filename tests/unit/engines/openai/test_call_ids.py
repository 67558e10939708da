"""Ids of tool calls are unique over a conversation."""

import json

import pytest

from nbest.engines.openai.openai import OpenAI
from nbest.engines.openai.tool_calls import CallDelta, FunctionDelta, ToolCallEmitter, call_ids, tool_calls
from nbest.types import Message, Prompt, Request, ToolCallDelta
from upstream import Upstream

CALL = {"function": {"name": "天気", "arguments": '{"都市": "東京"}'}}


def conversation(*ids):
    turns = [Message(role="user", content="天気は?")]
    for id_ in ids:
        turns.append(
            Message(role="assistant", fields={"tool_calls": [CALL | {"id": id_, "type": "function"}]})
        )
        turns.append(Message(role="tool", content="晴れ", fields={"tool_call_id": id_}))
    return Prompt(id="p", messages=tuple(turns))


@pytest.mark.parametrize("given", [None, "", "call_0"])
def test_ids_that_are_missing_or_taken_are_replaced(given):
    used: list[str] = ["call_0"]
    for _ in range(4):
        (call,) = tool_calls([CALL | {"id": given}], None, used_ids=used)
        assert call.id not in used
        used.append(call.id)


def test_the_same_reply_has_the_same_ids():
    once, again = (tool_calls([CALL, CALL], None, used_ids={"x"}) for _ in range(2))
    assert once == again
    assert once[0].id != once[1].id


def test_calls_of_one_message_with_one_id_are_told_apart():
    first, second = tool_calls([CALL | {"id": "a"}, CALL | {"id": "a"}], None)
    assert first.id == "a" != second.id


def test_ids_of_a_conversation():
    assert call_ids(conversation("a", "b")) == {"a", "b"}
    odd = Message(role="assistant", fields={"tool_calls": ["x", {"id": 7}, {}]})
    assert (
        call_ids(Prompt(id="p", messages=(odd, Message(role="assistant", fields={"tool_calls": None}))))
        == set()
    )


def delta(id_, arguments="", index=0, name="f"):
    return CallDelta(index=index, id=id_, function=FunctionDelta(name=name, arguments=arguments))


def test_a_taken_id_is_not_emitted():
    emitter = ToolCallEmitter({"a"})
    assert emitter.emit(delta("a")) is None
    assert emitter.emit(delta("b")) is None  # its place in the answer is open
    assert ToolCallEmitter().emit(delta("a")) == ToolCallDelta(index=0, id="a", name="f")


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_server_that_counts_from_0_in_every_turn(is_streamed):
    calls = ({"name": "天気", "arguments": json.dumps({"都市": "東京"}, ensure_ascii=False)},)
    async with Upstream(calls=calls, has_usage=False) as upstream:
        engine = OpenAI(url=upstream.url)
        ids: list[str] = []
        for _ in range(3):
            emitted = []
            on_delta = emitted.append if is_streamed else None
            (drawn,) = await engine.generate(Request(prompt=conversation(*ids)), on_delta)
            ids.append(drawn.tool_calls[0].id)
            assert {e.id for e in emitted if e.id} <= {ids[-1]}
        assert ids[0] == "call_0"
        assert len(set(ids)) == 3
        await engine.aclose()
