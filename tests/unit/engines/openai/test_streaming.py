"""The OpenAI engine heard while the server writes, calls of tools, and what clients say themselves."""

import asyncio
import time

import pytest

from nbest import http_replies
from nbest.engines.layers import Retry
from nbest.engines.openai.openai import OpenAI
from nbest.engines.openai.reasoning_fields import REASONING_FIELDS
from nbest.errors import (
    CapabilityError,
    EngineHttpError,
    EngineProtocolError,
    EngineTimeoutError,
)
from nbest.types import (
    Completion,
    Message,
    Overrides,
    Prompt,
    ReasoningDelta,
    Request,
    SamplingParams,
    ToolCall,
    Usage,
    replace,
)
from scripted import prompt_of
from upstream import Upstream, error_reply

TEXT = "три яблока 三个苹果 ثلاث تفاحات तीन सेब りんご三つ แอปเปิลสามผล 🍎🍏"
PROMPT = prompt_of("one two three")
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.fixture
async def upstream():
    async with Upstream(texts=(TEXT,)) as server:
        yield server


@pytest.fixture
async def engine(upstream):
    made = OpenAI(url=upstream.url, timeout_s=20.0)
    yield made
    await made.aclose()


def ask(prompt=PROMPT, prefix="", n=1, role="policy", **params):
    drawn = SamplingParams(**{"seed": 10, "max_tokens": 64} | params)
    return Request(prompt=prompt, n=n, prefix=prefix, role=role, params=drawn)


def saying(**body):
    return replace(PROMPT, overrides=Overrides(body=body))


async def heard(engine, request):
    pieces = []
    (drawn,) = await engine.generate(request, pieces.append)
    return pieces, drawn


# ── a stream is the reply in one piece ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("fragment", [None, 1, 2, 7, 100_000])
async def test_a_stream_cut_anywhere_gives_what_one_piece_gives(upstream, engine, newline, fragment):
    upstream.newline, upstream.fragment = newline, fragment
    whole = await engine.generate(ask(logprobs=1))
    pieces, drawn = await heard(engine, ask(logprobs=1))
    assert [drawn] == whole
    assert "".join(pieces) == TEXT == drawn.text
    assert len(pieces) == len(TEXT.split())
    assert upstream.bodies[-1]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("mode", ["chat", "completions"])
@pytest.mark.parametrize("shape", ["chat", "legacy"])
async def test_both_protocols_and_both_shapes_of_log_probs(upstream, mode, shape):
    upstream.logprobs = shape
    engine = OpenAI(url=upstream.url, mode=mode)
    whole = await engine.generate(ask(logprobs=1))
    pieces, drawn = await heard(engine, ask(logprobs=1))
    assert [drawn] == whole
    assert len(pieces) > 1
    await engine.aclose()


async def test_the_first_delta_is_emitted_before_the_last_is_drawn(upstream, engine):
    upstream.pause_s = 0.02
    first = asyncio.Event()
    call = asyncio.create_task(engine.generate(ask(), lambda _: first.set()))
    await asyncio.wait_for(first.wait(), 2)
    assert not call.done()
    await call


async def test_several_draws_are_not_streamed(upstream, engine):
    pieces = []
    assert len(await engine.generate(ask(n=2), pieces.append)) == 2
    assert pieces == []
    assert "stream" not in upstream.bodies[-1]


async def several_of_llama_cpp(upstream, request, mode="chat", **said):
    """Drawn from llama.cpp's server, and from another that says the same."""
    found = []
    for owner in ("llamacpp", "somebody"):
        upstream.owned_by, upstream.drawn = owner, 0
        engine = OpenAI(url=upstream.url, mode=mode)
        found.append(await engine.generate(request))
        assert ("stream" in upstream.bodies[-1]) == (owner == "llamacpp")
        await engine.aclose()
    return found


