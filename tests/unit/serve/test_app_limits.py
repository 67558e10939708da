"""Clients that leave, wait, are too many or have no key; readiness, reload, and the sinks of a request."""

import asyncio
import json
import time
import urllib.request

import pytest

from inprocess import QUESTIONS, Answers, serving
from nbest.engines.fake import Fake
from nbest.serve import streaming
from nbest.serve.gateway import Gateway
from nbest.serve.keys import hash_of
from nbest.settings.gateway import Key, Serve, ServeSettings


async def test_a_client_that_leaves_cancels_the_work():
    engine = Answers(delay_s=30)
    contexts = []
    async with serving(engine, contexts=contexts) as client:
        for stream in (False, True):
            task = asyncio.ensure_future((client.stream if stream else client.post)())
            while len(engine.requests) < 1 + stream:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            task.cancel()
            async with asyncio.timeout(1):
                while engine.num_cancelled < 1 + stream:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert client.service.admission.num_at_work == 0
    assert [v.status for v in contexts] == [499, 499]


async def test_a_client_that_reads_no_more_gives_its_place_back(monkeypatch):
    monkeypatch.setattr(streaming, "STALLED_S", 0.2)
    engine, contexts = Answers(texts=["あ" * 4_000_000]), []
    async with serving(
        engine, serve=Serve(concurrency=1), sample="greedy", select="first", contexts=contexts
    ) as client:
        address = client.base.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(*address, limit=1024)
        body = json.dumps(
            {"model": "fake", "stream": True, "messages": [{"role": "user", "content": "長く"}]}
        )
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        while not engine.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        engine.texts = ["4"]
        assert (await client.post())[0] == 200
        assert contexts[0].status == 499
        writer.transport.abort()


async def test_a_stream_that_waits_for_a_place_says_that_it_lives(monkeypatch):
    monkeypatch.setattr(streaming, "QUIET_S", 0.05)
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.05)
    engine = Answers(delay_s=0.5)
    async with serving(engine, serve=Serve(concurrency=1)) as client:
        first = asyncio.ensure_future(client.post())
        while client.service.admission.num_at_work < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        body = {"model": "fake", "stream": True, "messages": [{"role": "user", "content": "待つ"}]}
        async with client.session.post(client.base + "/v1/chat/completions", json=body) as reply:
            assert b"assistant" in await reply.content.readuntil(b"\n\n")
            assert await reply.content.readuntil(b"\n\n") == b": \n\n"
            assert len(engine.requests) == 1  # it waits still
            assert (await reply.read()).endswith(b"data: [DONE]\n\n")
        assert (await first)[0] == 200
        assert client.service.admission.num_at_work == 0


@pytest.mark.parametrize(
    ("serve", "code", "status"),
    [
        (Serve(concurrency=1, queue=0), "overloaded", 429),
        (Serve(concurrency=1, deadline=0.1), "deadline", 504),
    ],
)
async def test_a_stream_that_gets_no_place_has_a_plain_status(serve, code, status):
    engine = Answers(delay_s=60)
    async with serving(engine, serve=serve) as client:
        first = asyncio.ensure_future(client.post(nbest={"deadline": 30}))
        while client.service.admission.num_at_work < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        found, _, reply = await client.post(stream=True)
        assert (found, reply["error"]["code"]) == (status, code)
        assert (client.service.admission.num_at_work, client.service.admission.num_waiting) == (1, 0)
        first.cancel()


async def test_a_client_that_leaves_the_queue_of_streams_leaves_no_place_taken(monkeypatch):
    monkeypatch.setattr(streaming, "QUIET_S", 0.01)
    engine = Answers(delay_s=0.3)
    async with serving(engine, serve=Serve(concurrency=1)) as client:
        first = asyncio.ensure_future(client.post())
        while client.service.admission.num_at_work < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        body = {"model": "fake", "stream": True, "messages": [{"role": "user", "content": "待つ"}]}
        async with client.session.post(client.base + "/v1/chat/completions", json=body) as reply:
            await reply.content.readuntil(b"\n\n")
            reply.close()
        while client.service.admission.num_waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert (await first)[0] == 200
        assert (await client.post())[0] == 200
        assert len(engine.requests) == 2


async def test_who_is_not_done_when_a_drain_ends_is_told(monkeypatch):
    monkeypatch.setattr(streaming, "QUIET_S", 0.01)
    engine, contexts = Answers(delay_s=60), []
    async with serving(engine, contexts=contexts) as client:
        asked = [asyncio.ensure_future(a) for a in (client.post(), client.stream())]
        while client.service.admission.num_at_work < 2 or len(engine.requests) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert await client.service.admission.drain(0.01) == 2
        (status, headers, reply), (chunks, _) = await asyncio.gather(*asked)
        assert (status, reply["error"]["code"], headers["Retry-After"]) == (503, "stopping", "1")
        assert "stopping" in chunks[-1]["error"]["message"]
        assert engine.num_cancelled == 2
    assert [v.status for v in contexts] == [503, 503]


async def test_beyond_the_queue_clients_are_told_to_come_back():
    async with serving(Answers(delay_s=0.3), serve=Serve(concurrency=1, queue=1)) as client:
        replies = await asyncio.gather(*(client.post() for _ in range(4)))
    assert sorted(r[0] for r in replies) == [200, 200, 429, 429]
    assert all(int(r[1]["Retry-After"]) >= 1 for r in replies if r[0] == 429)


