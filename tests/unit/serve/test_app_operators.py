"""Who may see what a gateway does, and what it shows."""

import asyncio
import contextlib
import json

import pytest

from inprocess import Answers, serving
from nbest.errors import InputError
from nbest.serve.keys import hash_of
from nbest.serve.observability.hub import ObservabilityHub
from nbest.settings.gateway import Key, Operator, PriceTable, Serve, read
from processes import Nbest

CLIENT, OPERATOR = "nbest-client", "nbest-operator"
KEYS = (Key(name="مفتاح", sha256=hash_of(CLIENT), money_per_day=1.0),)
OPERATORS = (Operator(name="運用", sha256=hash_of(OPERATOR)),)
PRICES = {"policy": PriceTable(prompt=1000.0, completion=10_000.0)}
WITH_BOTH = Serve(keys=KEYS, operators=OPERATORS, prices=PRICES)


def bearer(key):
    return {"Authorization": f"Bearer {key}"} if key else {}


@pytest.mark.parametrize("path", ["/admin/activity", "/metrics"])
@pytest.mark.parametrize(
    ("serve", "key", "status"),
    [
        (WITH_BOTH, OPERATOR, 200),
        (WITH_BOTH, CLIENT, 403),
        (WITH_BOTH, "nbest-other", 401),
        (WITH_BOTH, None, 401),
        (Serve(keys=KEYS), CLIENT, 403),
        (Serve(keys=KEYS), None, 403),
        (Serve(operators=OPERATORS), None, 401),
        (Serve(operators=OPERATORS), OPERATOR, 200),
    ],
)
async def test_operators_see_it_and_nobody_else(path, serve, key, status):
    async with serving(Answers(), serve=serve) as client:
        assert (await client.get(path, headers=bearer(key)))[0] == status


async def test_without_keys_and_operators_metrics_are_open_and_the_rest_is_closed():
    async with serving(Answers()) as client:
        assert (await client.get("/metrics"))[0] == 200
        assert (await client.get("/admin/activity"))[0] == 403


async def test_an_operator_s_key_draws_no_answers():
    async with serving(Answers(), serve=WITH_BOTH) as client:
        assert (await client.post(headers=bearer(OPERATOR)))[0] == 401


async def activity(client):
    status, _, body = await client.get("/admin/activity", headers=bearer(OPERATOR))
    assert status == 200
    return json.loads(body), body.decode()


async def test_it_shows_live_requests_and_spend_by_key_language_and_strategy():
    engine = Answers(texts=["answer: 秘密"], delay_s=1.0)
    async with serving(engine, serve=WITH_BOTH) as client:
        hub = ObservabilityHub(client.service, config={})
        body = {"messages": [{"role": "user", "content": "२ और २ का योग कितना होता है?"}], "max_tokens": 10}
        asking = asyncio.ensure_future(client.post(headers=bearer(CLIENT), **body))
        during, text = await activity(client)
        while not during["at_work"] and not asking.done():  # a busy machine takes its time
            await asyncio.sleep(0.01)
            during, text = await activity(client)
        assert (await asking)[0] == 200
        await asyncio.to_thread(hub.close)
        after, _ = await activity(client)

    (live,) = during["live"]
    assert (live["key"], live["strategy"], live["model"]) == ("مفتاح", "parallel", "fake")
    assert live["seconds"] > 0
    assert "योग" not in text
    assert "秘密" not in text
    assert (during["ready"], during["at_work"], during["num_live"]) == (True, 1, 1)
    assert after["live"] == []
    spent = (3 * 1000 + 6 * 10_000) / 1e6
    total = {"requests": 1, "errors": 0, "input": 3, "output": 6, "calls": 1, "cost": pytest.approx(spent)}
    assert after["by_key"] == [{"name": "مفتاح", **total}]
    assert after["by_language"] == [{"name": "hi", **total}]
    assert after["by_strategy"] == [{"name": "parallel", **total}]
    assert after["money_today"] == [{"name": "مفتاح", "spent": pytest.approx(spent), "budget": 1.0}]