@pytest.mark.parametrize("mode", ["chat", "completions"])
@pytest.mark.parametrize("logprobs", [None, 1])
@pytest.mark.parametrize("fragment", [None, 7])
async def test_several_draws_of_llama_cpp_are_streamed_and_each_is_counted(
    upstream, mode, logprobs, fragment
):
    upstream.texts, upstream.fragment = ("एक दो", "三", "один два три"), fragment
    streamed, whole = await several_of_llama_cpp(upstream, ask(n=3, logprobs=logprobs), mode)
    assert [d.usage.completion for d in streamed] == [2, 1, 3]
    assert sum(d.usage.completion for d in whole) == 6
    assert [replace(d, usage=Usage()) for d in streamed] == [replace(d, usage=Usage()) for d in whole]
    assert (streamed[0].usage.prompt, streamed[0].usage.calls) == (whole[0].usage.prompt, 1)


async def test_calls_of_several_draws_of_llama_cpp(upstream):
    upstream.calls = [
        {"name": "погода", "arguments": '{"город": "東京"}'},
        {"name": "now", "arguments": "{}"},
    ]
    streamed, whole = await several_of_llama_cpp(upstream, ask(n=2))
    assert [d.tool_calls for d in streamed] == [d.tool_calls for d in whole]
    assert [len(d.tool_calls) for d in streamed] == [2, 2]


async def test_llama_cpp_that_ignores_n_is_asked_again(upstream):
    upstream.n = "ignored"
    engine = OpenAI(url=upstream.url)
    upstream.owned_by = "llamacpp"
    assert [len(await engine.generate(ask(n=3))) for _ in range(2)] == [1, 3]
    await engine.aclose()


async def test_a_stream_of_several_is_over_when_all_have_ended(upstream):
    upstream.owned_by, upstream.has_done = "llamacpp", False
    engine = OpenAI(url=upstream.url)
    assert [d.text for d in await engine.generate(ask(n=2))] == [TEXT, TEXT]
    upstream.fault = "mid_end"
    with pytest.raises(EngineProtocolError, match="broke off"):
        await engine.generate(ask(n=2))
    await engine.aclose()


async def test_without_on_delta_there_is_no_stream(upstream, engine):
    await engine.generate(ask())
    assert "stream" not in upstream.bodies[-1]


async def test_a_connection_serves_again_after_a_stream(upstream, engine):
    for _ in range(3):
        await heard(engine, ask())
    assert len(engine._server.http._session.connector._conns) == 1


async def test_a_text_that_ends_with_its_connection_is_whole(upstream, engine):
    upstream.has_done = False
    pieces, drawn = await heard(engine, ask())
    assert "".join(pieces) == drawn.text == TEXT


@pytest.mark.parametrize("streams", ["events", "ignored"])
async def test_reasoning_is_emitted_before_the_text_and_apart_from_it(upstream, engine, streams):
    upstream.reasoning, upstream.streams = "三足す四は…", streams
    pieces, drawn = await heard(engine, ask())
    assert (drawn.text, drawn.reasoning) == (TEXT, "三足す四は…")
    thoughts = [p.text for p in pieces if isinstance(p, ReasoningDelta)]
    assert "".join(thoughts) == "三足す四は…"
    assert "".join(pieces[len(thoughts) :]) == TEXT


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_thoughts_go_back_under_the_name_that_the_server_has_for_them(
    upstream, engine, name, is_streamed
):
    upstream.reasoning, upstream.reasoning_name = "考える", name
    await engine.generate(ask(), (lambda _: None) if is_streamed else None)
    for said in ("reasoning_content", "reasoning"):
        turn = Message(role="assistant", content="三", fields={said: "考えた"})
        await engine.generate(ask(replace(PROMPT, messages=(*PROMPT.messages, turn, *PROMPT.messages))))
        assert upstream.bodies[-1]["messages"][1] == {"role": "assistant", "content": "三", name: "考えた"}


@pytest.mark.parametrize(
    ("refused", "sent"), [(("reasoning_content",), {"reasoning": "хм"}), (REASONING_FIELDS, {})]
)
async def test_thoughts_that_a_server_refuses_get_their_other_name_and_then_none(
    upstream, engine, refused, sent
):
    upstream.refused_in_turns = refused
    turn = Message(role="assistant", content="три", fields={"reasoning_content": "хм"})
    prompt = replace(PROMPT, messages=(*PROMPT.messages, turn, *PROMPT.messages))
    (drawn,) = await engine.generate(ask(prompt))
    assert drawn.text == TEXT
    num = len(upstream.bodies)
    await engine.generate(ask(prompt))
    assert len(upstream.bodies) == num + 1
    assert upstream.bodies[-1]["messages"][1] == {"role": "assistant", "content": "три", **sent}


