"""Tools, JSON schemas and images through the official client."""

import json

import openai
import pytest
from pydantic import create_model

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "天気",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
TOKYO = '{"city": "東京", "days": 2}'
POOL = (
    [("weather", '{"city": "القاهرة", "days": 2}')],
    [("weather", TOKYO)],
    "มอสโก",
    [("weather", '{"days":2,"city":"\\u6771\\u4eac"}')],
    [("weather", '{ "days" : 2.0, "city" : "東京" }')],
)
"""Three say the same, each in its own way."""


Sum = create_model("Sum", число=int, слово=str)
FITS, ALSO_FITS = '{"число": 4, "слово": "четыре"}', '{"слово": "четыре", "число": 4}'
LACKS, IS_NO_JSON, IS_OF_ANOTHER_TYPE = '{"число": 4}', "четыре", '{"число": "4", "слово": "четыре"}'


def ask(text="東京の天気は？", **more):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def calls_of(message):
    return [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or ()]


def test_calls_are_voted_on_by_name_and_canonical_arguments(client, upstream):
    upstream.will(*POOL)
    got = client.chat.completions.create(**ask(tools=[WEATHER], tool_choice="auto"))
    (choice,) = got.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    (call,) = choice.message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == ("call_1_0", "weather", TOKYO)
    assert upstream.bodies[0]["tools"] == [WEATHER]
    assert upstream.bodies[0]["tool_choice"] == "auto"


def test_the_text_answers_where_most_candidates_call_nothing(client, upstream):
    upstream.will(POOL[0], "晴れ", "晴れ", POOL[1], "晴れ")
    choice = client.chat.completions.create(**ask(tools=[WEATHER])).choices[0]
    assert (choice.finish_reason, choice.message.content, choice.message.tool_calls) == ("stop", "晴れ", None)


@pytest.mark.parametrize("model", ["m", "m@single"])
def test_a_stream_of_calls_adds_up(client, upstream, model):
    upstream.will(POOL[1])
    with client.chat.completions.stream(**ask(model=model, tools=[WEATHER])) as stream:
        kinds = [event.type for event in stream]
        choice = stream.get_final_completion().choices[0]
    assert calls_of(choice.message) == [("weather", json.loads(TOKYO))]
    assert choice.finish_reason == "tool_calls"
    assert "tool_calls.function.arguments.done" in kinds


def test_parallel_calls_stay_together(client, upstream):
    two = [("weather", TOKYO), ("weather", '{"city": "Москва", "days": 1}')]
    same = [("weather", '{"days": 1, "city": "Москва"}'), ("weather", TOKYO)]
    upstream.will([("weather", TOKYO)], two, "?", same, two)
    got = client.chat.completions.create(**ask(tools=[WEATHER], parallel_tool_calls=True))
    assert calls_of(got.choices[0].message) == [(name, json.loads(a)) for name, a in two]
    assert len({c.id for c in got.choices[0].message.tool_calls}) == 2
    assert upstream.bodies[0]["parallel_tool_calls"] is True
    chunks = client.chat.completions.create(**ask(tools=[WEATHER]), stream=True)
    deltas = [d for k in chunks for c in k.choices for d in c.delta.tool_calls or ()]
    assert {d.index for d in deltas} == {0, 1}


def test_a_conversation_with_results_of_tools(client, upstream):
    upstream.will(POOL[1])
    turns = ask()["messages"]
    message = client.chat.completions.create(**ask(tools=[WEATHER])).choices[0].message
    turns += [
        message,
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": '{"天気": "雪"}'},
    ]
    upstream.will("雪です。")
    got = client.chat.completions.create(model="m", messages=turns, tools=[WEATHER])
    assert got.choices[0].message.content == "雪です。"
    user, called, result = upstream.bodies[0]["messages"]
    assert user == turns[0]
    assert called["tool_calls"] == [c.model_dump() for c in message.tool_calls]
    assert result == turns[2]


def test_a_function_that_must_be_called(client, upstream):
    upstream.will(POOL[1])
    named = {"type": "function", "function": {"name": "weather"}}
    client.chat.completions.create(**ask(tools=[WEATHER], tool_choice=named))
    assert upstream.bodies[0]["tool_choice"] == named
    client.chat.completions.create(**ask(tools=[WEATHER], tool_choice="required"))
    assert upstream.bodies[1]["tool_choice"] == "required"
    with pytest.raises(openai.BadRequestError, match="tools is empty"):
        client.chat.completions.create(**ask(tool_choice="required"))


