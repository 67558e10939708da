"""One client never changes what others get: what is learnt of a server, from what, for whom and for how long."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from nbest.engines.openai import facts
from nbest.engines.openai.facts import ScopedFacts
from nbest.engines.openai.openai import OpenAI
from nbest.engines.openai.refusals import refusal
from nbest.errors import EngineError
from nbest.types import Message, Overrides, Request, SamplingParams, replace
from scripted import prompt_of
from upstream import Upstream, error_reply

EFFORTS = ("low", "medium", "high")
PARAMS = SamplingParams(temperature=0.7, min_p=0.1, seed=10, max_tokens=16, logprobs=5)
REASONED = Message(role="assistant", content="七", fields={"reasoning_content": "三加四"})
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def request(n=8, params=PARAMS, *, own=None, turns=(), text="三加四?", **changes):
    prompt = prompt_of(text)
    prompt = replace(prompt, messages=(*turns, *prompt.messages), overrides=Overrides(body=own or {}))
    return Request(prompt=prompt, n=n, params=replace(params, **changes))


VICTIM = request(turns=(REASONED,))


@dataclass
class Case:
    """A client's request, and how a server answers it that takes other requests as they are."""

    attack: Request
    refuse: Any
    """Body → message and `param`; None for a body that it takes."""
    server: dict[str, Any] = field(default_factory=dict)


def refusing(name, style):
    """A server that repeats the value of a field that it does not take, in one of the ways in which servers do."""

    def refuse(body):
        value = body.get(name, "low")
        if value in EFFORTS:
            return None
        match style:
            case "param":
                return f"Invalid value: {value}. Supported values are: {EFFORTS}.", name
            case "quoted":
                return f'{name}: got "{value}", wanted one of low, medium, high', None
            case "bare":
                return f"Input should be low, medium or high; {value} was given for {name}", None
        return None

    return refuse


def when(is_refused, message, param=None):
    return lambda body: (message, param) if is_refused(body) else None


WORDS = [
    "n must be low",
    "n must be at most 1",
    "top_logprobs must be at most 1",
    "min_p and seed and logprobs are not supported",
    "temperature is unsupported",
    "only one completion choice is allowed",
    "streaming is not supported",
    "requires n_parallel (1)",
    "n 必须小于 2，top_logprobs 最多 1",
    "لا يمكن استخدام seed و n=1",
    "seed を使えません (n <= 1)",
    "reasoning_content is not supported",
    "max_tokens is not supported, use max_completion_tokens",
]
CASES = {
    f"{name}, {style}: {words}": Case(request(own={name: words}, turns=(REASONED,)), refusing(name, style))
    for words in (*WORDS, *(w.replace(" ", "  ") for w in WORDS))  # messages have one blank for two
    for name in ("reasoning_effort", "user")
    for style in ("param", "quoted", "bare")
} | {
    "tools forbid pools": Case(
        request(own={"tools": TOOLS}),
        when(lambda b: "tools" in b and b.get("n", 1) > 1, "n must be 1 with tools", "n"),
    ),
    "formats forbid log-probabilities": Case(
        request(own={"response_format": {"type": "json_object"}}),
        when(
            lambda b: "response_format" in b and "logprobs" in b, "logprobs is not supported here", "logprobs"
        ),
    ),
    "calls have no log-probabilities": Case(
        request(n=1, own={"tools": TOOLS}),
        when(lambda _: False, ""),
        {"calls": ({"name": "weather", "arguments": "{}"},), "logprobs": "absent"},
    ),
    "empty texts have no log-probabilities": Case(
        request(n=1), when(lambda _: False, ""), {"texts": ("",), "logprobs": "absent"}
    ),
    "a temperature that no server takes": Case(
        request(temperature=1.9), when(lambda b: b.get("temperature", 1) > 1.5, "temperature 1.9 is invalid")
    ),
    "a seed that no server takes": Case(
        request(seed=2**40), when(lambda b: b.get("seed", 0) > 2**32, "seed is invalid", "seed")
    ),
    "more alternatives than any server gives": Case(
        request(logprobs=100),
        when(lambda b: b.get("top_logprobs", 0) > 20, "top_logprobs is invalid", "top_logprobs"),
    ),
    "more draws than the server gives": Case(
        request(n=64), when(lambda b: b.get("n", 1) > 32, "the server says that n is too large")
    ),
    "more draws than the server gives, with a limit that it only quotes": Case(
        request(n=64, text="n must be at most 1"),
        when(lambda b: b.get("n", 1) > 32, "prompt 'n must be at most 1': the parameter n is too large"),
    ),
    "a greedy pool": Case(
        request(temperature=0.0, min_p=0.0),
        when(
            lambda b: b.get("n", 1) > 1 and b["temperature"] == 0,
            "n must be 1 when using greedy sampling, got 8.",
        ),
    ),
    "reasoning that is no text": Case(
        request(turns=(Message(role="assistant", content="7", fields={"reasoning_content": [1, 2]}),)),
        when(
            lambda b: any(isinstance(m.get("reasoning_content"), list) for m in b["messages"]),
            "reasoning_content must be a string",
        ),
    ),
}