async def test_what_is_thought_is_kept_without_a_stream(upstream, engine):
    upstream.reasoning = "подумаем"
    drawn = await engine.generate(ask(n=2))
    assert [(d.text, d.reasoning) for d in drawn] == [(d.text, "подумаем") for d in drawn]


async def test_a_call_that_fails_while_it_thinks_is_made_again(upstream, engine):
    class Breaking:
        """Thinks aloud, and breaks off the first time."""

        name, num_calls = "breaking", 0

        async def generate(self, request, on_delta=None):
            self.num_calls += 1
            on_delta(ReasoningDelta(text="хм"))
            if self.num_calls == 1:
                raise EngineProtocolError("it broke off")
            on_delta("да")
            return [Completion(text="да")]

    pieces = []
    (drawn,) = await Retry(engine=Breaking(), base_s=0).generate(ask(), pieces.append)
    assert drawn.text == "да"
    assert pieces == [ReasoningDelta(text="хм"), ReasoningDelta(text="хм"), "да"]


@pytest.mark.parametrize("prefix", ["Step 1: ", "три яблоко", "три яблока 三"])
async def test_an_echoed_prefix_is_not_emitted(upstream, engine, prefix):
    upstream.continues, upstream.is_echoing = "trailing", True
    upstream.fragment = 3
    pieces, drawn = await heard(engine, ask(prefix=prefix))
    assert "".join(pieces) == drawn.text == TEXT


async def test_a_text_that_only_begins_like_an_echo_is_emitted_whole(upstream, engine):
    upstream.continues, upstream.is_echoing = "trailing", True
    await heard(engine, ask(prefix="три"))
    upstream.is_echoing = False
    for text in ("три яблоко", "тр", ""):
        upstream.texts = (text,)
        pieces, drawn = await heard(engine, ask(prefix="три яблока"))
        assert "".join(pieces) == drawn.text == text


@pytest.mark.parametrize("fragment", [1, 5, None])
async def test_a_key_that_a_stream_repeats_is_hidden_however_it_is_cut(upstream, monkeypatch, fragment):
    key = "sk-very-secret-0123456789"
    monkeypatch.setenv("MY_KEY", key)
    upstream.texts, upstream.fragment = (f"ключ: {key} 。",), fragment
    engine = OpenAI(url=upstream.url, key_env="MY_KEY")
    pieces, drawn = await heard(engine, ask())
    assert "".join(pieces) == drawn.text == "ключ: *** 。"
    await engine.aclose()


# ── servers that stream otherwise, or not ───────────────────────────────────────────────────────────


async def test_a_server_that_ignores_stream_gives_one_delta(upstream, engine):
    upstream.streams = "ignored"
    pieces, drawn = await heard(engine, ask())
    assert pieces == [TEXT] == [drawn.text]


@pytest.mark.parametrize("style", ["pydantic", "openai", "text"])
async def test_refused_stream_options_are_learnt(upstream, engine, style):
    upstream.refuses = {"stream_options": style}
    for num_calls in (2, 3):
        pieces, drawn = await heard(engine, ask())
        assert "".join(pieces) == drawn.text
        assert len(pieces) > 1
        assert drawn.usage.completion > 0
        assert len(upstream.bodies) == num_calls


async def test_a_server_that_refuses_to_stream_gives_one_delta(upstream, engine, monkeypatch):
    words = "streaming is not supported by this model"
    monkeypatch.setattr(
        upstream, "_refusal", lambda body: error_reply(400, words) if "stream" in body else None
    )
    for num_calls in (2, 3):
        pieces, _ = await heard(engine, ask())
        assert pieces == [TEXT]
        assert len(upstream.bodies) == num_calls


# ── faults ──────────────────────────────────────────────────────────────────────────────────────────

