import asyncio
import sqlite3
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest import registry
from nbest.budget import deadline, seconds_left
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.engines.layers import Balance, Cache, Failover, Limit, Retry
from nbest.engines.openai.openai import OpenAI
from nbest.errors import (
    EngineError,
    EngineHttpError,
    EngineProtocolError,
    EngineTimeoutError,
    InputError,
    SpecError,
    UnreachableError,
)
from nbest.protocols import Capabilities
from nbest.sampling.hedged import Hedged
from nbest.types import (
    Budget,
    Completion,
    Logprobs,
    Message,
    Overrides,
    Prompt,
    Request,
    SamplingParams,
    Usage,
    replace,
)
from scripted import prompt_of
from upstream import Upstream

PROMPT = prompt_of("سؤال")


def ask(n=1, seed: int | None = 10, temperature=0.7, prompt=PROMPT, **more):
    params = SamplingParams(seed=seed, temperature=temperature, max_tokens=8)
    return Request(prompt=prompt, n=n, params=params, **more)


@dataclass(eq=False, kw_only=True)
class Faulty:
    """Says its seeds, after one error of `errors` a call; remembers what was under way."""

    name: str = "scripted"
    errors: deque = field(default_factory=deque)
    down: list[EngineError] = field(default_factory=list)
    """The error of every call, capabilities included, while it is there."""
    calls: list[Request] = field(default_factory=list)
    delay_s: float = 0.0
    most_given: int = 99
    under_way: list[int] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    closed: list[bool] = field(default_factory=list)

    async def capabilities(self):
        if self.down:
            raise self.down[0]
        return Capabilities(max_n=7, seed=False)

    async def generate(self, request: Request, on_delta=None) -> Sequence[Completion]:
        self.calls.append(request)
        self.under_way.append(request.n)
        self.peaks.append(sum(self.under_way))
        try:
            await asyncio.sleep(self.delay_s)
            self._fail()
        finally:
            self.under_way.remove(request.n)
        num = min(request.n, self.most_given)
        return [
            Completion(
                text=f"{request.prefix}{request.params.seed}+{i}",
                usage=Usage(completion=2, calls=1 - min(i, 1)),
            )
            for i in range(num)
        ]

    async def logprobs(self, prompt, text):
        self._fail()
        return Logprobs(tokens=(text,), values=(-1.0,))

    async def aclose(self):
        self.closed.append(True)

    def _fail(self):
        if self.down:
            raise self.down[0]
        if self.errors and (error := self.errors.popleft()):
            raise error


def http(status, retry_after_s=None):
    return EngineHttpError(f"status {status}", status=status, retry_after_s=retry_after_s)


def texts(completions):
    return [c.text for c in completions]


# ── every layer ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["retry", "limit", "cache", "failover", "balance"])
def layered(request, tmp_path):
    inner = Faulty()
    made = {
        "retry": lambda: Retry(engine=inner),
        "limit": lambda: Limit(engine=inner),
        "cache": lambda: Cache(engine=inner, path=str(tmp_path / "c.db")),
        "failover": lambda: Failover(engines=(inner,)),
        "balance": lambda: Balance(engines=(inner,), sticky=True),
    }
    return inner, made[request.param]()


async def test_a_layer_passes_on_what_it_does_not_change(layered):
    inner, engine = layered
    assert await engine.capabilities() == await inner.capabilities()
    assert await engine.logprobs(PROMPT, "x") == await inner.logprobs(PROMPT, "x")
    assert texts(await engine.generate(ask(3))) == ["10+0", "10+1", "10+2"]
    assert inner.name in engine.name
    assert engine == engine and hash(engine)  # noqa: PLR0124, PT018
    await engine.aclose()
    await engine.aclose()
    assert inner.closed == [True, True]


async def test_a_layer_passes_errors_as_they_came(layered):
    inner, engine = layered
    inner.errors.append(error := http(400))
    with pytest.raises(EngineHttpError) as caught:
        await engine.generate(ask())
    assert caught.value is error
    await engine.aclose()


@pytest.mark.parametrize(
    "spec",
    [
        "retry(engine=fake, attempts=2)",
        "limit(engine=fake, max_in_flight=3)",
        "cache(engine=retry(engine=openai(url='http://a/v1', model='m')), path='draws.db')",
        "failover(engines=[openai(url='http://a/v1'), fake])",
        "breaker(engine=hedge(engine=fake, after_s=0.5, most=0.2), failures=3, cool_down_s=2.0)",
    ],
)
def test_layers_are_specs(spec):
    assert registry.spec_of(registry.parse("engines", spec)) == spec


