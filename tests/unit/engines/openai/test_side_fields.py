"""A fault in a side field of a reply costs that field, and not the reply: whole and streamed, in both APIs."""

import json

import pytest
from aiohttp import web

from nbest.engines.openai.openai import OpenAI
from nbest.engines.openai.response import completions
from nbest.engines.openai.server_reply import parse_reply
from nbest.engines.openai.stream import CompletionStream
from nbest.errors import EngineProtocolError
from nbest.types import Request, SamplingParams, ToolCallDelta, Usage
from scripted import prompt_of
from upstream import Upstream

PARAMS = SamplingParams(max_tokens=16, logprobs=1)
APIS = pytest.mark.parametrize("is_chat", [True, False], ids=["chat", "completions"])
STREAMED = pytest.mark.parametrize("is_streamed", [True, False], ids=["streamed", "whole"])
TEXT = "मुझे 三つ, ثلاثة, สาม 🍎"


def choice(text, *, is_chat, is_streamed, index=0, **more):
    """One choice as JSON of a reply, or of a chunk."""
    if is_chat:
        text = {"delta" if is_streamed else "message": {"role": "assistant", "content": text}}
    else:
        text = {"text": text}
    return {"index": index, **text, "finish_reason": "stop", **more}


def read(raw_chunks, n=1, *, is_streamed, params=PARAMS):
    """The completions and emitted deltas of JSON texts: the one reply, or the chunks of a stream."""
    if not is_streamed:
        (raw,) = raw_chunks
        return completions(parse_reply(raw), params), []
    emitted = []
    stream = CompletionStream(emitted.append, n=n)
    for raw in raw_chunks:
        stream.feed(b"data: " + raw + b"\n\n")
    stream.feed(b"data: [DONE]\n\n")
    stream.close()
    return completions(stream.reply(), params), emitted


def reply(*choices, usage=None, ensure_ascii=False):
    return json.dumps({"choices": choices, "usage": usage}, ensure_ascii=ensure_ascii).encode()


# ── log-probabilities ───────────────────────────────────────────────────────────────────────────────


def logprobs(*values, is_chat, top=()):
    tokens = [f"t{i}" for i in range(len(values))]
    if not is_chat:
        return {"tokens": tokens, "token_logprobs": values, "top_logprobs": [dict(top)] * len(values)}
    alternatives = [{"token": t, "logprob": v} for t, v in top]
    rows = [
        {"token": t, "logprob": v, "top_logprobs": alternatives} for t, v in zip(tokens, values, strict=True)
    ]
    return {"content": rows}


@APIS
@STREAMED
@pytest.mark.parametrize("bad", [float("nan"), float("-inf"), float("inf"), None, "-1.0", {}])
def test_a_value_that_is_none_costs_that_choice_its_log_probabilities(is_chat, is_streamed, bad):
    how = {"is_chat": is_chat, "is_streamed": is_streamed}
    good = logprobs(-0.5, -1.5, is_chat=is_chat)
    damaged = logprobs(-0.5, bad, is_chat=is_chat)
    raw = reply(choice(TEXT, **how, logprobs=damaged), choice("好", **how, index=1, logprobs=good))
    (first, second), _ = read([raw], 2, is_streamed=is_streamed)
    assert (first.text, first.error, first.logprobs) == (TEXT, None, None)
    assert (second.text, second.logprobs.values) == ("好", (-0.5, -1.5))


@APIS
@STREAMED
def test_an_alternative_without_a_value_is_left_out_by_itself(is_chat, is_streamed):
    top = (("a", -2.0), ("b", float("-inf")))
    found = logprobs(-0.5, is_chat=is_chat, top=top)
    raw = reply(choice(TEXT, is_chat=is_chat, is_streamed=is_streamed, logprobs=found))
    (drawn,), _ = read([raw], is_streamed=is_streamed)
    assert drawn.logprobs.values == (-0.5,)
    assert drawn.logprobs.top == ({"a": -2.0},)


@APIS
@STREAMED
@pytest.mark.parametrize(
    "found",
    [
        {"content": [{"token": "a"}]},
        {"tokens": ["a", "b"], "token_logprobs": [-1.0]},
        {"tokens": ["a"], "token_logprobs": []},
        {"tokens": "ab"},
        "high",
        [],
    ],
)
def test_log_probabilities_of_another_shape_are_none(is_chat, is_streamed, found):
    raw = reply(choice(TEXT, is_chat=is_chat, is_streamed=is_streamed, logprobs=found))
    (drawn,), _ = read([raw], is_streamed=is_streamed)
    assert (drawn.text, drawn.logprobs) == (TEXT, None)