FAULTS = {
    "error500": (EngineHttpError, "answered 500"),
    "busy": (EngineHttpError, "answered 429"),
    "hang": (EngineTimeoutError, "did not answer within"),
    "trickle": (EngineTimeoutError, "did not answer within"),
    "reset": (EngineProtocolError, "broke off its reply"),
    "hang_up": (EngineProtocolError, "broke off its reply"),
    "malformed": (EngineProtocolError, "is not JSON"),
    "empty": (EngineProtocolError, "has no choices"),
    "null": (EngineProtocolError, "has no text"),
    "html": (EngineProtocolError, "not JSON: '<html><body>Welcome to nginx!"),
    "error_in_200": (EngineProtocolError, "upstream provider overloaded"),
}
SLOW = {"hang", "trickle", "mid_hang"}
MIDWAY = {
    "mid_reset": (EngineProtocolError, "broke off its reply"),
    "mid_end": (EngineProtocolError, "broke off its reply"),
    "mid_hang": (EngineTimeoutError, "did not answer within"),
    "mid_error": (EngineHttpError, "the GPU fell off the bus"),
    "mid_error_event": (EngineProtocolError, "the GPU fell off the bus"),
    "mid_malformed": (EngineProtocolError, "is not JSON"),
}


@pytest.mark.parametrize("fault", FAULTS | MIDWAY)
async def test_every_fault_has_its_error_and_passes(upstream, fault):
    engine = OpenAI(url=upstream.url, timeout_s=0.5 if fault in SLOW else 20.0)
    upstream.fault = fault
    error, words = (FAULTS | MIDWAY)[fault]
    pieces = []
    with pytest.raises(error, match=words) as caught:
        await engine.generate(ask(), pieces.append)
    assert caught.value.is_transient
    assert "\n" not in str(caught.value)
    assert TEXT.startswith("".join(pieces))
    assert bool(pieces) == (fault in MIDWAY)
    upstream.fault = None
    assert (await heard(engine, ask()))[1].text == TEXT
    await engine.aclose()


async def test_a_stream_that_falls_silent_is_given_up(upstream, engine, monkeypatch):
    monkeypatch.setattr(http_replies, "IDLE_S", 0.05)
    upstream.fault = "mid_hang"
    started = time.monotonic()
    with pytest.raises(EngineTimeoutError, match="sent nothing"):
        await engine.generate(ask(), lambda _: None)
    assert time.monotonic() - started < 2


async def test_cancelling_in_the_middle_stops_the_server_at_once(upstream, engine):
    upstream.pause_s = 0.05
    first = asyncio.Event()
    task = asyncio.create_task(engine.generate(ask(), lambda _: first.set()))
    await first.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(1):
        await upstream.saw("num_cancelled", 1)


# ── tools ───────────────────────────────────────────────────────────────────────────────────────────

CALLS = (
    {"name": "weather", "arguments": '{"city": "القاهرة"}'},
    {"name": "weather", "arguments": '{"city": "東京"}'},
)


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("fragment", [None, 5])
async def test_calls_of_tools_are_a_good_completion(upstream, engine, is_streamed, fragment):
    upstream.calls, upstream.fragment = CALLS, fragment
    pieces = []
    (drawn,) = await engine.generate(ask(saying(tools=TOOLS)), pieces.append if is_streamed else None)
    assert drawn.tool_calls == tuple(
        ToolCall(id=f"call_{i}", name=c["name"], arguments=c["arguments"]) for i, c in enumerate(CALLS)
    )
    assert (drawn.text, drawn.finish, drawn.error) == ("", "stop", None)
    said = ["".join(p.arguments for p in pieces if p.index == i) for i in (0, 1)]
    assert said == ([c["arguments"] for c in CALLS] if is_streamed else ["", ""])
    assert [(p.index, p.id, p.name) for p in pieces if p.id] == [
        (i, f"call_{i}", "weather") for i in (0, 1) if is_streamed
    ]
    assert upstream.bodies[-1]["tools"] == TOOLS


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize(
    "call", [{"name": "f", "arguments": '{"city": '}, {"name": "f", "arguments": "[1]"}, {"name": ""}]
)
async def test_a_malformed_call_is_a_failed_completion(upstream, engine, is_streamed, call):
    upstream.calls = ({"arguments": "{}"} | call,)
    (drawn,) = await engine.generate(ask(), (lambda _: None) if is_streamed else None)
    assert "malformed tool call" in drawn.error
    assert (drawn.finish, drawn.tool_calls) == ("error", ())
    assert drawn.usage.prompt > 0


