"""What a request may cost is known before its first call, counted while it runs, and charged to its key."""

import asyncio
import gzip
import time
import zlib

import pytest

from inprocess import Answers, serving
from nbest.serve import handler
from nbest.serve.keys import hash_of
from nbest.settings.gateway import Key, Serve
from nbest.types import Completion, Usage

BEARER = {"Authorization": "Bearer k"}


def with_key(**limits):
    return Serve(keys=(Key(name="अना", sha256=hash_of("k"), **limits),))


@pytest.mark.parametrize(
    "spec",
    [
        "judge_pairwise(n=64)",
        "best(scorer=rollouts(k=64, every=true), n=64)",
        "revise(sequential=64, parallel=64)",
        "rsa(sampler=iid(n=64), steps=64)",
        "best(scorer=step_judge(votes=64), n=64)",
        "mbr(n=64, utility=judged)",
        "particles(n=64, sweeps=40, verifier=judge)",
        "beam(n=64, lookahead=8, verifier=judge)",
        "guard(selector=best(scorer=step_judge(votes=60), n=60), n=60)",
    ],
)
async def test_a_strategy_that_may_draw_more_is_refused_before_its_first_call(spec):
    engine = Answers()
    async with serving(engine) as client:
        status, _, reply = await client.post(nbest={"strategy": spec})
    assert status == 400, reply
    assert not engine.requests


@pytest.mark.parametrize(
    "spec",
    [
        "judge_pairwise(n=8)",
        "revise(sequential=8, parallel=8)",
        "rsa(steps=8)",
        "self_refine(rounds=20)",
        "tournament(n=64)",
    ],
)
async def test_keys_have_a_limit_of_their_own(spec):
    serve, wide = with_key(max_draws=30), with_key(max_n=64)
    async with serving(Answers(), serve=serve) as client:
        status, _, reply = await client.post(nbest={"strategy": spec}, headers=BEARER)
        assert (status, reply["error"]["code"]) == (400, "too_many_draws")
    async with serving(Answers(), serve=wide) as client:
        assert (await client.post(nbest={"strategy": spec}, headers=BEARER))[0] == 200


async def test_a_small_key_pays_for_few_judgements():
    async with serving(Answers(), serve=with_key(max_n=4)) as client:
        for spec, status in (("judge_pairwise(n=4)", 200), ("best(scorer=step_judge(votes=4), n=4)", 200),
                             ("mbr(n=4, utility=judged)", 200), ("rsa(sampler=iid(n=4), steps=40)", 400),
                             ("best(scorer=rollouts(k=4, every=true), n=4)", 400)):  # fmt: skip
            assert (await client.post(nbest={"strategy": spec}, headers=BEARER))[0] == status, spec


async def test_copies_of_a_long_prompt_are_counted_before_they_are_made():
    engine = Answers()
    long = [{"role": "user", "content": "長" * 150_000}]
    variants = ", ".join(["'" + "{prompt}" * 40 + "'"] * 2)
    spec = f"parallel(sampler=prompts(n=64, variants=[{variants}]), selector=vote)"
    async with serving(engine) as client:
        began = time.monotonic()
        status, _, reply = await client.post(messages=long, nbest={"strategy": spec})
        assert (status, reply["error"]["code"]) == (400, "too_much_input")
        assert time.monotonic() - began < 2
        assert not engine.requests
        assert (await client.post(messages=long, nbest={"strategy": "vote(n=8)"}))[0] == 200


async def test_what_could_not_be_known_is_counted_while_it_runs():
    """A judge whose every reply has no verdict is asked twice, and a text may have more steps than are supposed."""
    text = "\n".join(f"шаг {i}" for i in range(400))
    engine = Answers(texts=[text])
    async with serving(engine, serve=Serve(max_draws=200, max_n=4)) as client:
        spec = "best(scorer=rollouts(k=2, every=true), n=4)"
        status, _, reply = await client.post(nbest={"strategy": spec})
    assert status == 200
    assert reply["nbest"]["stopped"] == "budget"
    assert reply["choices"][0]["message"]["content"] == text
    assert sum(r.n for r in engine.requests) <= 200


async def test_input_is_counted_while_it_runs():
    text = "ответ" * 100
    engine = Answers(texts=[text])
    async with serving(engine, serve=Serve(max_input_chars=2000)) as client:
        spec = "revise(sequential=8, parallel=1)"
        status, _, reply = await client.post(nbest={"strategy": spec})
    assert (status, reply["nbest"]["stopped"]) == (200, "budget")
    sent = sum(len(m.content) for r in engine.requests for m in r.prompt.messages)
    assert sent <= 2000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "x-gzip", "identity, gzip"])
@pytest.mark.parametrize("headers", [{}, BEARER])
async def test_a_compressed_body_is_refused_and_not_decoded(encoding, headers):
    bomb = gzip.compress(bytes(1 << 26)) if "g" in encoding.lower() else zlib.compress(bytes(1 << 26))
    async with serving(Answers(), serve=with_key()) as client:
        url = f"{client.base}/v1/chat/completions"
        more = {"Content-Type": "application/json", "Content-Encoding": encoding, **headers}
        began = time.process_time()
        async with client.session.post(url, data=bomb, headers=more) as reply:
            assert reply.status == 415
            assert "encoded" in (await reply.json())["error"]["message"]
        assert time.process_time() - began < 0.2
        plain = {"Content-Encoding": "identity", **BEARER}
        assert (await client.post(headers=plain))[0] == 200