async def test_damaged_log_probabilities_do_not_teach_that_there_are_none(monkeypatch):
    async with Upstream(texts=("七",)) as upstream:
        engine = OpenAI(url=upstream.url)
        monkeypatch.setattr("upstream.LOGPROB", float("nan"))
        request = Request(prompt=prompt_of("?"), params=PARAMS)
        assert (await engine.generate(request))[0].logprobs is None
        monkeypatch.setattr("upstream.LOGPROB", -0.5)
        assert (await engine.generate(request))[0].logprobs.values == (-0.5,)
        await engine.aclose()


# ── halves of surrogate pairs ───────────────────────────────────────────────────────────────────────


@APIS
@STREAMED
def test_half_a_pair_in_one_of_three_draws_costs_one_character(is_chat, is_streamed):
    how = {"is_chat": is_chat, "is_streamed": is_streamed}
    texts = ["हाँ 🍎", "да \ud83c", "はい"]
    raw = reply(*(choice(t, **how, index=i) for i, t in enumerate(texts)), ensure_ascii=True)
    drawn, _ = read([raw], 3, is_streamed=is_streamed)
    assert [d.text for d in drawn] == ["हाँ 🍎", "да \ufffd", "はい"]
    assert [d.error for d in drawn] == [None] * 3


@APIS
def test_a_pair_that_is_cut_in_two_by_a_stream_is_one_character(is_chat):
    parts = ["да \ud83c", "\udf4e! \ud83c", "", "\udf4f", "\ud83c"]
    how = {"is_chat": is_chat, "is_streamed": True}
    chunks = [reply(choice(t, **how) | {"finish_reason": None}, ensure_ascii=True) for t in parts]
    (drawn,), emitted = read([*chunks, reply(choice("", **how))], is_streamed=True)
    assert drawn.text == "да 🍎! 🍏\ufffd"
    assert "".join(emitted) == "да 🍎! 🍏"  # the engine emits the rest with the completion
    assert all(e.encode() for e in emitted)