async def test_a_conversation_with_tools_is_sent_as_it_came(upstream, engine):
    called = [{"id": "a", "type": "function", "function": CALLS[0]}]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    parts = ({"type": "text", "text": "天气"}, image)
    prompt = Prompt(
        id="p",
        messages=(
            Message(role="user", content="天气", parts=parts),
            Message(role="assistant", fields={"tool_calls": called}),
            Message(role="tool", content="", fields={"tool_call_id": "a"}),
            Message(role="user", content="", fields={"name": "小明"}),
        ),
    )
    upstream.has_usage = False
    await engine.generate(ask(prompt))
    assert upstream.bodies[-1]["messages"] == [
        {"role": "user", "content": list(parts)},
        {"role": "assistant", "content": None, "tool_calls": called},
        {"role": "tool", "content": "", "tool_call_id": "a"},
        {"role": "user", "content": "", "name": "小明"},
    ]


# ── what the client says itself ─────────────────────────────────────────────────────────────────────


async def test_the_clients_fields_are_sent_under_the_engines_own(upstream):
    engine = OpenAI(url=upstream.url, extra={"user": "me"})
    await engine.generate(ask(saying(user="you", logit_bias={"7": 1}, stream=True, model="x", top_k=3)))
    body = upstream.bodies[-1]
    assert (body["user"], body["logit_bias"], body["model"]) == ("me", {"7": 1}, "m")
    assert body["top_k"] == 3
    assert "stream" not in body
    await engine.aclose()


async def test_penalties_count_on_llama_cpp_too(upstream, engine):
    upstream.owned_by = "llamacpp"
    for body, first in (({}, "temperature"), ({"presence_penalty": 1.0}, "penalties")):
        await engine.generate(ask(saying(**body)))
        assert upstream.bodies[-1]["samplers"][0] == first
    await engine.generate(ask(saying(presence_penalty=1.0, samplers=["top_k"])))
    assert upstream.bodies[-1]["samplers"] == ["top_k"]


async def test_other_roles_take_only_what_shapes_the_answer(upstream, engine):
    own = {"logit_bias": {"7": 1}, "response_format": {"type": "json_object"}, "tools": TOOLS}
    await engine.generate(ask(saying(**own), role="fusor"))
    sent = upstream.bodies[-1]
    assert "logit_bias" not in sent
    assert (sent["response_format"], sent["tools"]) == (own["response_format"], TOOLS)


@pytest.mark.parametrize("field", ["logit_bias", "repetition_penalty", "min_p"])
async def test_what_a_client_asked_for_is_refused_and_not_dropped(upstream, engine, field):
    upstream.refuses = {field: "openai"}
    with pytest.raises(EngineHttpError, match=field):
        await engine.generate(ask(saying(**{field: 0.5})))
    if field == "min_p":  # a sampler's own is left out, and still the client's is not
        await engine.generate(ask(min_p=0.1))
        with pytest.raises(EngineHttpError, match=field):
            await engine.generate(ask(saying(min_p=0.5)))


@pytest.mark.parametrize(
    "prompt",
    [
        saying(tools=TOOLS),
        Prompt(id="p", messages=(Message(role="user", parts=({"type": "image_url", "image_url": {}},)),)),
        Prompt(id="p", messages=(Message(role="assistant", fields={"tool_calls": []}),)),
    ],
)
async def test_raw_text_cannot_say_it(upstream, prompt):
    engine = OpenAI(url=upstream.url, mode="completions")
    with pytest.raises(CapabilityError, match="cannot hold"):
        await engine.generate(ask(prompt))
    assert upstream.bodies == []
    await engine.aclose()


async def test_what_on_delta_raises_ends_the_call_and_no_more(engine):
    def broken(_):
        raise RuntimeError("the listener fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        await engine.generate(ask(), broken)
    assert (await heard(engine, ask()))[1].text == TEXT