class Server(Upstream):
    """Refuses with a message what `refuse` says."""

    refuse = staticmethod(lambda _: None)

    def _refusal(self, body):
        refused = self.refuse(body)
        if refused is None:
            return None
        return error_reply(400, *refused)


async def sent_for_victim(server, engine):
    """The bodies that the server gets for a request of somebody else."""
    del server.bodies[:]
    drawn = await engine.generate(VICTIM)
    assert [c.error for c in drawn] == [None] * 8
    assert all(c.logprobs for c in drawn)
    return list(server.bodies)


@pytest.mark.parametrize("name", CASES)
async def test_one_clients_request_changes_nothing_for_others(name):
    case = CASES[name]
    async with Server() as server:
        server.refuse = case.refuse
        fresh = OpenAI(url=server.url)
        wanted, capabilities = await sent_for_victim(server, fresh), await fresh.capabilities()
        await fresh.aclose()

        engine = OpenAI(url=server.url)
        changes = {name: getattr(server, name) for name in case.server}
        for key, value in case.server.items():
            setattr(server, key, value)
        for _ in range(2):
            try:
                await engine.generate(case.attack)
            except EngineError as e:
                assert "400" in str(e)  # noqa: PT017
        for key, value in changes.items():
            setattr(server, key, value)

        assert await sent_for_victim(server, engine) == wanted
        known = await engine.capabilities()
        assert known.max_n in {None, 32}
        assert dataclasses.replace(known, max_n=None) == capabilities
        await engine.aclose()


async def test_a_refusal_with_other_words_in_it_teaches_only_what_the_server_refuses():
    async with Server() as server:
        server.refuse = lambda b: (
            (f"min_p is not supported (user '{b['user']}')", None) if "min_p" in b else None
        )
        engine = OpenAI(url=server.url)
        await engine.generate(request(own={"user": "seed, logprobs and top_logprobs at most 1"}))
        server.refuse = lambda b: ("min_p is not supported", None) if "min_p" in b else None
        (body,) = await sent_for_victim(server, engine)
        assert "min_p" not in body
        assert (body["seed"], body["logprobs"], body["top_logprobs"], body["n"]) == (10, True, 5, 8)
        await engine.aclose()


async def test_what_a_clients_fields_forbid_is_learnt_for_requests_with_the_same_fields():
    async with Server() as server:
        server.refuse = CASES["tools forbid pools"].refuse
        engine = OpenAI(url=server.url)
        attack = CASES["tools forbid pools"].attack
        await engine.generate(attack)
        assert sorted(b.get("n", 1) for b in server.bodies) == [1] * 8 + [8]
        del server.bodies[:]
        await engine.generate(attack)
        assert [b.get("n", 1) for b in server.bodies] == [1] * 8
        await engine.aclose()


async def test_a_request_that_is_refused_in_parts_too_costs_one_call_more():
    async with Server() as server:
        server.refuse = refusing("reasoning_effort", "bare")
        engine = OpenAI(url=server.url)
        with pytest.raises(EngineError, match="reasoning_effort"):
            await engine.generate(request(own={"reasoning_effort": "n must be low"}))
        assert len(server.bodies) <= 3
        await engine.aclose()


