"""How the embedded engine schedules its slots."""

import asyncio

import pytest

from nbest.engines.llamacpp.llamacpp import LlamaCpp
from nbest.types import Message, Prompt, Request, SamplingParams

HOT = SamplingParams(temperature=5.0, max_tokens=60, seed=3)


def ask(text, n=1, prefix="", params=HOT, **more):
    prompt = Prompt(id="p", messages=(Message(role="user", content=text),))
    return Request(prompt=prompt, n=n, prefix=prefix, params=params, **more)


TEXTS = ["小明有三个苹果。", "У Сары 3 яблока.", "サラはりんごを３個持っています。"]


@pytest.fixture
async def engine():
    engine = LlamaCpp(slots=4, context=256)
    for text in TEXTS:  # their templates are known from now on, so that slots are requested in order
        await engine.generate(ask(text))
    yield engine
    await engine.aclose()


async def test_what_begins_takes_the_slots_that_are_free_and_the_rest_later(engine):
    greedy = SamplingParams(temperature=0.0, max_tokens=40, seed=3)
    _, pool = await asyncio.gather(
        engine.generate(ask(TEXTS[0], 2)), engine.generate(ask(TEXTS[1], 4, params=greedy))
    )
    (alone,) = await engine.generate(ask(TEXTS[1], params=greedy))
    assert [c.text for c in pool] == [alone.text] * 4
    assert sum(c.usage.calls for c in pool) == 2
    assert pool[0].usage.calls == 1


async def test_seeds_of_a_pool_in_parts_are_those_of_the_whole(engine):
    whole = await engine.generate(ask(TEXTS[0], 4))
    _, parts = await asyncio.gather(engine.generate(ask(TEXTS[1], 2)), engine.generate(ask(TEXTS[0], 4)))
    assert sum(c.usage.calls for c in parts) == 2
    assert sum(a.text == b.text for a, b in zip(whole, parts, strict=True)) >= 2  # batching moves a few


async def test_a_text_that_continues_comes_before_one_that_begins_and_is_read_from_the_cache(engine):
    calm = SamplingParams(temperature=0.0, max_tokens=20)  # tokens of hot texts may read back as others
    (begun,) = await engine.generate(ask(TEXTS[2], params=calm))
    done = []

    async def call(name, request):
        drawn = await engine.generate(request)
        done.append(name)
        return drawn

    _, _, going_on = await asyncio.gather(
        call("busy", ask(TEXTS[0], 4)),
        call("begins", ask(TEXTS[1], 4)),
        call("goes on", ask(TEXTS[2], 4, prefix=begun.text)),
    )
    assert done == ["busy", "goes on", "begins"]
    assert going_on[0].usage.prompt - going_on[0].usage.cached <= 4


async def test_slots_come_back_from_calls_that_fail_or_are_cancelled(engine):
    calls = [asyncio.create_task(engine.generate(ask(f"{i}?", 3))) for i in range(4)]
    await asyncio.sleep(0.05)
    for call in calls[::2]:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    with pytest.raises(Exception, match="context="):
        await engine.generate(ask("x" * 3000, 2))
    assert len(await engine.generate(ask("?", 4))) == 4
