"""What clients may not read of a configuration: addresses, files, names of variables."""

import json

import pytest

from inprocess import Answers, serving
from nbest import registry
from nbest.errors import EngineHttpError
from nbest.serve.redaction import Redaction

ENGINE = 'retry(engine=openai(url="http://gpu-7.internal:8000/v1", model="m", key_env="GPU_SEVEN_KEY"))'


@pytest.fixture
def redact():
    select = 'best(scorer=reward(url="https://rm.internal/score", key_env="REWARD_KEY"))'
    return Redaction(
        [
            registry.parse("engines", ENGINE),
            registry.parse("strategies", f"parallel(sampler=iid(n=2), selector={select})"),
            registry.parse("samplers", 'iid(n=2, table="/etc/nbest/параметры.toml")'),
        ]
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gpu-7.internal:8000/v1 answered 500: बहुत लंबा", "the upstream server answered 500: बहुत लंबा"),
        (
            "nobody answers at http://gpu-7.internal:8000/v1 (拒否)",
            "nobody answers at the upstream server (拒否)",
        ),
        ("openai/m@gpu-7.internal:8000", "openai/m"),
        ("openai/m@gpu-7.internal:8000+0123abcd", "openai/m+0123abcd"),
        ("failover(openai/m@gpu-7.internal:8000, b)", "failover(openai/m, b)"),
        ("rm.internal/score, rm.internal: да", "the upstream server, the upstream server: да"),
        ("/etc/nbest/параметры.toml, line 3: كلمة", "…, line 3: كلمة"),
        (
            "the environment variable GPU_SEVEN_KEY (key_env) holds no key",
            "an environment variable (key_env) holds no key",
        ),
        ("set REWARD_KEY", "set …"),
        ("Connect call failed ('10.0.0.7', 8000): 起動", "connection failed: 起動"),
        ("Connect call failed ('::1', 9, 0, 0)", "connection failed"),
        ("gpu-7.internal:80001 ตอบ", "gpu-7.internal:80001 ตอบ"),
        ("답은 4입니다", "답은 4입니다"),
    ],
)
def test_what_the_configuration_says_is_taken_out(redact, text, shown):
    assert redact(text) == shown


def test_every_text_of_a_json_value_is_looked_at(redact):
    value = {"games": [{"error": "rm.internal broke off"}, 3, None], "ok": True}
    assert redact.within(value) == {
        "games": [{"error": "the upstream server broke off"}, 3, None],
        "ok": True,
    }


class Named(Answers):
    name = "openai/m@127.0.0.1:9"


INSIDES = ("127.0.0.1:9", "internal", "/etc/", "_KEY")


async def test_replies_streams_and_lists_name_no_insides():
    select = "best(scorer=reward(url='http://127.0.0.1:9/internal'))"
    presets = {"quality": f"parallel(sampler=iid(n=2), selector={select})", "open": "vote(n=2)"}
    async with serving(Named(texts=["4", "5"]), select=select, presets=presets) as client:
        raw = [
            (await client.get(path))[2].decode()
            for path in ("/v1/models", "/v1/models/fake@quality", "/ready")
        ]
        for model in ("fake", "fake@quality"):
            _, _, reply = await client.post(model=model, nbest={"candidates": True})
            chunks, comments = await client.stream(
                model=model, nbest={"candidates": True, "progress": "events"}
            )
            raw += [json.dumps(reply), json.dumps(chunks), *comments]
    assert "the upstream server" in raw[3]  # the verifier was tried, and its address stood in the note
    assert not [(inside, text) for inside in INSIDES for text in raw if inside in text]
    rows = {r["id"]: r["nbest"]["strategy"] for r in json.loads(raw[0])["data"]}
    assert rows == {
        "fake": "parallel",
        "fake@quality": "parallel",
        "fake@open": "parallel(sampler=hedged(n=2), selector=vote)",
    }


@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_name_no_insides(status, stream):
    error = EngineHttpError("127.0.0.1:9/internal answered: สวัสดี", status=status)
    select = "best(scorer=reward(url='http://127.0.0.1:9/internal'))"
    async with serving(Answers(texts=[error]), select=select) as client:
        _, _, reply = await client.post(stream=stream)
    assert reply["error"]["message"].endswith("the upstream server answered: สวัสดี")
