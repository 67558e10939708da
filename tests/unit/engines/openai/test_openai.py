import asyncio
import json
import logging
from random import Random

import pytest
from aiohttp import web

from nbest import registry
from nbest.context import Context
from nbest.engines.openai.openai import OpenAI
from nbest.errors import (
    CapabilityError,
    EngineError,
    EngineHttpError,
    EngineProtocolError,
    EngineTimeoutError,
    InputError,
    UnreachableError,
)
from nbest.http_errors import retry_after
from nbest.sampling.hedged import Hedged
from nbest.sampling.iid import Iid
from nbest.scoring.logprob import Logprob
from nbest.types import Completion, Message, Prompt, Request, SamplingParams
from scripted import prompt_of
from upstream import Upstream, error_reply

PROMPT = prompt_of("one two three")
SEEDED = SamplingParams(temperature=0.7, min_p=0.1, seed=10, max_tokens=16)
KEY = "sk-very-secret-0123456789"


@pytest.fixture
async def upstream():
    async with Upstream() as server:
        yield server


@pytest.fixture
async def engine(upstream):
    made = OpenAI(url=upstream.url, timeout_s=5.0)
    yield made
    await made.aclose()


def ask(n=1, params=SEEDED, **more):
    return Request(prompt=PROMPT, n=n, params=params, **more)


async def pool(engine, sampler, prompt=PROMPT):
    ctx = Context({"policy": engine}, prompt_id=prompt.id)
    return ctx, await ctx.sample(sampler(prompt, Random(1)))


# ── meeting ─────────────────────────────────────────────────────────────────────────────────────────


async def test_specs_of_an_address_and_of_parameters():
    by_address = registry.parse("engines", "openai:http://localhost:8000/v1")
    by_name = registry.parse(
        "engines", 'openai(url="http://localhost:8000/v1", model="m", key_env="K", timeout_s=3)'
    )
    assert by_address.url == by_name.url
    assert (by_name.model, by_name.key_env, by_name.timeout_s) == ("m", "K", 3.0)
    assert registry.parse("engines", registry.spec_of(by_name)) == by_name


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://a/v1", "http://", "http://user:pass@a/v1"])
def test_an_address_that_is_none(url):
    with pytest.raises(ValueError, match="url must"):
        OpenAI(url=url)


@pytest.mark.parametrize("tail", ["", "/", "/chat/completions", "/models"])
async def test_an_address_may_end_as_users_copy_it(upstream, tail):
    engine = OpenAI(url=upstream.url + tail)
    assert [c.text for c in await engine.generate(ask())] == ["one two"]
    await engine.aclose()


async def test_the_only_model_is_taken_and_named(upstream, engine):
    assert engine.name == f"openai@127.0.0.1:{upstream.port}"
    await engine.generate(ask())
    assert upstream.bodies[0]["model"] == "m"
    assert engine.name == f"openai/m@127.0.0.1:{upstream.port}"


async def test_several_models_are_listed(upstream, engine):
    upstream.models = ("a", "b")
    with pytest.raises(InputError, match=r"serves 2 models: name one with  model=…  of: a, b"):
        await engine.capabilities()


async def test_a_wrong_model_is_told_the_nearest(upstream):
    upstream.models = ("qwen3-8b", "llama")
    engine = OpenAI(url=upstream.url, model="qwen3-8B-it")
    with pytest.raises(InputError, match=r"did you mean 'qwen3-8b'\? Served: qwen3-8b, llama"):
        await engine.generate(ask())
    await engine.aclose()


async def test_a_server_that_lists_no_models_takes_a_named_one(upstream, engine):
    upstream.has_models = False
    with pytest.raises(InputError, match="lists no models"):
        await engine.capabilities()
    named = OpenAI(url=upstream.url, model="x")
    assert len(await named.generate(ask())) == 1
    await named.aclose()


async def test_first_callers_share_one_question(upstream, engine):
    known = await asyncio.gather(*(engine.capabilities() for _ in range(20)))
    await engine.capabilities()
    assert upstream.num_model_calls == 1
    assert len(set(known)) == 1


