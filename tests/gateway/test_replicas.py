"""Two gateways in processes of their own, which share a key's limits through a real Redis server."""

import concurrent.futures
import contextlib
import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from gateway.process import running
from nbest.serve.keys import new_key
from redis_server import needs_redis, redis_server

pytestmark = needs_redis
CLIENT, CLIENT_TABLE = new_key("مفتاح")
OPERATOR, OPERATOR_TABLE = new_key("運用", table="operators")
ASK = {"model": "fake", "messages": [{"role": "user", "content": "2足す2は？"}], "max_tokens": 4}


@contextlib.contextmanager
def replicas(folder, url, limits):
    """Addresses of two gateways."""
    text = f'engine = "fake"\nsample = "iid(n=2)"\n[serve]\nredis = "{url}"\n{CLIENT_TABLE}{limits}\n{OPERATOR_TABLE}'
    text += "[serve.prices.policy]\nprompt = 0\ncompletion = 1_000_000\n"
    with contextlib.ExitStack() as stack:
        bases = []
        for name in ("first", "second"):
            place = folder / name
            place.mkdir()
            (place / "gateway.toml").write_text(text, encoding="utf-8")
            base, _ = stack.enter_context(running(place, "--config", place / "gateway.toml"))
            bases.append(base)
        yield bases


def asked(base):
    headers = {"Authorization": f"Bearer {CLIENT}", "Content-Type": "application/json"}
    request = Request(f"{base}/chat/completions", json.dumps(ASK).encode(), headers)
    try:
        with urlopen(request, timeout=30) as reply:
            return 200, json.loads(reply.read())
    except HTTPError as e:
        return e.code, json.loads(e.read())


def asked_at_once(bases, num):
    with concurrent.futures.ThreadPoolExecutor(num) as pool:
        return list(pool.map(lambda i: asked(bases[i % len(bases)]), range(num)))


def activity(base):
    address = base.removesuffix("/v1") + "/admin/activity"
    request = Request(address, headers={"Authorization": f"Bearer {OPERATOR}"})
    with urlopen(request, timeout=10) as reply:
        return json.loads(reply.read())


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def test_requests_a_minute_are_those_of_both(tmp_path, redis):
    with replicas(tmp_path, redis.url, "requests_per_minute = 6") as bases:
        replies = asked_at_once(bases, 20)
        assert sum(status == 200 for status, _ in replies) == 6
        assert {status for status, _ in replies} == {200, 429}
        assert all(activity(base)["redis"] for base in bases)


def test_money_is_that_of_both_and_outlives_their_processes(tmp_path, redis):
    redis.stop()
    redis.start()
    with replicas(tmp_path, redis.url, "money_per_day = 60") as bases:
        spent = 0.0
        for i in range(20):
            status, reply = asked(bases[i % 2])
            if status == 200:
                spent += reply["nbest"]["cost"]
        assert reply["error"]["code"] == "insufficient_quota"
        assert 60 <= spent < 60 + 8
        shown = [activity(base)["money_today"][0]["spent"] for base in bases]
        assert shown == pytest.approx([spent, spent])
    for name in ("first", "second"):
        (tmp_path / name).rename(tmp_path / f"{name} before")
    with replicas(tmp_path, redis.url, "money_per_day = 60") as bases:
        assert [asked(base)[0] for base in bases] == [429, 429]


def test_without_redis_each_counts_for_itself_and_answers(tmp_path, redis):
    with replicas(tmp_path, redis.url, "requests_per_minute = 6") as bases:
        redis.stop()
        try:
            replies = asked_at_once(bases, 20)
        finally:
            redis.start()
        assert sum(status == 200 for status, _ in replies) == 12
        log = (tmp_path / "first" / "gateway.log").read_text(encoding="utf-8")
        assert log.count("Redis does not answer") == 1