def test_short_specs():
    assert registry.parse("engines", "retry:openai:http://a/v1").engine == OpenAI(url="http://a/v1")
    assert registry.parse("engines", 'failover(["openai:http://a/v1"])').engines == (
        OpenAI(url="http://a/v1"),
    )


@pytest.mark.parametrize(
    "spec",
    [
        "retry(fake, attempts=0)",
        "retry(fake, base_s=-1)",
        "limit(fake, max_in_flight=0)",
        "failover([])",
        "breaker(fake, failures=0)",
        "breaker(fake, cool_down_s=-1)",
        "hedge(fake, percentile=100)",
        "hedge(fake, after_s=-1)",
        "hedge(fake, most=2)",
    ],
)
def test_parameters_that_make_no_sense(spec):
    with pytest.raises(SpecError):
        registry.parse("engines", spec)


# ── retry ───────────────────────────────────────────────────────────────────────────────────────────


async def test_transient_errors_pass():
    inner = Faulty(errors=deque([http(503), EngineProtocolError("x"), EngineTimeoutError("y")]))
    assert len(await Retry(engine=inner, base_s=0.001).generate(ask(2))) == 2
    assert len(inner.calls) == 4


async def test_the_last_error_is_raised_as_it_came():
    errors = [http(503), http(500), http(502)]
    inner = Faulty(errors=deque(errors))
    with pytest.raises(EngineHttpError, match="502"):
        await Retry(engine=inner, attempts=3, base_s=0.001).generate(ask())


@pytest.mark.parametrize("error", [http(400), http(401), EngineError("x")])
async def test_other_errors_are_final(error):
    inner = Faulty(errors=deque([error]))
    with pytest.raises(EngineError):
        await Retry(engine=inner, base_s=0.001).generate(ask())
    assert len(inner.calls) == 1


async def test_the_server_says_how_long_to_wait():
    inner = Faulty(errors=deque([http(429, 0.06)]))
    loop = asyncio.get_running_loop()
    started = loop.time()
    await Retry(engine=inner, base_s=0.0).generate(ask())
    assert loop.time() - started >= 0.06


async def test_a_wait_beyond_the_total_is_not_begun():
    inner = Faulty(errors=deque([http(429, 3600.0)]))
    with pytest.raises(EngineHttpError):
        await Retry(engine=inner, total_s=60.0).generate(ask())


async def test_a_wait_beyond_the_deadline_is_not_begun():
    inner = Faulty(errors=deque([http(429, 30.0)]))
    async with deadline(60.0), deadline(20.0):
        assert 0 < seconds_left() <= 20
        async with deadline(None), deadline(40.0):
            assert seconds_left() <= 20
        with pytest.raises(EngineHttpError, match="429"):
            await Retry(engine=inner).generate(ask())
    assert seconds_left() == inf
    engine = Retry(engine=Faulty(errors=deque([http(429, 30.0)])))
    ctx = Context({"policy": engine}, budget=Budget(seconds=20.0))
    (candidate,) = await ctx.sample([ask()])
    assert "429" in candidate.error
    assert ctx.stopped == "done"


