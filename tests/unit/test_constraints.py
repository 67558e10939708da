"""What a client says about its draws reaches them, and what it demands is held against them."""

import json

import pytest

from nbest import constraints
from nbest.errors import InputError
from nbest.types import (
    Completion,
    Message,
    Overrides,
    Prompt,
    Request,
    SamplingParams,
    ToolCall,
    replace,
)

SCHEMA = {
    "type": "object",
    "properties": {"الجواب": {"type": "integer"}},
    "required": ["الجواب"],
    "additionalProperties": False,
}


def prompt(**said):
    return Prompt(id="p", messages=(Message(role="user", content="何？"),), overrides=Overrides(**said))


def request(warmth=0.7, /, *, role="policy", **said):
    params = SamplingParams(temperature=warmth, max_tokens=100, stop=("\n",))
    return Request(prompt=prompt(**said), role=role, params=params)


def test_a_temperature_warms_stochastic_draws_and_leaves_greedy_ones():
    drawn = constraints.applied([request(0.0, temperature=1.2), request(0.7, temperature=1.2)])
    assert [r.params.temperature for r in drawn] == [0.0, 1.2]


def test_a_temperature_of_zero_does_not_flatten_the_schedule():
    asked = request(0.7, temperature=0.0)
    for pool in ([asked, asked], [replace(asked, n=2)], [replace(asked, is_part=True)]):
        assert {r.params.temperature for r in constraints.applied(pool)} == {0.7}


def test_a_temperature_of_zero_holds_for_a_single_draw():
    [drawn] = constraints.applied([request(0.7, temperature=0.0)])
    assert drawn.params.temperature == 0.0


def test_a_ladder_keeps_its_rungs():
    drawn = constraints.applied([request(t, temperature=1.5) for t in (0.3, 0.6)])
    assert [r.params.temperature for r in drawn] == [0.3, 0.6]


def test_max_tokens_is_the_clients_and_caps_parts():
    more = Request(prompt=prompt(max_tokens=500), params=SamplingParams(max_tokens=100))
    part = Request(prompt=prompt(max_tokens=500), params=SamplingParams(max_tokens=100), is_part=True)
    assert [r.params.max_tokens for r in constraints.applied([more, part])] == [500, 100]


def test_stops_are_added_and_top_p_min_p_hold_for_stochastic_draws_only():
    cold, warm = constraints.applied(
        [
            request(0.0, stop=("。", "\n"), top_p=0.5, min_p=0.2),
            request(0.7, stop=("。",), top_p=0.5, min_p=0.2),
        ]
    )
    assert cold.params.stop == ("\n", "。")
    assert (cold.params.top_p, warm.params.top_p, warm.params.min_p) == (1.0, 0.5, 0.2)


