"""Whatever a client writes as a strategy, it gets an answer or learns what is wrong with it; the gateway never fails."""

import pytest

from inprocess import Answers, serving
from nbest import registry
from nbest.registry.plugins import fields_of

KINDS = ("strategies", "samplers", "selectors", "scorers", "utilities", "searches")
WRONG = (
    "-1",
    "2.5",
    "10**9",
    "nan",
    "1e999",
    "'अ'",
    "''",
    "None",
    "[]",
    "['字', 3]",
    "{'ключ': 1}",
    "iid(n=2)",
    "judge",
    f"'{'あ' * 300}'",
    r"'\x00'",
)
NAMES = [(kind, name) for kind in KINDS for name in registry.names(kind)]


async def status_of(client, **how):
    """Of a request; an answer that is not there in time is as good as one."""
    status, _, reply = await client.post(**how)
    assert status in {200, 400, 404, 504}, (how, reply)
    if status != 200:
        assert reply["error"]["message"]
        assert "internal error" not in reply["error"]["message"]
    return status


@pytest.mark.parametrize(("kind", "name"), NAMES)
async def test_no_parameter_of_a_wrong_type_or_size_fails_the_gateway(kind, name):
    async with serving(Answers(texts=["4", "5"])) as client:
        for field in fields_of(registry.load(kind, name)):
            for value in WRONG:
                await status_of(client, nbest={"strategy": f"{name}({field}={value})", "deadline": 2})


@pytest.mark.parametrize(
    "spec",
    [
        r"random(n='\ud83d')",
        r"vote(n=2, extract='\U0000d83d')",
        r"parallel(sampler=prompts(variants=['\udc00 {prompt}']))",
        "vote(" * 150,
        "(" * 900,
        "字" * 300,
        "a" * 1001,
        "vote(n=2",
        "vote(n=2)(n=3)",
        "vote(**{'n': 2})",
        "vote(n=__import__('os'))",
        "lambda: 1",
        "مرحبا(n=2)",
        "\x00",
        "vote\n(n=2,\n zzz=3)",
    ],
)
async def test_what_is_no_spec_is_the_clients_fault(spec):
    async with serving(Answers(texts=["4"])) as client:
        assert await status_of(client, nbest={"strategy": spec}) == 400
        assert await status_of(client, model=f"fake@{spec}") == 400


@pytest.mark.parametrize("name", ["あ" * 300, "m" * 100_000, "@", "@@", "fake@", "\x00", "👍🏽" * 200, " a "])
async def test_a_model_that_is_not_there_is_the_clients_fault_whatever_its_name(name):
    async with serving(Answers(texts=["4"])) as client:
        status = await status_of(client, model=name)
        assert status in {400, 404}


@pytest.mark.parametrize(
    "body",
    [
        {"user": "字" * 300},
        {"tools": [{"type": "function", "function": {"name": "f" * 300, "parameters": {"type": 3}}}]},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "名" * 300, "schema": {"type": "no"}},
            }
        },
        {"tool_choice": {"type": "function", "function": {"name": "关" * 300}}},
        {"logit_bias": {"не число": 1}},
        {"metadata": {"ключ" * 100: "値"}},
        {"stop": ["止" * 300] * 4},
        {"nbest": {"task": "任务" * 150, "language": "th"}},
        {"nbest": {"language": "x" * 300}},
    ],
)
async def test_long_names_and_odd_types_in_a_body(body):
    async with serving(Answers(texts=["4"])) as client:
        await status_of(client, **body)