async def test_a_wait_can_be_cancelled():
    inner = Faulty(errors=deque([http(429, 30.0)]))
    task = asyncio.create_task(Retry(engine=inner).generate(ask()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@given(st.integers(0, 60), st.floats(0, 10), st.floats(0, 60))
def test_waits_are_jittered_under_a_doubling_bound(k, base_s, longest_s):
    retry = Retry(engine=Faulty(), base_s=base_s, longest_s=longest_s)
    assert 0 <= retry._wait_s(EngineTimeoutError("x"), k) <= min(longest_s, base_s * 2**k)


async def test_retry_draws_no_seed_and_touches_no_global_generator():
    import random

    before = random.getstate()
    await Retry(engine=Faulty(errors=deque([http(503)])), base_s=0.001).generate(ask())
    assert random.getstate() == before


# ── limit ───────────────────────────────────────────────────────────────────────────────────────────


async def test_sequences_are_bounded_not_calls():
    inner = Faulty(delay_s=0.002)
    engine = Limit(engine=inner, max_in_flight=6)
    drawn = await asyncio.gather(*(engine.generate(ask(n)) for n in (1, 2, 3, 4, 5, 6) * 3))
    assert sum(map(len, drawn)) == 63
    assert max(inner.peaks) == 6


async def test_one_larger_than_the_limit_is_alone():
    inner = Faulty(delay_s=0.002)
    engine = Limit(engine=inner, max_in_flight=4)
    await asyncio.gather(*(engine.generate(ask(n)) for n in (3, 9, 2)))
    assert inner.peaks == [3, 9, 2]


async def test_tokens_are_bounded_by_all_that_may_be_drawn():
    inner = Faulty(delay_s=0.002)
    size = 4 * 8 + 4 * (len("سؤال".encode()) // 3)
    engine = Limit(engine=inner, max_tokens_in_flight=size)
    drawn = await asyncio.gather(*(engine.generate(ask()) for _ in range(17)))
    assert sum(map(len, drawn)) == 17
    assert max(inner.peaks) == 4
    assert engine._gate._free == (256, size)


async def test_long_prompts_and_prefixes_count():
    inner = Faulty(delay_s=0.002)
    engine = Limit(engine=inner, max_tokens_in_flight=100)
    await asyncio.gather(
        engine.generate(ask(prefix="步" * 70)), engine.generate(ask(2)), engine.generate(ask())
    )
    assert inner.peaks == [1, 3, 1]
    inner.peaks.clear()
    await asyncio.gather(engine.generate(ask(prefix="步" * 80)), engine.generate(ask(2)))
    assert inner.peaks == [1, 2]


async def test_a_lone_surrogate_can_be_counted():
    assert await Limit(engine=Faulty()).generate(ask(prefix="\ud83d"))


async def test_the_first_in_the_queue_is_not_overtaken_for_want_of_tokens():
    inner = Faulty(delay_s=0.002)
    engine = Limit(engine=inner, max_tokens_in_flight=40)
    await asyncio.gather(*(engine.generate(ask(n)) for n in (3, 4, 1, 1)))
    assert [c.n for c in inner.calls] == [3, 4, 1, 1]


async def test_first_come_first_served():
    inner = Faulty(delay_s=0.002)
    engine = Limit(engine=inner, max_in_flight=4)
    await asyncio.gather(*(engine.generate(ask(n)) for n in (3, 4, 1, 1, 1)))
    assert [c.n for c in inner.calls] == [3, 4, 1, 1, 1]


async def test_failed_and_cancelled_calls_give_back_their_place():
    inner = Faulty(delay_s=0.005, errors=deque([http(500)]))
    engine = Limit(engine=inner, max_in_flight=2)
    with pytest.raises(EngineHttpError):
        await engine.generate(ask(2))
    tasks = [asyncio.create_task(engine.generate(ask(2))) for _ in range(4)]
    await asyncio.sleep(0.001)
    tasks[0].cancel()  # under way
    tasks[2].cancel()  # in the queue
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(r, list) for r in results] == [False, True, False, True]
    assert engine._gate._free[0] == 2
    assert len(await engine.generate(ask(5))) == 5


async def test_who_is_cancelled_as_its_turn_comes_gives_it_back():
    inner = Faulty(delay_s=0.005)
    engine = Limit(engine=inner, max_in_flight=1)
    first = asyncio.create_task(engine.generate(ask()))
    second = asyncio.create_task(engine.generate(ask()))
    await asyncio.sleep(0.001)
    engine._gate._queue[0][1].add_done_callback(lambda _: second.cancel())
    await first
    await asyncio.gather(second, return_exceptions=True)
    assert engine._gate._free[0] == 1


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(1, 7), st.booleans()), max_size=12), st.randoms())
def test_no_order_of_calls_and_cancellations_leaks_a_place(size, plan, rng):
    async def run():
        inner = Faulty()
        engine = Limit(engine=inner, max_in_flight=size)
        tasks = [asyncio.create_task(engine.generate(ask(n))) for n, _ in plan]
        for task, (_, is_cancelled) in zip(tasks, plan, strict=True):
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            if is_cancelled:
                task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert engine._gate._free[0] == size
        assert all(p <= max(size, c.n) for p, c in zip(inner.peaks, inner.calls, strict=True))

    asyncio.run(run())


# ── cache ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def cached(tmp_path):
    inner = Faulty()
    engine = Cache(engine=inner, path=str(tmp_path / "draws.db"))
    yield inner, engine
    await engine.aclose()


async def test_the_same_draws_are_made_once(cached):
    inner, engine = cached
    first = await engine.generate(ask(3))
    assert await engine.generate(ask(3, prompt=PROMPT, role="judge")) == first
    assert len(inner.calls) == 1


async def test_a_kept_draw_has_the_usage_it_cost(cached):
    _, engine = cached
    ctx = Context({"policy": engine})
    await ctx.sample([ask(3)])
    spent = ctx.meter.usage["policy"]
    again = Context({"policy": engine})
    await again.sample([ask(3)])
    assert again.meter.usage["policy"] == spent