def test_reasoning_and_calls_that_are_cut_inside_a_pair():
    deltas = [
        {"reasoning_content": "хм \ud83c"},
        {"reasoning_content": "\udf4e"},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x": "\ud83c'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '\udf4e"}'}}]},
    ]
    chunks = [reply({"index": 0, "delta": d, "finish_reason": None}, ensure_ascii=True) for d in deltas]
    end = reply({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    (drawn,), emitted = read([*chunks, end], is_streamed=True)
    assert drawn.reasoning == "хм 🍎"
    assert drawn.tool_calls[0].arguments == '{"x": "🍎"}'
    calls = [e for e in emitted if isinstance(e, ToolCallDelta)]
    assert "".join(c.arguments for c in calls) == '{"x": "🍎"}'


@STREAMED
def test_bytes_that_are_not_utf_8_cost_their_characters(is_streamed):
    raw = reply(choice("да X", is_chat=True, is_streamed=is_streamed)).replace(b"X", b"\xff")
    (drawn,), _ = read([raw], is_streamed=is_streamed)
    assert drawn.text == "да \ufffd"


# ── usage ───────────────────────────────────────────────────────────────────────────────────────────


@APIS
@STREAMED
@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": "12", "completion_tokens": 5}, Usage(prompt=12, completion=5, calls=1)),
        ({"prompt_tokens": 12.0, "completion_tokens": 4.6}, Usage(prompt=12, completion=5, calls=1)),
        ({"prompt_tokens": "many", "completion_tokens": 5}, Usage(completion=5, calls=1)),
        ({"prompt_tokens": -3, "completion_tokens": 10**30}, Usage(completion=2, calls=1)),
        ({"prompt_tokens": True, "completion_tokens": float("nan")}, Usage(completion=2, calls=1)),
        ({"prompt_tokens": 7, "prompt_tokens_details": "none"}, Usage(prompt=7, completion=2, calls=1)),
        (
            {"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3.0}},
            Usage(prompt=7, cached=3, completion=2, calls=1),
        ),
        ("12 tokens", Usage(completion=2, calls=1)),
        (3, Usage(completion=2, calls=1)),
        ([], Usage(completion=2, calls=1)),
    ],
)
def test_a_count_that_makes_no_sense_costs_that_count(is_chat, is_streamed, usage, expected):
    raw = reply(choice("три", is_chat=is_chat, is_streamed=is_streamed), usage=usage)
    (drawn,), _ = read([raw], is_streamed=is_streamed, params=SamplingParams(max_tokens=16))
    assert (drawn.text, drawn.usage) == ("три", expected)


# ── other side fields ───────────────────────────────────────────────────────────────────────────────


@APIS
@STREAMED
@pytest.mark.parametrize(
    "more",
    [{"index": "x"}, {"index": None}, {"finish_reason": 7}, {"stop_reason": {}}, {"matched_stop": []}],
)
def test_fields_of_a_choice(is_chat, is_streamed, more):
    first = choice(TEXT, is_chat=is_chat, is_streamed=is_streamed, **more)
    chunks = [reply(first)]
    if is_streamed:
        chunks.append(reply(choice("", is_chat=is_chat, is_streamed=True)))
    (drawn,), _ = read(chunks, is_streamed=is_streamed)
    assert (drawn.text, drawn.error) == (TEXT, None)


@STREAMED
def test_a_refusal_that_is_no_text(is_streamed):
    said = choice(TEXT, is_chat=True, is_streamed=is_streamed)
    said["delta" if is_streamed else "message"]["refusal"] = {"reason": None}
    (drawn,), _ = read([reply(said)], is_streamed=is_streamed)
    assert (drawn.text, drawn.finish) == (TEXT, "stop")


@APIS
@STREAMED
def test_a_byte_order_mark(is_chat, is_streamed):
    raw = b"\xef\xbb\xbf" + reply(choice(TEXT, is_chat=is_chat, is_streamed=is_streamed))
    (drawn,), _ = read([raw], is_streamed=is_streamed)
    assert drawn.text == TEXT


@pytest.mark.parametrize("mode", ["chat", "completions"])
@pytest.mark.parametrize("on_delta", [None, lambda _: None])
@pytest.mark.parametrize("is_events", [True, False])
async def test_a_byte_order_mark_before_a_reply_over_http(mode, on_delta, is_events):
    if is_events and on_delta is None:
        return
    text = choice(TEXT, is_chat=mode == "chat", is_streamed=is_events)
    body = reply(text)
    raw = b"\xef\xbb\xbf" + (b"data: " + body + b"\n\ndata: [DONE]\n\n" if is_events else body)

    async def answer(request):
        return web.Response(body=raw)

    async with Upstream(fault="bom") as upstream:
        upstream._fault_bom = answer
        engine = OpenAI(url=upstream.url, mode=mode)
        prompt = prompt_of("?")
        (drawn,) = await engine.generate(Request(prompt=prompt), on_delta)
        assert drawn.text == TEXT
        await engine.aclose()


# ── `message` in chunks ─────────────────────────────────────────────────────────────────────────────


def chunk(finish=None, **said):
    return reply({"index": 0, **said, "finish_reason": finish})


@pytest.mark.parametrize(
    "message", [None, {"role": "assistant", "content": "да нет"}, {"content": 7}, "да нет", []]
)
def test_a_message_beside_the_deltas_changes_nothing(message):
    chunks = [chunk(delta={"content": t}) for t in ("да", " нет")]
    ends = chunk("stop", delta={}, message=message), chunk("stop", message=message)
    for end in ends:
        (drawn,), emitted = read([*chunks, end], is_streamed=True)
        assert (drawn.text, emitted) == ("да нет", ["да", " нет"])


@pytest.mark.parametrize("texts", [("да", " нет"), ("да", "да нет"), ("да нет",)])
def test_messages_without_deltas_are_parts_or_all_so_far(texts):
    chunks = [chunk(message={"role": "assistant", "content": t}, delta=None) for t in texts]
    (drawn,), emitted = read([*chunks, chunk("stop", delta={})], is_streamed=True)
    assert drawn.text == "да нет" == "".join(emitted)


# ── the core stays strict ───────────────────────────────────────────────────────────────────────────


@APIS
@STREAMED
@pytest.mark.parametrize("text", [7, {"text": "a"}])
def test_a_text_that_is_none_is_an_error(is_chat, is_streamed, text):
    with pytest.raises(EngineProtocolError):
        read([reply(choice(text, is_chat=is_chat, is_streamed=is_streamed))], is_streamed=is_streamed)