async def test_keys_open_and_limit():
    keys = (Key(name="ana", sha256=hash_of("nbest-ana"), requests_per_minute=1, max_n=4),)
    async with serving(Answers(), serve=Serve(keys=keys)) as client:
        status, headers, _ = await client.post()
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert (await client.get("/v1/models"))[0] == 401
        assert (await client.get("/metrics"))[0] == 403
        assert (await client.get("/health"))[0] == 200
        bearer = {"Authorization": "Bearer nbest-ana"}
        assert (await client.post(headers=bearer, nbest={"n": 5}))[0] == 400
        status, headers, reply = await client.post(headers=bearer)
        assert (status, reply["error"]["code"]) == (429, "rate_limit_exceeded")


class Endless(Answers):
    """Writes, and does not end."""

    async def generate(self, request, on_delta=None):
        on_delta("二加二等于四。" * 100)
        await asyncio.sleep(60)


@pytest.mark.parametrize("leaves", [True, False])
async def test_what_was_streamed_is_charged_though_its_call_never_ends(leaves):
    key = Key(name="ana", sha256=hash_of("k"), tokens_per_minute=300)
    async with serving(Endless(), serve=Serve(keys=(key,)), sample="greedy", select="first") as client:
        body = {"model": "fake", "messages": [{"role": "user", "content": "二加二？"}], "stream": True}
        body |= {} if leaves else {"nbest": {"deadline": 0.1}}
        headers = {"Authorization": "Bearer k"}
        path = client.base + "/v1/chat/completions"
        async with client.session.post(path, json=body, headers=headers) as reply:
            await (reply.content.readany() if leaves else reply.read())
        while client.service.admission.num_at_work:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        status, _, refused = await client.post(headers=headers)
    assert (status, refused["error"]["code"]) == (429, "rate_limit_exceeded")


async def test_without_keys_other_names_of_this_machine_are_refused():
    async with serving(Answers()) as client:
        assert (await client.get("/v1/models", headers={"Host": "evil.example"}))[0] == 403
        assert (await client.get("/v1/models", headers={"Host": "localhost:1"}))[0] == 200


async def test_a_request_that_is_too_large_is_refused():
    async with serving(Answers(), serve=Serve(max_body_bytes=100)) as client:
        assert (await client.post(messages=[{"role": "user", "content": "ん" * 100}]))[0] == 413


async def test_ready_says_why_not():
    async with serving(Answers()) as client:
        assert (await client.get("/ready"))[0] == 200
        client.service.is_ready = False
        status, _, raw = await client.get("/ready")
        assert (status, json.loads(raw)["why"]) == (503, "the engine does not answer yet")
        assert (await client.post())[0] == 503


async def test_the_same_seed_gives_the_same_answer():
    async with serving(Fake()) as client:
        texts = {(await client.post(seed=7))[2]["choices"][0]["message"]["content"] for _ in range(3)}
        assert len(texts) == 1


async def test_what_clients_say_reaches_every_draw():
    engine = Answers()
    async with serving(engine, sample="hedged(n=3)") as client:
        _, _, reply = await client.post(
            temperature=0, max_tokens=9, stop=["。"], logit_bias={"5": -100}, user="x"
        )
    cold, warm = (r.params for r in engine.requests)
    assert (cold.temperature, warm.temperature) == (0.0, 0.7)
    assert reply["nbest"]["temperatures"] == [0.0, 0.7]
    assert {p.max_tokens for p in (cold, warm)} == {9}
    assert {p.stop for p in (cold, warm)} == {("。",)}
    assert engine.requests[0].prompt.overrides.body["logit_bias"] == {"5": -100}


class Gated(Answers):
    """Answers when it is told to."""

    async def generate(self, request, on_delta=None):
        self.gate = asyncio.Event()
        self.asked.set()
        await self.gate.wait()
        return await super().generate(request, on_delta)


async def test_a_reloaded_configuration_leaves_requests_under_way_alone():
    slow = Gated(texts=["old"])
    slow.asked = asyncio.Event()
    async with serving(slow) as client:
        asked = asyncio.ensure_future(client.post())
        await slow.asked.wait()
        old = client.service.gateway
        new = Gateway(ServeSettings(engine="fake", sample="greedy", select="first"))
        new.upstreams.engines["policy"] = Answers(texts=["new"])
        await new.start()
        new.upstreams.models = ("fake",)
        client.service.use(new)
        retired = asyncio.ensure_future(old.retire())
        assert (await client.post())[2]["choices"][0]["message"]["content"] == "new"
        assert not retired.done()
        slow.gate.set()
        assert (await asked)[2]["choices"][0]["message"]["content"] == "old"
        await retired


async def test_sinks_get_a_request_after_its_reply():
    over = []

    def listen(visit):
        time.sleep(0.5)  # holds up the loop, and with it whatever was not sent
        over.append(time.monotonic())

    def ask(base):
        body = {"model": "fake", "messages": [{"role": "user", "content": QUESTIONS[5]}]}
        with urllib.request.urlopen(
            urllib.request.Request(
                f"{base}/v1/chat/completions",
                data=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
            )
        ) as reply:
            assert json.loads(reply.read())["choices"]
        return time.monotonic()

    async with serving(Answers()) as client:
        client.service.add_sink(listen)
        replied = await asyncio.to_thread(ask, client.base)
    assert over
    assert replied < over[0]