def test_a_call_with_broken_arguments_costs_its_candidate(client, upstream):
    upstream.will([("weather", '{"city": ')], POOL[1], [("weather", "[]")], POOL[1], POOL[1])
    got = client.chat.completions.create(**ask(tools=[WEATHER]))
    assert calls_of(got.choices[0].message) == [("weather", json.loads(TOKYO))]
    assert got.nbest["num_failed"] == 2


TIME = {"type": "function", "function": {"name": "time"}}
NOW = [("time", "{}")]


@pytest.mark.parametrize(
    ("more", "pool", "wanted"),
    [
        ({"tool_choice": "required"}, ["晴れ", "晴れ", "晴れ", POOL[1], POOL[1]], ["weather"]),
        (
            {"tool_choice": {"type": "function", "function": {"name": "time"}}},
            [POOL[1], POOL[1], "晴れ", "晴れ", NOW],
            ["time"],
        ),
        ({"tool_choice": "none"}, [POOL[1], POOL[1], POOL[1], "晴れ", "雪"], []),
        ({"parallel_tool_calls": False}, [POOL[1] * 2, POOL[1] * 2, POOL[1] * 2, POOL[1], NOW], ["weather"]),
        ({}, [[("snow", "{}")], [("snow", "{}")], [("snow", "{}")], NOW, NOW], ["time"]),
        ({}, [[("weather", "{}")], [("weather", "{}")], [("weather", "{}")], POOL[1], POOL[1]], ["weather"]),
    ],
)
def test_candidates_that_do_not_call_as_was_asked_are_set_aside(client, upstream, more, pool, wanted):
    upstream.will(*pool)
    got = client.chat.completions.create(**ask(tools=[WEATHER, TIME], **more))
    assert [name for name, _ in calls_of(got.choices[0].message)] == wanted
    assert got.nbest["num_failed"] == (4 if wanted == ["time"] and more else 3)
    assert got.nbest["notes"] == []


@pytest.mark.parametrize(("said", "field"), [("晴れ", "tool_choice"), ([("snow", "{}")], "tools")])
def test_where_no_candidate_calls_as_was_asked_the_first_is_given_and_a_note(client, upstream, said, field):
    upstream.will(said)
    asked = ask(tools=[WEATHER], tool_choice="required")
    got = client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion()
    for message in (got.choices[0].message, streamed.choices[0].message):
        assert (calls_of(message) or message.content) == ([("snow", {})] if field == "tools" else said)
    assert any(f"does not fit {field}" in note for note in got.nbest["notes"])


def test_candidates_that_violate_the_schema_are_set_aside(client, upstream):
    upstream.will(LACKS, IS_NO_JSON, LACKS, FITS, IS_OF_ANOTHER_TYPE)
    wanted = {"type": "json_schema", "json_schema": {"name": "sum", "schema": Sum.model_json_schema()}}
    got = client.chat.completions.create(**ask("2+2?", response_format=wanted))
    assert got.choices[0].message.content == FITS
    assert got.nbest["num_failed"] == 4
    assert upstream.bodies[0]["response_format"] == wanted


def test_any_json_will_do_where_no_schema_is_said(client, upstream):
    upstream.will("четыре", "[4]", "четыре", '{"n": 4}', "четыре")
    got = client.chat.completions.create(**ask("2+2?", response_format={"type": "json_object"}))
    assert got.choices[0].message.content == '{"n": 4}'


def test_answers_are_parsed_into_types(client, upstream):
    upstream.will(IS_NO_JSON, ALSO_FITS, FITS, LACKS, IS_OF_ANOTHER_TYPE)
    got = client.chat.completions.parse(**ask("2+2?"), response_format=Sum)
    assert got.choices[0].message.parsed == Sum(число=4, слово="четыре")
    with client.chat.completions.stream(**ask("2+2?"), response_format=Sum) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == Sum(число=4, слово="четыре")


def test_arguments_are_parsed_into_types(client, upstream):
    upstream.will([("Sum", FITS)])
    got = client.chat.completions.parse(**ask("2+2?"), tools=[openai.pydantic_function_tool(Sum)])
    assert got.choices[0].message.tool_calls[0].function.parsed_arguments == Sum(число=4, слово="четыре")


def test_images_reach_the_upstream(client, upstream):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}
    parts = [{"type": "text", "text": "รูปนี้คืออะไร"}, image]
    upstream.will("แมว")
    got = client.chat.completions.create(model="m", messages=[{"role": "user", "content": parts}])
    assert got.choices[0].message.content == "แมว"
    assert upstream.bodies[0]["messages"] == [{"role": "user", "content": parts}]
