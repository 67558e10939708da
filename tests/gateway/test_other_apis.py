"""The Responses API and legacy completions through the official client, and the embedded model."""

import json
from typing import Literal

import openai
import pytest
from pydantic import BaseModel

from gateway.process import serving

TOOL = {
    "type": "function",
    "name": "sum",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    "strict": False,
}


class Number(BaseModel):
    n: int


class Parity(BaseModel):
    parity: Literal["偶数", "奇数"]


def test_a_response(client, upstream, question):
    upstream.will("五", "四", "四")
    got = client.responses.create(model="m", input=question, instructions="短く", max_output_tokens=9)
    assert (got.output_text, got.status, got.nbest["num_candidates"]) == ("四", "completed", 5)
    assert got.usage.output_tokens == 5
    body = upstream.bodies[0]
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    assert body["max_tokens"] == 9


def test_an_answer_that_a_search_did_not_finish_says_so(fake):
    got = fake.responses.create(
        model="fake",
        input="2足す2は？",
        extra_body={"nbest": {"strategy": "beam(n=2, width=2, verifier=logprob)", "budget": {"tokens": 8}}},
    )
    assert (got.nbest["num_candidates"], got.nbest["stopped"]) == (0, "budget")
    assert (got.status, got.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert got.output_text


@pytest.mark.parametrize("model", ["m", "m@single"])
def test_a_stream_of_a_response(client, upstream, model, question):
    upstream.will("раз два три")
    with client.responses.stream(model=model, input=question) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == "раз два три"
    assert (final.output_text, final.status) == ("раз два три", "completed")
    numbers = [e.sequence_number for e in events]
    assert numbers == sorted(set(numbers))


def test_calls_of_a_response_and_their_results(client, upstream):
    upstream.will([("sum", '{"a":2}')], "?", [("sum", '{ "a": 2.0 }')])
    got = client.responses.create(model="m", input="2+2?", tools=[TOOL], tool_choice="auto")
    (call,) = got.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "sum", {"a": 2})
    assert upstream.bodies[0]["tools"][0]["function"]["name"] == "sum"
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "४"}
    upstream.will("चार")
    said = [{"role": "user", "content": "2+2?"}, call, result]
    assert client.responses.create(model="m", input=said, tools=[TOOL]).output_text == "चार"
    assert [m["role"] for m in upstream.bodies[0]["messages"]] == ["user", "assistant", "tool"]
    upstream.will([("sum", '{"a":2}')])
    with client.responses.stream(model="m", input="2+2?", tools=[TOOL]) as stream:
        assert "response.function_call_arguments.done" in [event.type for event in stream]


def test_an_image_in_a_response_reaches_the_upstream(client, upstream):
    image = "data:image/png;base64,iVBORw0KGgo="
    parts = [{"type": "input_text", "text": "это?"}, {"type": "input_image", "image_url": image}]
    upstream.will("кот")
    assert client.responses.create(model="m", input=[{"role": "user", "content": parts}]).output_text == "кот"
    (turn,) = upstream.bodies[0]["messages"]
    assert turn["content"][1] == {"type": "image_url", "image_url": {"url": image}}


def test_a_response_of_a_type(client, upstream):
    upstream.will("4", '{"n": "4"}', '{"n": 4}')
    got = client.responses.parse(model="m", input="2+2?", text_format=Number)
    assert got.output_parsed == Number(n=4)
    assert got.nbest["num_failed"] > 0


def test_a_response_that_would_have_to_be_remembered_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="send the whole conversation"):
        client.responses.create(model="m", input="?", previous_response_id="resp_1")


def test_completions_need_an_engine_that_continues_texts(client):
    with pytest.raises(openai.NotFoundError, match="POST /v1/chat/completions"):
        client.completions.create(model="m", prompt="2 + 2 =")


@pytest.fixture(scope="module")
def base_model(tmp_path_factory, upstream, connect):
    """A client of a gateway before a base model."""
    folder = tmp_path_factory.mktemp("completions")
    engine = f'openai(url="{upstream.url}", model="m", mode="completions")'
    with serving(folder, "--engine", engine, "--sample", "iid(n=5)", "--select", "vote") as base:
        yield connect(base)


def test_completions_of_a_base_model(base_model, upstream, question):
    upstream.will("五", "四", "四")
    got = base_model.completions.create(model="m", prompt=question, max_tokens=5, n=2, stop=["\n"])
    assert [c.text for c in got.choices] == ["四", "四"]
    body = upstream.bodies[0]
    assert (body["prompt"], body["max_tokens"], body["stop"], body["n"]) == (question, 5, ["\n"], 5)
    chunks = list(base_model.completions.create(model="m", prompt=question, stream=True))
    assert "".join(c.text for k in chunks for c in k.choices) in {"四", "五"}


def test_the_embedded_model_answers(embedded):
    problem = "花子はコインを１１枚持っています。花子は賞品としてコインを７枚もらいました。花子は今、コインを何枚持っていますか？"
    ask = {"model": "nbest-mini", "messages": [{"role": "user", "content": problem}], "seed": 7}
    got = embedded.chat.completions.create(**ask, n=2, logprobs=True)
    assert len(got.choices) == 2
    assert got.choices[0].message.content
    assert sum(len(r.token) for r in got.choices[0].logprobs.content) > 0
    assert got.nbest["num_candidates"] == 5
    single = ask | {"model": "nbest-mini@parallel(sampler=greedy, selector=first)"}
    chunks = list(embedded.chat.completions.create(**single, stream=True))
    assert len([c for c in chunks if c.choices and c.choices[0].delta.content]) > 3
    parsed = embedded.chat.completions.parse(**ask, response_format=Parity, max_tokens=32)
    assert isinstance(parsed.choices[0].message.parsed, Parity)


def test_the_embedded_model_reads_texts_in_parts_as_lines(embedded):
    greedy = {"model": "nbest-mini@parallel(sampler=greedy)", "max_tokens": 24}
    parts = [{"type": "text", "text": text} for text in ("Answer in digits.", "2+2?")]
    turns = [{"role": "user", "content": content} for content in (parts, "Answer in digits.\n2+2?")]
    of_parts, of_text = (embedded.chat.completions.create(**greedy, messages=[turn]) for turn in turns)
    assert of_parts.choices[0].message.content == of_text.choices[0].message.content


def test_the_embedded_model_says_that_it_has_no_tools(embedded):
    tool = {"type": "function", "function": {"name": "sum"}}
    ask = {"model": "nbest-mini", "messages": [{"role": "user", "content": "2+2?"}]}
    with pytest.raises(openai.APIStatusError, match="tools"):
        embedded.chat.completions.create(**ask, tools=[tool])
