"""What clients say to the embedded model."""

import json

import pytest

from nbest.engines.llamacpp.llamacpp import LlamaCpp
from nbest.engines.llamacpp.params import client_fields
from nbest.errors import CapabilityError
from nbest.types import Message, Overrides, Prompt, Request, SamplingParams

SCHEMA = {
    "type": "object",
    "properties": {"город": {"enum": ["東京", "القاهرة"]}},
    "required": ["город"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]


QUESTION = (Message(role="user", content="2 + 3 = ?"),)


def ask(prefix="", messages=QUESTION, **body):
    prompt = Prompt(id="p", messages=messages, overrides=Overrides(body=body))
    return Request(prompt=prompt, prefix=prefix, params=SamplingParams(temperature=0.0, max_tokens=40))


async def draw(engine, request):
    (drawn,) = await engine.generate(request)
    return drawn


@pytest.mark.parametrize("is_heard", [True, False])
async def test_a_json_schema_holds(is_heard):
    engine = LlamaCpp(slots=2)
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    (drawn,) = await engine.generate(ask(response_format=wanted), (lambda _: None) if is_heard else None)
    assert json.loads(drawn.text)["город"] in {"東京", "القاهرة"}
    assert drawn.finish == "stop"
    await engine.aclose()


async def test_biases_and_penalties_change_the_text():
    engine = LlamaCpp(slots=2)
    plain = await draw(engine, ask())
    server = await engine._server()
    ids = (await server.post("/tokenize", {"content": plain.text}, dict))["tokens"]
    biased = await draw(engine, ask(logit_bias={str(ids[0]): -100}))
    assert biased.text[:2] != plain.text[:2]
    for field in ("presence_penalty", "frequency_penalty"):
        assert (await draw(engine, ask(**{field: 2.0}))).text != plain.text
    assert (await draw(engine, ask(user="me", reasoning_effort="low", tools=[]))).text == plain.text
    await engine.aclose()


def test_penalties_do_not_cost_the_memory_of_a_machine():
    said = client_fields(ask(presence_penalty=0.0), ["temperature"])
    assert said["samplers"] == ["penalties", "temperature"]
    assert said["repeat_last_n"] * 4 <= 2**20  # llama.cpp sets aside four bytes for each, in every draw


@pytest.mark.parametrize(
    "request_",
    [
        ask(tools=TOOLS),
        ask(functions=[{"name": "f"}]),
        ask(messages=(Message(role="user", parts=({"type": "image_url", "image_url": {}},)),)),
        ask(messages=(Message(role="assistant", fields={"tool_calls": [{}]}),)),
    ],
)
def test_tools_and_images_are_refused_and_never_left_out(request_):
    with pytest.raises(CapabilityError, match=r"does not support .*: use the engine openai"):
        client_fields(request_, [])


@pytest.mark.parametrize("bias", [[1], {"x": 1}, {"1": "much"}, 3])
def test_a_bias_that_is_none(bias):
    with pytest.raises(CapabilityError, match="logit_bias"):
        client_fields(ask(logit_bias=bias), [])


@pytest.mark.parametrize("wanted", [{"type": "xml"}, {"type": "json_schema"}, 7])
def test_a_format_that_is_none(wanted):
    with pytest.raises(CapabilityError, match="response_format must be"):
        client_fields(ask(response_format=wanted), [])


def test_a_format_begins_with_the_text():
    with pytest.raises(CapabilityError, match="cannot continue"):
        client_fields(ask(prefix="{", response_format={"type": "json_object"}), [])
    assert client_fields(ask(prefix="{", response_format={"type": "text"}), []) == {}