async def test_a_key_whose_money_is_spent_gets_no_more_answers_that_day():
    serve = Serve(
        keys=(Key(name="鍵", sha256=hash_of(CLIENT), money_per_day=0.1),), operators=OPERATORS, prices=PRICES
    )
    async with serving(Answers(), serve=serve) as client:
        replies = [await client.post(headers=bearer(CLIENT), max_tokens=1) for _ in range(4)]
        shown, _ = await activity(client)
    assert [r[0] for r in replies] == [200, 200, 429, 429]  # 0.063 each: the second is the last one alone
    error = replies[-1][2]["error"]
    assert (error["code"], error["type"]) == ("insufficient_quota", "insufficient_quota")
    assert shown["money_today"] == [{"name": "鍵", "spent": pytest.approx(0.126), "budget": 0.1}]


async def test_requests_at_once_do_not_spend_more_than_the_day_has():
    serve = Serve(keys=(Key(name="鍵", sha256=hash_of(CLIENT), money_per_day=0.2),), prices=PRICES)
    async with serving(Answers(delay_s=0.1), serve=serve) as client:
        replies = await asyncio.gather(
            *(client.post(headers=bearer(CLIENT), max_tokens=2) for _ in range(30))
        )
        spent = client.service.allowances.spending.today["鍵"]
    assert (
        sum(r[0] == 200 for r in replies) == 2
    )  # 0.069 is set aside for each: three draws, each with its prompt
    assert spent <= 0.2


async def test_a_client_that_leaves_pays_for_what_was_drawn():
    async with serving(Answers(delay_s=5.0), serve=WITH_BOTH) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.4):
                await client.post(headers=bearer(CLIENT))
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if not client.service.activity.view()["num_live"]:
                break
        spent = client.service.allowances.spending.today["مفتاح"]
    assert spent > 3 * 10 * 10_000 / 1e6  # three draws, of 50 tokens a second


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '[[serve.keys]]\nname = "a"\nsha256 = "{a}"\nmoney_per_day = 1\n',
            r"line 4: money_per_day needs prices: add the table \[serve.prices.policy\]",
        ),
        (
            '[[serve.keys]]\nname = "a"\nsha256 = "{a}"\n[[serve.operators]]\nname = "a"\nsha256 = "{a}"\n',
            "line 6: two keys have the same sha256",
        ),
        (
            '[serve]\nredis = "http://:geheim@h"\n',
            "line 2: redis must begin with redis:// or rediss:// or unix://$",
        ),
    ],
)
def test_what_a_configuration_may_not_say(tmp_path, text, says):
    file = tmp_path / "gateway.toml"
    file.write_text(text.replace("{a}", "a" * 64), encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read(str(file), {})


async def test_nbest_top_shows_it(tmp_path):
    async with serving(Answers(), serve=WITH_BOTH) as client:
        hub = ObservabilityHub(client.service, config={})
        await client.post(headers=bearer(CLIENT))
        await asyncio.to_thread(hub.close)
        code, out, err = await looked(tmp_path, client.base, OPERATOR)
        assert code == 0, err
        for said in ("ready", "0 requests under way", "مفتاح", "parallel", "0.063"):
            assert said in out
        code, out, _ = await looked(tmp_path, client.base + "/v1/", OPERATOR, "--json")
        assert json.loads(out)["by_key"][0]["requests"] == 1
        code, _, err = await looked(tmp_path, client.base, CLIENT)
        assert (code, "needs an operator's key, and a client's was sent" in err) == (2, True)


@pytest.mark.parametrize(
    ("url", "says"),
    [("localhost:8080", "is no address of a gateway"), ("http://127.0.0.1:1", "no gateway answers at")],
)
async def test_nbest_top_says_what_is_wrong_with_an_address(tmp_path, url, says):
    code, _, err = await looked(tmp_path, url, OPERATOR)
    assert (code, says in err) == (2, True)


@pytest.mark.parametrize("key", ["nbest-…", "nbest-a\nb", "ключ"])
async def test_nbest_top_refuses_a_key_that_can_be_none(tmp_path, key):
    code, _, err = await looked(tmp_path, "http://127.0.0.1:1", key)
    assert (code, "NBEST_OPERATOR_KEY holds characters that no key has" in err) == (2, True)


async def looked(folder, url, key, *flags):
    process = Nbest(folder, "top", url, "--once", *flags, env={"NBEST_OPERATOR_KEY": key, "COLUMNS": "160"})
    return await asyncio.to_thread(process.wait)