async def test_a_larger_pool_takes_over_the_smaller(cached):
    inner, engine = cached
    await engine.generate(ask(2, seed=11))
    assert texts(await engine.generate(ask(5, seed=10))) == ["10+0", "11+0", "11+1", "13+0", "13+1"]
    assert [(c.n, c.params.seed) for c in inner.calls] == [(2, 11), (1, 10), (2, 13)]


@pytest.mark.parametrize(
    "other",
    [
        ask(seed=11),
        ask(temperature=0.8),
        ask(prefix="x"),
        ask(prompt=Prompt(id="p", messages=(Message(role="system", content="سؤال"),))),
        ask(temperature=0.0),
    ],
)
async def test_another_request_is_another_draw(cached, other):
    inner, engine = cached
    await engine.generate(ask())
    await engine.generate(other)
    assert len(inner.calls) == 2


async def test_the_prompts_name_does_not_matter(cached):
    inner, engine = cached
    await engine.generate(ask())
    await engine.generate(ask(prompt=Prompt(id="q", messages=PROMPT.messages, task="t")))
    assert len(inner.calls) == 1


async def test_another_engine_is_another_draw(tmp_path):
    path = str(tmp_path / "draws.db")
    one, two = (Cache(engine=Faulty(name=n), path=path) for n in "ab")
    for engine in (one, two):
        await engine.generate(ask())
        assert len(engine.engine.calls) == 1
        await engine.aclose()


async def test_unseeded_draws_at_a_temperature_pass_through(cached):
    inner, engine = cached
    await engine.generate(ask(seed=None))
    await engine.generate(ask(seed=None))
    await engine.generate(ask(seed=None, temperature=0.0))
    await engine.generate(ask(seed=None, temperature=0.0))
    assert len(inner.calls) == 3


async def test_errors_are_not_kept(cached):
    inner, engine = cached
    inner.errors.append(http(500))
    with pytest.raises(EngineHttpError):
        await engine.generate(ask())
    assert len(await engine.generate(ask())) == 1


async def test_what_is_kept_survives_a_failing_rest(cached):
    inner, engine = cached
    await engine.generate(ask(2))
    inner.errors.append(http(500))
    drawn = await engine.generate(ask(4))
    assert [c.error is None for c in drawn] == [True, True, False, False]
    assert [c.error for c in await engine.generate(ask(4))] == [None] * 4


async def test_fewer_draws_than_asked_for_are_topped_up(tmp_path):
    inner = Faulty(most_given=2)
    engine = Cache(engine=inner, path=str(tmp_path / "draws.db"))
    for _ in range(2):
        candidates = await Context({"policy": engine}).sample([ask(5)])
        assert [c.error for c in candidates] == [None] * 5
    assert [c.n for c in inner.calls] == [5, 3, 1]
    await engine.aclose()


async def test_the_same_request_at_once_is_drawn_once(tmp_path):
    inner = Faulty(delay_s=0.01)
    engine = Cache(engine=inner, path=str(tmp_path / "draws.db"))
    drawn = await asyncio.gather(*(engine.generate(ask(3)) for _ in range(20)))
    assert {tuple(texts(d)) for d in drawn} == {("10+0", "10+1", "10+2")}
    assert len(inner.calls) == 1
    await engine.aclose()


async def test_two_caches_on_one_file_at_once(tmp_path):
    path = str(tmp_path / "draws.db")
    engines = [Cache(engine=Faulty(delay_s=0.001), path=path) for _ in range(2)]
    await asyncio.gather(*(e.generate(ask(3, seed=s)) for e in engines for s in range(40)))
    third = Cache(engine=Faulty(down=[UnreachableError("gone")]), path=path)
    assert all([len(await third.generate(ask(3, seed=s))) == 3 for s in range(40)])
    for engine in (*engines, third):
        await engine.aclose()


async def test_what_is_kept_answers_without_the_engine(tmp_path):
    path = str(tmp_path / "draws.db")
    async with Upstream() as server:
        live = Cache(engine=OpenAI(url=server.url, model="m"), path=path)
        first = await Context({"policy": live}).sample([ask(3)])
        await live.aclose()
    offline = Cache(engine=OpenAI(url=server.url, model="m"), path=path)
    assert await Context({"policy": offline}).sample([ask(3)]) == first
    with pytest.raises(UnreachableError):
        await offline.generate(ask(seed=99))
    await offline.aclose()