def test_a_fusor_keeps_its_temperature():
    [drawn] = constraints.applied([request(0.3, role="fusor", temperature=1.0, top_p=0.1)])
    assert (drawn.params.temperature, drawn.params.top_p) == (0.3, 1.0)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"الجواب": 4}', True),
        ('{"الجواب": "4"}', False),
        ('{"الجواب": 4', False),
        ("四", False),
        ("{}", False),
    ],
)
async def test_answers_are_held_against_the_schema(text, fits):
    asked = prompt(body={"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}})
    problem = await constraints.constraint_violation(asked, Completion(text=text))
    assert (problem is None) is fits
    if problem:
        assert "response_format" in problem


async def test_json_object_wants_an_object_and_text_wants_nothing():
    obj = prompt(body={"response_format": {"type": "json_object"}})
    assert await constraints.constraint_violation(obj, Completion(text='{"a": 1}')) is None
    assert await constraints.constraint_violation(obj, Completion(text="[1]"))
    assert (
        await constraints.constraint_violation(
            prompt(body={"response_format": {"type": "text"}}), Completion(text="x")
        )
        is None
    )


async def test_a_tool_call_is_no_answer_yet():
    obj = prompt(body={"response_format": {"type": "json_object"}})
    call = ToolCall(id="c", name="f", arguments="{}")
    assert await constraints.constraint_violation(obj, Completion(text="", tool_calls=(call,))) is None


@pytest.mark.parametrize(
    "schema",
    [{"type": "no such type"}, {"$ref": "http://127.0.0.1:1/secret"}, 3, "[", {"$ref": "file:///etc/passwd"}],
)
async def test_a_schema_that_cannot_be_used_or_reaches_out_is_refused(schema):
    asked = prompt(body={"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}})
    with pytest.raises(InputError, match="response_format"):
        await constraints.check(asked)


async def test_a_runaway_pattern_ends():
    schema = {"type": "string", "pattern": "^(a+)+$"}
    asked = prompt(body={"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}})
    assert await constraints.constraint_violation(asked, Completion(text=json.dumps("a" * 5000 + "!")))


def tool(name, **more):
    return {"type": "function", "function": {"name": name, **more}}


def called(*names, arguments="{}"):
    calls = (ToolCall(id=f"c{i}", name=name, arguments=arguments) for i, name in enumerate(names))
    return Completion(text="", tool_calls=tuple(calls))


F, G = tool("f"), tool("g")
TEXT = Completion(text="四")
NAMED = {"type": "function", "function": {"name": "g"}}


@pytest.mark.parametrize(
    ("body", "fits", "does_not"),
    [
        ({"tool_choice": "required"}, [called("f"), called("f", "g")], [TEXT]),
        ({"tool_choice": NAMED}, [called("g"), called("g", "g")], [TEXT, called("f"), called("g", "f")]),
        ({"tool_choice": "none"}, [TEXT], [called("f")]),
        ({"tool_choice": "auto"}, [TEXT, called("f")], []),
        ({"parallel_tool_calls": False}, [TEXT, called("f")], [called("f", "g")]),
        ({"parallel_tool_calls": True}, [called("f", "f")], []),
        ({}, [TEXT, called("f", "g")], [called("h"), called("f", "天気")]),
    ],
)
async def test_answers_are_held_against_what_is_said_of_tools(body, fits, does_not):
    field = next(iter(body), "tools")
    asked = prompt(body={"tools": [F, G], **body})
    assert constraints.has_format(asked)
    assert [await constraints.constraint_violation(asked, c) for c in fits] == [None] * len(fits)
    for c in does_not:
        assert (await constraints.constraint_violation(asked, c)).startswith(f"does not fit {field}: ")


async def test_functions_are_the_elder_form_of_tools():
    asked = prompt(body={"functions": [{"name": "f"}, {"name": "g"}], "function_call": {"name": "g"}})
    assert await constraints.constraint_violation(asked, called("g")) is None
    assert await constraints.constraint_violation(asked, called("f"))
    assert await constraints.constraint_violation(prompt(body={"functions": [{"name": "f"}]}), called("h"))


async def test_without_tools_nothing_is_demanded_of_calls():
    asked = prompt(body={"tool_choice": "auto"})
    assert not constraints.has_format(asked)
    assert await constraints.constraint_violation(asked, called("h", "h")) is None


@pytest.mark.parametrize(("strict", "fits"), [(True, False), (False, True), (None, True)])
async def test_arguments_of_a_strict_function_are_held_against_its_parameters(strict, fits):
    asked = prompt(body={"tools": [tool("f", parameters=SCHEMA, strict=strict), G]})
    assert await constraints.constraint_violation(asked, called("f", arguments='{"الجواب": 4}')) is None
    for wrong in ('{"الجواب": "4"}', "{}", ""):
        problem = await constraints.constraint_violation(asked, called("g", "f", arguments=wrong))
        assert problem is None if fits else problem.startswith("does not fit the parameters of 'f': ")


async def test_a_call_is_held_against_the_tools_under_a_format_too():
    asked = prompt(body={"tools": [F], "response_format": {"type": "json_object"}})
    assert await constraints.constraint_violation(asked, called("f")) is None
    assert "tools" in await constraints.constraint_violation(asked, called("h"))
    assert "response_format" in await constraints.constraint_violation(asked, TEXT)


async def test_parameters_that_cannot_be_used_are_refused_where_they_are_strict():
    broken = {"$ref": "http://127.0.0.1:1/secret"}
    await constraints.check(prompt(body={"tools": [tool("f", parameters=broken)]}))
    with pytest.raises(InputError, match="tools holds no usable JSON schema"):
        await constraints.check(prompt(body={"tools": [tool("f", parameters=broken, strict=True)]}))