async def test_a_cancelled_first_caller_costs_the_others_nothing(upstream, engine):
    first = asyncio.create_task(engine.capabilities())
    others = [asyncio.create_task(engine.capabilities()) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    assert len(await asyncio.gather(*others)) == 3
    assert upstream.num_model_calls == 1


async def test_nobody_there_is_said_once_for_all_and_asked_again_later(upstream):
    async with Upstream() as gone:
        url = gone.url
    engine = OpenAI(url=url)
    results = await asyncio.gather(*(engine.capabilities() for _ in range(5)), return_exceptions=True)
    assert {type(r) for r in results} == {UnreachableError}
    assert f"nobody answers at {url}" in str(results[0])
    assert "start the server" in str(results[0])
    with pytest.raises(UnreachableError):
        await engine.generate(ask())
    await engine.aclose()


async def test_it_may_be_closed_twice_and_used_again(engine):
    await engine.generate(ask())
    await engine.aclose()
    await engine.aclose()
    assert len(await engine.generate(ask())) == 1


def test_it_works_in_a_second_loop_after_aclose():
    engine = None

    async def once():
        nonlocal engine
        async with Upstream() as server:
            engine = OpenAI(url=server.url) if engine is None else engine
            object.__setattr__(engine._server.http, "url", server.url)
            drawn = await engine.generate(ask())
            await engine.aclose()
            return drawn

    assert len(asyncio.run(once())) == len(asyncio.run(once())) == 1


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_is_sent_and_shown_nowhere(upstream, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY + "\n")
    upstream.key = KEY
    engine = OpenAI(url=upstream.url, key_env="MY_KEY")
    ctx, candidates = await pool(engine, Hedged())
    assert {c.error for c in candidates} == {None}
    assert set(upstream.keys) == {f"Bearer {KEY}"}
    upstream.key = "another"
    with pytest.raises(EngineHttpError) as caught:
        await engine.generate(ask())
    assert "Incorrect API key" in str(caught.value)
    assert "MY_KEY" not in str(caught.value)  # what a gateway's clients may be shown
    fresh = OpenAI(url=upstream.url, key_env="MY_KEY")
    with pytest.raises(EngineHttpError, match="came from MY_KEY") as told:  # before anything is drawn
        await fresh.capabilities()
    await fresh.aclose()
    shown = [repr(engine), str(engine), engine.name, registry.spec_of(engine), str(caught.value), caplog.text]
    shown.append(str(told.value))
    assert KEY not in "".join([*shown, repr(candidates), repr(vars(caught.value)), repr(ctx.meter.usage)])
    await engine.aclose()


@pytest.mark.parametrize("escape", [str, lambda text: text.replace("/", "\\/")])
@pytest.mark.parametrize("on_delta", [None, lambda _: None])
@pytest.mark.parametrize("fault", ["status", "body", "event"])
async def test_a_key_that_a_server_repeats_is_not_shown(upstream, monkeypatch, escape, on_delta, fault):
    key = "sk/" + KEY
    error = escape(json.dumps({"error": {"message": f"wrong key: {key}"}}))

    async def repeat(request):
        text = f"data: {error}\n\n" if fault == "event" else error
        return web.Response(text=text, status=500 if fault == "status" else 200)

    monkeypatch.setenv("MY_KEY", key)
    upstream.fault, upstream._fault_repeat = "repeat", repeat
    engine = OpenAI(url=upstream.url, key_env="MY_KEY")
    with pytest.raises(EngineError, match="wrong key") as caught:
        await engine.generate(ask(), on_delta)
    assert KEY not in repr(vars(caught.value)) + str(caught.value)
    await engine.aclose()


@pytest.mark.parametrize("on_delta", [None, lambda _: None])
@pytest.mark.parametrize("key", ["EMPTY", "none", "content"])
async def test_a_word_in_place_of_a_key_stays_in_answers(upstream, monkeypatch, key, on_delta):
    monkeypatch.setenv("MY_KEY", key)
    upstream.texts = (f"答案是 {key}",)
    engine = OpenAI(url=upstream.url, key_env="MY_KEY")
    (drawn,) = await engine.generate(ask(), on_delta)
    assert drawn.text == f"答案是 {key}"
    await engine.aclose()


async def test_a_missing_key_is_named(upstream, monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    engine = OpenAI(url=upstream.url, key_env="MY_KEY")
    with pytest.raises(InputError, match="MY_KEY"):
        await engine.generate(ask())
    await engine.aclose()


async def test_a_key_with_odd_characters_is_not_repeated(upstream, monkeypatch):
    monkeypatch.setenv("MY_KEY", f"{KEY}\nX-Evil: 1")
    engine = OpenAI(url=upstream.url, key_env="MY_KEY")
    with pytest.raises(InputError) as caught:
        await engine.generate(ask())
    assert KEY not in str(caught.value)
    await engine.aclose()


async def test_openais_key_goes_to_no_other_server_unasked(upstream, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    upstream.key = KEY
    engine = OpenAI(url=upstream.url)
    with pytest.raises(EngineHttpError, match=r'no key was sent: .*key_env="OPENAI_API_KEY"'):
        await engine.generate(ask())
    assert upstream.keys == [None]
    await engine.aclose()


async def test_openais_key_goes_to_openais_base_url(upstream, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", upstream.url + "/")
    engine = OpenAI(url=upstream.url)
    await engine.generate(ask())
    assert set(upstream.keys) == {f"Bearer {KEY}"}
    await engine.aclose()


async def test_a_redirect_takes_no_key_along(upstream, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    async with Upstream() as other:
        upstream.redirect_to = f"http://localhost:{other.port}"
        engine = OpenAI(url=upstream.url, key_env="MY_KEY")
        with pytest.raises(EngineHttpError, match=rf"redirects to localhost:{other.port}/v1/chat"):
            await engine.generate(ask())
        assert (other.keys, other.bodies) == ([], [])
        await engine.aclose()


# ── several draws in a call ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("n", "num_calls", "max_n"), [("honoured", 2, None), ("ignored", 5, 1), ("refused", 6, 1), ("2", 4, 2)]
)
async def test_a_pool_of_five_from_any_server(upstream, engine, n, num_calls, max_n):
    upstream.n = n
    _, candidates = await pool(engine, Hedged(n=5, max_tokens=16))
    assert [c.error for c in candidates] == [None] * 5
    assert len(upstream.bodies) == num_calls
    assert (await engine.capabilities()).max_n == max_n
    asked = sorted(
        b["seed"] + i for b in upstream.bodies if "seed" in b and _was_drawn(b, n) for i in range(_num(b, n))
    )
    assert asked == [asked[0] + i for i in range(4)], "each draw has its own seed"
    again, _ = await pool(engine, Hedged(n=5, max_tokens=16))
    assert again.meter.usage["policy"].calls == (2 if n == "honoured" else 3 if n == "2" else 5)


def _was_drawn(body, n):
    return body.get("n", 1) == 1 or n in {"honoured", "ignored"} or (n.isdigit() and body["n"] <= int(n))


def _num(body, n):
    return 1 if n == "ignored" else body.get("n", 1)


async def test_a_limit_in_the_words_of_llama_cpp(upstream, engine, monkeypatch):
    words = "Field 'n': Value must be between 1 <= value <= 4, but got 9"
    monkeypatch.setattr(
        upstream, "_refusal", lambda body: error_reply(400, words) if body.get("n", 1) > 4 else None
    )
    assert len(await engine.generate(ask(9))) == 9
    assert (await engine.capabilities()).max_n == 4


async def test_a_silent_cap_is_learnt(upstream, engine):
    upstream.n_silent_cap = 3
    _, candidates = await pool(engine, Iid(n=8, max_tokens=16))
    assert [c.error for c in candidates] == [None] * 8
    assert (await engine.capabilities()).max_n == 3
    assert [b.get("n", 1) for b in upstream.bodies] == [8, 3, 2]


async def test_usage_adds_up(upstream, engine):
    ctx, candidates = await pool(engine, Iid(n=4, max_tokens=16))
    usage = ctx.meter.usage["policy"]
    assert usage.completion == sum(len(c.text.split()) for c in candidates) == 7
    assert (usage.cached, usage.calls) == (1, 1)
    assert [c.usage.prompt > 0 for c in candidates] == [True, False, False, False]


async def test_a_refusal_inside_a_split_costs_its_own_draw(upstream, engine):
    upstream.n = "refused"
    upstream.fault_by_seed = {12: "error500"}
    drawn = await engine.generate(ask(4))
    assert [c.error is None for c in drawn] == [True, True, False, True]


# ── extras ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("style", ["pydantic", "openai", "text"])
async def test_refused_extras_are_dropped_once_and_said(upstream, engine, caplog, style):
    upstream.refuses = {"min_p": style, "seed": style}
    _, candidates = await pool(engine, Hedged())
    assert {c.error for c in candidates} == {None}
    capabilities = await engine.capabilities()
    assert (capabilities.min_p, capabilities.seed) == (False, False)
    assert sorted(r.getMessage() for r in caplog.records) == [
        f"127.0.0.1:{upstream.port} refuses min_p: texts are drawn without min_p",
        f"127.0.0.1:{upstream.port} refuses seed: draws cannot be repeated",
    ]
    num_before = len(upstream.bodies)
    await engine.generate(ask())
    assert len(upstream.bodies) == num_before + 1


async def test_a_refusal_that_names_no_optional_field_is_an_error(upstream, engine):
    upstream.refuses = {"messages": "openai"}
    with pytest.raises(EngineHttpError, match="supplied: messages"):
        await engine.generate(ask())
    assert (await engine.capabilities()).min_p


async def test_max_tokens_has_a_second_name(upstream, engine):
    upstream.refuses = {"max_tokens": "renamed"}
    await engine.generate(ask())
    assert upstream.bodies[-1]["max_completion_tokens"] == 16
    assert "max_tokens" not in upstream.bodies[-1]


async def test_what_the_user_adds_is_sent_and_never_dropped(upstream):
    engine = OpenAI(url=upstream.url, extra={"seed": 3, "think": False})
    upstream.refuses = {"seed": "openai"}
    with pytest.raises(EngineHttpError, match="seed"):
        await engine.generate(ask())
    assert upstream.bodies[0]["think"] is False
    assert engine.name != OpenAI(url=upstream.url, model="m").name
    await engine.aclose()


@pytest.mark.parametrize(
    ("owner", "more"),
    [
        ("vllm", {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}),
        ("llamacpp", {"top_k": 0, "min_p": 0.0}),
        ("openai", {}),
    ],
)
async def test_the_models_own_distribution_is_asked_for_in_each_servers_words(upstream, engine, owner, more):
    upstream.owned_by = owner
    await engine.generate(ask(params=SamplingParams(max_tokens=5)))
    body = {k: v for k, v in upstream.bodies[0].items() if k not in {"messages", "model", "samplers"}}
    assert body == {"temperature": 1.0, "top_p": 1.0, "max_tokens": 5, **more}


# ── log-probabilities ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", ["chat", "legacy"])
async def test_log_probs_of_both_shapes(upstream, engine, shape):
    upstream.logprobs = shape
    (drawn,) = await engine.generate(ask(params=SamplingParams(logprobs=1)))
    assert drawn.logprobs is not None
    assert (drawn.logprobs.tokens, drawn.logprobs.values) == (("one", "two"), (-0.5, -0.5))
    assert drawn.logprobs.top == ({"a": -1.0}, {"a": -1.0})


@pytest.mark.parametrize("how", ["ignored", "refused"])
async def test_missing_log_probs_are_learnt_and_likelihood_says_so(upstream, engine, how):
    if how == "ignored":
        upstream.logprobs = "absent"
    else:
        upstream.refuses = {"logprobs": "pydantic"}
    ctx = Context({"policy": engine})
    candidates = await ctx.sample([ask(2, SamplingParams(logprobs=0))])
    assert [c.logprobs for c in candidates] == [None, None]
    assert not (await engine.capabilities()).logprobs
    with pytest.raises(CapabilityError, match="have no log-probabilities"):
        await Logprob()(PROMPT, candidates, ctx)


@pytest.mark.parametrize("mode", ["chat", "completions"])
async def test_fewer_alternatives_are_taken_than_were_asked_for(upstream, monkeypatch, mode):
    words = "Requested sample logprobs of 30, which is greater than max allowed: 20 (parameter=logprobs)"

    def refusal(body):
        return (
            error_reply(400, words, "logprobs")
            if 30 in {body.get("top_logprobs"), body["logprobs"]}
            else None
        )

    monkeypatch.setattr(upstream, "_refusal", refusal)
    engine = OpenAI(url=upstream.url, mode=mode)
    for _ in range(2):
        (drawn,) = await engine.generate(ask(params=SamplingParams(logprobs=30)))
        assert drawn.logprobs is not None
    known = await engine.capabilities()
    assert (known.logprobs, known.max_logprobs, len(upstream.bodies)) == (True, 20, 3)
    await engine.aclose()


async def test_a_given_text_is_scored_by_vllm(upstream, engine):
    upstream.owned_by = "vllm"
    found = await engine.logprobs(PROMPT, "four five")
    assert found.tokens == ("four", "five")
    assert (await engine.capabilities()).scores_text


async def test_a_given_text_is_scored_through_echo(upstream):
    upstream.owned_by = "vllm"
    engine = OpenAI(url=upstream.url, mode="completions")
    found = await engine.logprobs(PROMPT, " four five")
    assert found.tokens == ("four", "five")
    assert found.values == (-0.5, -0.5)
    await engine.aclose()


async def test_other_servers_score_no_text(engine):
    with pytest.raises(CapabilityError, match="does not score"):
        await engine.logprobs(PROMPT, "x")


# ── prefixes ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("owner", "continues", "is_echoing"),
    [
        ("vllm", "flags", False),
        ("llamacpp", "trailing", True),
        ("llamacpp", "trailing", False),
        ("somebody", "flags", False),
        ("somebody", "trailing", True),
    ],
)
async def test_a_prefix_is_continued_and_not_repeated(upstream, engine, owner, continues, is_echoing):
    upstream.owned_by, upstream.continues, upstream.is_echoing = owner, continues, is_echoing
    upstream.texts = ("Step 2",)
    drawn = await asyncio.gather(*(engine.generate(ask(2, prefix="Step 1: ")) for _ in range(3)))
    assert [c.text for cs in drawn for c in cs] == ["Step 2"] * 6
    num_probes = {"vllm": 0, "llamacpp": 1, "somebody": 3}[owner]
    assert len(upstream.bodies) == num_probes + 3
    assert upstream.bodies[-1]["messages"][-1] == {"role": "assistant", "content": "Step 1: "}


async def test_a_text_that_begins_like_its_prefix_is_left_alone(upstream, engine):
    upstream.owned_by, upstream.texts = "vllm", ("1 1 1",)
    (drawn,) = await engine.generate(ask(prefix="1"))
    assert drawn.text == "1 1 1"


@pytest.mark.parametrize(
    "refuses", [{}, {"continue_final_message": "pydantic", "add_generation_prompt": "text"}]
)
async def test_a_server_that_answers_anew_is_found_out(upstream, engine, refuses):
    upstream.continues, upstream.refuses = "never", refuses
    with pytest.raises(CapabilityError, match="answers anew"):
        await engine.generate(ask(prefix="Step 1"))
    assert not (await engine.capabilities()).prefix
    assert len(await engine.generate(ask())) == 1


async def test_raw_mode_continues_by_nature(upstream):
    engine = OpenAI(url=upstream.url, mode="completions")
    (drawn,) = await engine.generate(ask(prefix=" Step 1"))
    assert drawn.text == "one two"
    assert upstream.bodies[0]["prompt"] == "one two three Step 1"
    await engine.aclose()


# ── faults ──────────────────────────────────────────────────────────────────────────────────────────

FAULTS = {
    "error500": (EngineHttpError, "answered 500: the GPU fell off the bus"),
    "busy": (EngineHttpError, "answered 429: too many requests"),
    "hang": (EngineTimeoutError, "did not answer within 0.5 s"),
    "trickle": (EngineTimeoutError, "did not answer within 0.5 s"),
    "reset": (EngineProtocolError, "broke off its reply"),
    "hang_up": (EngineProtocolError, "broke off its reply"),
    "malformed": (EngineProtocolError, "is not JSON"),
    "empty": (EngineProtocolError, "has no choices"),
    "null": (EngineProtocolError, "has no text"),
    "html": (EngineProtocolError, "not JSON: '<html><body>Welcome to nginx!"),
    "error_in_200": (EngineProtocolError, "upstream provider overloaded"),
}


SLOW = {"hang", "trickle"}


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_has_its_error_and_passes(upstream, fault):
    engine = OpenAI(url=upstream.url, timeout_s=0.5 if fault in SLOW else 20.0)
    upstream.fault = fault
    error, words = FAULTS[fault]
    with pytest.raises(error) as caught:
        await engine.generate(ask())
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.is_transient
    upstream.fault = None
    assert len(await engine.generate(ask())) == 1
    await engine.aclose()


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_failing_draw_of_five_costs_only_itself(upstream, fault):
    upstream.n = "ignored"
    engine = OpenAI(url=upstream.url, timeout_s=0.5 if fault in SLOW else 20.0)
    await engine.generate(ask(2))
    sampler = Hedged(n=5, max_tokens=16)
    seed = sampler(PROMPT, Random(1))[1].params.seed
    upstream.fault_by_seed = {seed + 2: fault}
    ctx, candidates = await pool(engine, sampler)
    assert [c.error is None for c in candidates] == [True, True, True, False, True]
    assert FAULTS[fault][1] in candidates[3].error
    # A call that ran into its time limit is estimated, and counted.
    assert ctx.meter.usage["policy"].calls == 4 + (fault in SLOW)
    await engine.aclose()


async def test_retry_after_is_read(upstream, engine):
    upstream.fault = "busy"
    with pytest.raises(EngineHttpError) as caught:
        await engine.generate(ask())
    assert (caught.value.status, caught.value.retry_after_s) == (429, 0.05)


@pytest.mark.parametrize("said", ["inf", "1e400", "nan", "bald"])
async def test_a_wait_that_is_none_is_passed_over(said):
    assert not retry_after({"Retry-After": said})


DEEP = '{"error": ' + "[" * 5000 + "]" * 5000 + "}"


@pytest.mark.parametrize("on_delta", [None, lambda _: None])
@pytest.mark.parametrize(
    "reply",
    [
        {"status": 500, "text": DEEP},
        {"status": 400, "text": DEEP},
        {"text": f"event: error\ndata: {DEEP}\n\n"},
        {"status": 307, "headers": {"Location": "http://[bad"}},
        {"status": 500, "reason": "Ошибка".encode("cp1251").decode("utf-8", "surrogateescape")},
    ],
    ids=["deep500", "deep400", "deep-event", "no-address", "no-utf8"],
)
async def test_odd_words_of_a_server_are_an_error_that_can_be_written_down(upstream, engine, reply, on_delta):
    async def odd(request):
        return web.Response(**reply)

    upstream.fault, upstream._fault_odd = "odd", odd
    with pytest.raises(EngineError) as caught:
        await engine.generate(ask(), on_delta)
    assert str(caught.value).encode("utf-8")
    assert len(str(caught.value)) < 500


async def test_an_idle_connection_that_closes_is_no_fault(upstream, engine):
    upstream.faults.extend(["hang_up", None])
    assert len(await engine.generate(ask())) == 1


async def test_many_idle_connections_that_close_are_no_fault(upstream, engine):
    upstream.fault = "hang_up_on_old"
    for num in (8, 2):
        drawn = await asyncio.gather(*(engine.generate(ask()) for _ in range(num)))
        assert [len(d) for d in drawn] == [1] * num


async def test_cancelling_stops_the_server_at_once(upstream, engine):
    upstream.fault = "hang"
    task = asyncio.create_task(engine.generate(ask()))
    await upstream.saw("bodies", 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.saw("num_cancelled", 1)


@pytest.mark.parametrize(
    ("n", "max_tokens", "logprobs", "mebibytes"),
    [(1, 16, None, 16), (8, 1024, None, 32), (1, 4096, 20, 56), (8, 8000, 20, 256)],
)
async def test_a_reply_may_be_as_large_as_what_was_asked_for(
    monkeypatch, engine, n, max_tokens, logprobs, mebibytes
):
    limits = []
    post = engine._server.http.post

    async def noted(*args, max_bytes):
        limits.append(max_bytes)
        return await post(*args, max_bytes=max_bytes)

    monkeypatch.setattr(engine._server.http, "post", noted)
    await engine.generate(ask(n, SamplingParams(max_tokens=max_tokens, logprobs=logprobs)))
    assert limits == [mebibytes * 2**20]


async def test_half_a_surrogate_pair_fails_only_its_prompt(engine):
    broken = Prompt(id="q", messages=(Message(role="user", content="\ud800"),))
    _, candidates = await pool(engine, Iid(n=2), broken)
    assert "'q' is not valid Unicode" in candidates[0].error


async def test_many_calls_at_once_share_few_connections_and_all_arrive(upstream, engine):
    drawn = await asyncio.gather(*(engine.generate(ask()) for _ in range(200)))
    assert sum(len(d) for d in drawn) == 200
    assert all(isinstance(c, Completion) for d in drawn for c in d)


async def test_a_failing_engine_is_an_engine_error_with_the_hosts_name(upstream, engine):
    upstream.fault = "error500"
    with pytest.raises(EngineError, match=rf"127\.0\.0\.1:{upstream.port}"):
        await engine.generate(ask())