async def test_a_file_that_is_no_cache_is_named(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, not a database " * 50)
    engine = Cache(engine=Faulty(), path=str(path))
    with pytest.raises(InputError, match="is not a cache of nbest"):
        await engine.generate(ask())
    assert path.read_text().startswith("these are")
    missing = Cache(engine=Faulty(), path=str(tmp_path / "no" / "where.db"))
    with pytest.raises(InputError, match="cannot open the cache"):
        await missing.generate(ask())


async def test_a_cache_that_cannot_write_costs_no_draw(cached, monkeypatch, caplog):
    _, engine = cached
    await engine.generate(ask())
    engine._live._db.execute("PRAGMA query_only = ON")
    assert len(await engine.generate(ask(seed=77))) == 1
    assert "stores nothing" in caplog.text


async def test_what_the_client_says_makes_another_draw(cached):
    inner, engine = cached
    asked = [
        ask(prompt=replace(PROMPT, overrides=Overrides(body=body)))
        for body in ({}, {"logit_bias": {"7": 1}}, {"logit_bias": {"7": 2}}, {"tools": []})
    ]
    for request in (ask(), *asked, *asked):
        await engine.generate(request)
    assert len(inner.calls) == 4


async def test_a_cached_draw_is_one_delta(tmp_path):
    engine = Cache(engine=Fake(), path=str(tmp_path / "draws.db"))
    first, again = [], []
    drawn = await engine.generate(ask(), first.append)
    assert await engine.generate(ask(), again.append) == drawn
    assert len(first) > 1
    assert again == ["".join(first)] == [drawn[0].text]
    await engine.aclose()


async def test_the_file_is_plain_sqlite(cached, tmp_path):
    _, engine = cached
    await engine.generate(ask(3))
    db = sqlite3.connect(tmp_path / "draws.db")
    assert db.execute("SELECT count(*) FROM draws").fetchone() == (3,)
    db.close()


# ── failover ────────────────────────────────────────────────────────────────────────────────────────


async def test_the_next_engine_answers_and_the_sick_one_rests():
    sick, well = Faulty(name="a", errors=deque([http(503)])), Faulty(name="b")
    engine = Failover(engines=(sick, well))
    await engine.generate(ask())
    await engine.generate(ask())
    assert (len(sick.calls), len(well.calls)) == (1, 2)
    assert engine.name == "failover(a, b)"


async def test_after_the_cool_down_the_first_is_asked_again():
    sick, well = Faulty(errors=deque([http(503)])), Faulty()
    engine = Failover(engines=(sick, well), cool_down_s=0.0)
    await engine.generate(ask())
    await engine.generate(ask())
    assert (len(sick.calls), len(well.calls)) == (2, 1)


async def test_a_request_that_one_refuses_does_not_make_it_sick():
    first, second = Faulty(errors=deque([http(400)])), Faulty()
    engine = Failover(engines=(first, second))
    await engine.generate(ask())
    await engine.generate(ask())
    assert (len(first.calls), len(second.calls)) == (2, 1)


async def test_all_failing_is_one_error_that_names_them_and_all_are_tried_again():
    engines = tuple(Faulty(errors=deque([http(s)])) for s in (401, 503))
    engine = Failover(engines=engines)
    with pytest.raises(EngineError, match="status 401; status 503") as caught:
        await engine.generate(ask())
    assert caught.value.is_transient
    assert [e.status for e in caught.value.causes] == [401, 503]
    assert len(await engine.generate(ask())) == 1


async def test_capabilities_are_of_the_engine_that_answers():
    engine = Failover(engines=(Faulty(down=[UnreachableError("gone")]), Faulty()))
    assert (await engine.capabilities()).max_n == 7


# ── together ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", ["error500", "busy", "reset", "malformed", "empty", "html"])
async def test_a_pool_from_a_flaky_server_is_whole_with_retry(fault):
    async with Upstream(n="ignored") as server:
        engine = Retry(engine=OpenAI(url=server.url), base_s=0.001)
        await engine.generate(ask(2))
        server.faults.extend([fault, None, fault, None, None, fault])
        ctx = Context({"policy": engine})
        candidates = await ctx.sample(Hedged(n=5, max_tokens=8)(PROMPT, Random(1)))
        assert [c.error for c in candidates] == [None] * 5
        assert ctx.meter.usage["policy"].calls == 5
        await engine.aclose()


async def test_failover_from_a_dead_server_to_a_live_one():
    async with Upstream() as gone:
        pass
    async with Upstream() as server:
        engine = Failover(engines=(OpenAI(url=gone.url), OpenAI(url=server.url)))
        candidates = await Context({"policy": engine}).sample(Hedged(n=5, max_tokens=8)(PROMPT, Random(1)))
        assert [c.error for c in candidates] == [None] * 5
        await engine.aclose()
