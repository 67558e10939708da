"""Other clients that people have, unchanged but for their base URL: run by make test-clients."""

import json
import os
import subprocess
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parent / "clients"
INSTALLED = Path(os.environ.get("NBEST_CLIENTS", ""))
pytestmark = pytest.mark.skipif(
    "NBEST_CLIENTS" not in os.environ, reason="needs other clients: make test-clients"
)

QUESTION = "東京の天気は？ ما الطقس؟ मौसम?"
SCHEMA = {
    "type": "object",
    "properties": {"число": {"type": "integer"}, "слово": {"type": "string"}},
    "required": ["число", "слово"],
    "additionalProperties": False,
}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "天気", "parameters": CITY}}
CALLS = (
    [("weather", '{"city": "القاهرة"}')],
    [("weather", '{"city": "東京"}')],
    "雪",
    [("weather", '{"city":"\\u6771\\u4eac"}')],
    [("weather", '{ "city" : "東京" }')],
)
JSONS = (
    "четыре",
    '{"число": "4", "слово": "четыре"}',
    '{"число": 4, "слово": "четыре"}',
    "[]",
    '{"число": 4}',
)
WORDS = ("五 です 。", "四 です 。", "四 です 。", "五 です 。", "四 です 。")


def said_to(body):
    """What the upstream draws: calls where there are tools, JSON where there is a schema."""
    if body.get("n", 1) == 1:
        return WORDS[1:]
    return CALLS if "tools" in body else JSONS if "response_format" in body else WORDS


def run(command, *, env):
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env=os.environ | env
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=["openai_js", "langchain", "litellm"])
def got(request, address, upstream):
    """What a client made of its gateway's answers."""

    def says(body):
        upstream.reasoning = "二 足す 二" if "(think)" in str(body["messages"]) else None
        return said_to(body)

    upstream.will(says_to=says)
    said = (address, QUESTION, json.dumps([TOOL]), json.dumps(SCHEMA))
    python = INSTALLED / ("litellm" if request.param == "litellm" else "python") / "bin"
    if request.param == "openai_js":
        modules = INSTALLED / "js" / "node_modules"
        return run([python / "node", CLIENTS / "openai_js.cjs", *said], env={"NODE_PATH": str(modules)})
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"}
    return run([python / "python", "-W", "ignore", CLIENTS / f"{request.param}_client.py", *said], env=env)


def test_streams(got):
    assert "".join(got["stream"]) == "四 です 。"
    assert len(got["stream"]) >= 3
    assert got["stream_tokens"] == 3
    assert got["pool_stream"] == "四 です 。"


def test_tools(got):
    assert got["calls"] == got["streamed_calls"] == [["weather", {"city": "東京"}]]
    assert got["after_tool"] == "四 です 。"


def test_schema(got):
    assert got["schema"] == {"число": 4, "слово": "четыре"}


def test_reasoning(got):
    if "reasoning" not in got:
        pytest.skip("this client has no word for them")
    assert got["reasoning"] == "二 足す 二"
    assert [
        [kind, reasoning.replace(" ", ""), text] for kind, reasoning, text in got["streamed_reasoning"]
    ] == [["reasoning", "二足す二", "四 です 。"]] * 2


def test_several_answers(got):
    assert got["n"] == ["四 です 。"] * 3
    assert got["tokens"] == 15


def test_responses(got):
    assert got["response"] == "四 です 。"


def test_errors_are_the_clients_own(got):
    assert got["error"] == [True, "model_not_found"]