async def test_facts_expire_and_are_warned_of_once(monkeypatch, caplog):
    async with Server() as server:
        server.refuse = lambda b: ("n must be 1, min_p is not supported", None) if "min_p" in b else None
        engine = OpenAI(url=server.url)
        for _ in range(2):
            await engine.generate(request(n=1))
        assert ["min_p" in b for b in server.bodies] == [True, False, False]
        monkeypatch.setattr(facts, "FACTS_S", 0.0)
        await engine.generate(request(n=1))
        assert ["min_p" in b for b in server.bodies[3:]] == [True, False]

        server.refuse = lambda _: None  # the server was updated
        await engine.generate(request(n=1))
        assert "min_p" in server.bodies[-1]
        assert (await engine.capabilities()).min_p
        await engine.aclose()
    assert sum("refuses min_p" in r.getMessage() for r in caplog.records) == 1


async def test_no_limit_is_believed_below_what_a_server_has_given():
    async with Server() as server:
        engine = OpenAI(url=server.url)
        await engine.generate(request(n=8, logprobs=10))
        server.refuse = when(lambda b: b.get("n", 1) > 32, "n is too large: n must be at most 2")
        await engine.generate(request(n=64))
        assert (await engine.capabilities()).max_n == 8
        server.refuse = when(lambda b: b.get("top_logprobs", 0) > 20, "top_logprobs must be at most 1")
        await engine.generate(request(n=1, logprobs=30))
        assert (await engine.capabilities()).max_logprobs == 10
        await engine.aclose()


async def test_a_server_that_gives_less_than_before_is_learnt():
    async with Server() as server:
        engine = OpenAI(url=server.url)
        await engine.generate(request(n=8))
        server.refuse = when(lambda b: b.get("n", 1) > 4, "n must be at most 4")
        assert len(await engine.generate(request(n=8))) == 8
        assert (await engine.capabilities()).max_n == 4
        await engine.aclose()


def test_facts_of_many_clients_take_bounded_memory():
    known = ScopedFacts()
    known.general.refused.add("min_p")
    for i in range(1000):
        known.of(request(own={"tools": TOOLS, "seed_of_client": i})).max_n = 1
    assert len(known._by_scope) <= 128
    assert known.general.refused == {"min_p"}


@pytest.mark.parametrize("field_name", sorted(facts._CHANGE_NO_TEXT))
def test_names_of_users_make_no_scope_of_their_own(field_name):
    known = ScopedFacts()
    assert known.of(request(own={field_name: "अनीता"})) is known.general
    assert known.of(request(own={"logit_bias": {"1": 1}})) is not known.general


@pytest.mark.parametrize(
    ("reply", "fields"),
    [
        ({"error": {"param": "reasoning_effort", "message": "min_p and n must be low"}}, set()),
        ({"error": {"param": "messages[0].content", "message": "too long for seed"}}, set()),
        ({"error": {"param": None, "message": "min_p is not supported"}}, {"min_p"}),
        ({"error": {"param": "", "message": "min_p is not supported"}}, {"min_p"}),
        ({"detail": [{"loc": ["body", "seed", "int"], "msg": "not an int"}]}, {"seed"}),
        ({"detail": [{"loc": ["body", "tools", 0, "function", "n"], "msg": "extra"}]}, set()),
        ({"detail": [{"loc": ["body", "ChatRequest", "min_p"], "msg": "extra"}]}, {"min_p"}),
        ({"error": {"message": "the model doesn't take min_p, so it isn't used"}}, {"min_p"}),
        ({"error": {"message": "«seed» は使えません"}}, {"seed"}),
        ({"error": {"message": "“温度 seed 无效”"}}, set()),
    ],
)
def test_structured_fields_of_an_error_decide_where_they_are(reply, fields):
    body = {"n": 4, "min_p": 0.1, "seed": 1, "tools": [], "messages": [], "reasoning_effort": "x"}
    found = refusal(json.dumps(reply).encode(), body, own={"tools", "reasoning_effort"})
    assert found.fields == fields