@pytest.mark.parametrize(
    ("serve", "more", "status"),
    [
        (with_key(), {}, 401),
        (with_key(), {"Authorization": "Bearer x"}, 401),
        (Serve(max_body_bytes=1000), {}, 413),
    ],
)
async def test_a_body_that_will_not_be_read_is_not_waited_for(serve, more, status):
    async with serving(Answers(), serve=serve) as client:
        reader, writer = await asyncio.open_connection(*client.base.removeprefix("http://").split(":"))
        headers = {
            "Host": "localhost",
            "Content-Type": "application/json",
            "Content-Length": "9999999",
            **more,
        }
        head = "\r\n".join(["POST /v1/chat/completions HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())])
        writer.write(f"{head}\r\n\r\n".encode())
        async with asyncio.timeout(2):
            assert f" {status} " in (await reader.readline()).decode()
        writer.close()


async def test_a_slow_body_is_given_up(monkeypatch):
    monkeypatch.setattr(handler, "BODY_S", 0.1)
    async with serving(Answers(), serve=with_key(concurrency=1)) as client:
        reader, writer = await asyncio.open_connection(*client.base.removeprefix("http://").split(":"))
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Authorization: Bearer k\r\nContent-Length: 99\r\n\r\n{{".encode())
        assert b" 408 " in await reader.readline()
        assert (await client.post(headers=BEARER))[0] == 200  # its place is free again
        writer.close()


class Metered(Answers):
    """Every draw takes a moment, and 43 tokens."""

    def say(self, request):
        usage = Usage(prompt=10, completion=33, calls=1)
        return [Completion(text="4", usage=usage) for _ in range(request.n)]


async def test_sixty_at_once_spend_no_more_than_one_that_goes_over():
    """Ten draws of 43 tokens a request: 60 together would spend 25 800 of 1 000."""
    engine = Metered(delay_s=0.1)
    async with serving(engine, serve=with_key(tokens_per_minute=1000), sample="iid(n=10)") as client:
        replies = await asyncio.gather(
            *(
                client.post(headers=BEARER, max_tokens=50, messages=[{"role": "user", "content": f"{i}が"}])
                for i in range(60)
            )
        )
        statuses = [status for status, _, _ in replies]
        num_spent = 430 * statuses.count(200)
        assert 430 <= num_spent <= 1000 + 430
        assert set(statuses) == {200, 429}
        refused = next(r for r in replies if r[0] == 429)
        assert refused[2]["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(refused[1]["Retry-After"]) <= 60
        # What was reserved and not taken is there again.
        while (
            statuses.count(200) * 430 < 1000 and (await client.post(headers=BEARER, max_tokens=50))[0] == 200
        ):
            statuses.append(200)
        assert statuses.count(200) == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_is_charged_for_its_prompt_and_its_draws(stream):
    engine = Answers(delay_s=30)
    async with serving(engine, serve=with_key(tokens_per_minute=1_000_000), sample="iid(n=4)") as client:
        bucket = client.service.key_limits
        messages = [{"role": "user", "content": "कितना है? " * 4000}]
        body = {"model": "fake", "messages": messages, "stream": stream, "max_tokens": 100}
        url = f"{client.base}/v1/chat/completions"
        task = asyncio.ensure_future(client.session.post(url, json=body, headers=BEARER))
        while not engine.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        task.cancel()
        while not engine.num_cancelled:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        account = bucket._account_by_name["अना"]
        num_prompt = len(messages[0]["content"].encode()) // 4
        num_spent = 1_000_000 - account.tokens._level
        assert account.num_reserved == 0
        assert num_prompt < num_spent <= num_prompt + 4 * 100 + 1


async def test_a_draw_that_a_deadline_cuts_is_charged_as_long_as_it_ran():
    class Slow(Answers):
        async def generate(self, request, on_delta=None):
            if request.params.seed % 2:
                await asyncio.sleep(30)
            return await super().generate(request, on_delta)

    contexts = []
    async with serving(Slow(), contexts=contexts, sample="iid(n=4)") as client:
        status, _, reply = await client.post(nbest={"deadline": 0.3}, max_tokens=1000)
        assert (status, reply["nbest"]["stopped"]) == (200, "deadline")
    spent = reply["nbest"]["usage_by_role"]["policy"]
    assert spent["estimated_completion"] > 0
    assert contexts[0].observer.num_tokens == reply["usage"]["total_tokens"]
    assert reply["usage"]["completion_tokens"] == spent["completion"]


async def test_the_tokens_of_a_pool_are_reserved_only_where_its_key_has_a_limit():
    async with serving(Metered(delay_s=0.05), serve=with_key()) as client:
        replies = await asyncio.gather(*(client.post(headers=BEARER) for _ in range(8)))
    assert {status for status, _, _ in replies} == {200}
