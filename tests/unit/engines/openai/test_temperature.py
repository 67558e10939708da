"""Models that take one temperature only: OpenAI's reasoning models, Kimi's, Claude while it reasons."""

import json

import pytest

from nbest.engines.openai.openai import OpenAI
from nbest.engines.openai.refusals import refusal
from nbest.errors import EngineHttpError
from nbest.registry import parse
from nbest.run import ask
from nbest.types import Request, SamplingParams
from scripted import prompt_of
from upstream import Upstream, error_reply

PROMPT = prompt_of("三加四?", "zh")
BODY = {"temperature": 0.7, "top_p": 0.9, "model": "m"}


def request(n=1, temperature=0.7, top_p=1.0):
    params = SamplingParams(temperature=temperature, top_p=top_p, max_tokens=16, seed=1)
    return Request(prompt=PROMPT, n=n, params=params)


@pytest.fixture
async def upstream():
    async with Upstream(texts=("七", "八", "seven"), takes_only={"temperature": 1}) as server:
        yield server


@pytest.mark.parametrize("mode", ["chat", "completions"])
@pytest.mark.parametrize("on_delta", [None, lambda _: None])
async def test_it_is_learnt_once_with_one_warning(upstream, caplog, mode, on_delta):
    engine = OpenAI(url=upstream.url, mode=mode)
    for temperature in (0.7, 0.0, 0.3):
        assert len(await engine.generate(request(temperature=temperature), on_delta)) == 1
    assert ["temperature" in body for body in upstream.bodies] == [True, False, False, False]
    assert [r.getMessage() for r in caplog.records] == [
        f"127.0.0.1:{upstream.port} refuses temperature: texts are drawn at the model's own temperature"
    ]
    await engine.aclose()


async def test_draws_of_a_pool_and_calls_of_a_judge_go_through(upstream, caplog):
    upstream.texts = ("七", "八", "七", "八")
    async with Upstream(texts=("[[A>B]]",), takes_only={"temperature": 1}) as judge_server:
        engines = {"policy": OpenAI(url=upstream.url), "judge": OpenAI(url=judge_server.url)}
        strategy = parse("strategies", "parallel(sampler=iid(n=4, temperature=0.7), selector=judge_pairwise)")
        outcome = await ask(PROMPT, strategy, engines, seed=1)
        for engine in engines.values():
            await engine.aclose()
    assert outcome.error is None
    assert [c.error for c in outcome.candidates] == [None] * 4
    assert outcome.usage["judge"].calls > 0
    assert outcome.selection.details
    for server in (upstream, judge_server):
        assert sum("temperature" in body for body in server.bodies) >= 1
        assert "temperature" not in server.bodies[-1]
    assert sum("refuses temperature" in r.getMessage() for r in caplog.records) == 2


async def test_top_p_is_learnt_with_it(upstream):
    upstream.takes_only = {"temperature": 1, "top_p": 1}
    engine = OpenAI(url=upstream.url)
    assert len(await engine.generate(request(top_p=0.9))) == 1
    await engine.generate(request(top_p=0.9))
    assert not {"temperature", "top_p"} & upstream.bodies[-1].keys()
    await engine.aclose()


async def test_a_value_that_is_out_of_range_is_an_error_and_teaches_nothing(upstream, monkeypatch):
    def refuses(body):
        message = "Invalid 'temperature': expected a value <= 1, but got 1.5 instead."
        return error_reply(400, message, "temperature") if body.get("temperature", 0) > 1 else None

    monkeypatch.setattr(upstream, "_refusal", refuses)
    engine = OpenAI(url=upstream.url)
    with pytest.raises(EngineHttpError, match="expected a value <= 1"):
        await engine.generate(request(temperature=1.5))
    await engine.generate(request(temperature=0.5))
    assert upstream.bodies[-1]["temperature"] == 0.5
    await engine.aclose()


async def test_a_refusal_that_does_not_pass_without_it_teaches_nothing(upstream, monkeypatch):
    answers = [
        error_reply(400, "temperature 0.7: bad request", "temperature"),
        error_reply(400, "no such user"),
    ]
    monkeypatch.setattr(upstream, "_refusal", lambda body: answers.pop(0) if answers else None)
    engine = OpenAI(url=upstream.url)
    with pytest.raises(EngineHttpError, match="no such user"):
        await engine.generate(request())
    await engine.generate(request())
    assert upstream.bodies[-1]["temperature"] == 0.7
    await engine.aclose()


@pytest.mark.parametrize(
    ("message", "is_refused"),
    [
        (
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.",
            True,
        ),
        ("Unsupported parameter: 'temperature' is not supported with this model.", True),
        ("invalid temperature: only 1 is allowed for this model", True),
        ("`temperature` may only be set to 1 when thinking is enabled.", True),
        ("temperature must be between 0 and 2", False),
        ("temperature: Input should be less than or equal to 2", False),
        ("`temperature` must be strictly positive", False),
        ("temperature must be in (0.0, 1.0]", False),
    ],
)
def test_what_servers_say(message, is_refused):
    raw = json.dumps({"error": {"message": message}}).encode()
    assert ("temperature" in refusal(raw, BODY).fields) == is_refused
