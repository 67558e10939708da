"""What clients get while a server misbehaves, how soon, what is recorded, and that nothing stays behind."""

import asyncio
import json

import pytest

from gateway import process
from gateway.matrix import CASES, QUORUM, SINGLE, TIMEOUT_S, VOTE, check, tried_all
from gateway.misbehaving import ASK, RIGHT, Misbehaving, serving
from gateway.upstream import running
from nbest.engines.layers import Breaker, Failover
from nbest.scoring import endpoint
from nbest.serve import streaming
from nbest.serve.breaker_states import breaker_states
from nbest.serve.engine_tree import within
from nbest.serve.gateway import Gateway
from nbest.serve.service import Service
from nbest.settings.gateway import Serve, ServeSettings
from nbest.text.language import identify

DEADLINE_S = 0.6


@pytest.fixture(scope="module", autouse=True)
def _warm():
    """Loads what tells languages apart, which holds everything up where a machine is busy."""
    identify("x", min_words=0)


@pytest.fixture(scope="module")
def rows(_warm):
    return dict(zip(CASES, asyncio.run(tried_all(CASES, at_once=12)), strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_costs_no_more_than_it_must(rows, case):
    if isinstance(rows[case], Exception):
        raise rows[case]
    check(rows[case])


def engine_of(upstream, *, attempts=2, **more):
    said = "".join(f", {k}={v}" for k, v in {"timeout_s": TIMEOUT_S, **more}.items())
    inner = f'openai(url="{upstream.url}"{said})'
    return f"retry(engine={inner}, attempts={attempts}, base_s=0.01)" if attempts > 1 else inner


# ── deadlines ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["hang", "trickle"])
@pytest.mark.parametrize("draws", [{"n": "1"}, {}], ids=["one a call", "all in a call"])
async def test_at_the_deadline_the_others_answer(fault, stream, draws):
    async with Misbehaving(**draws) as upstream, serving(engine_of(upstream, timeout_s=60), VOTE) as client:
        before_s = await client.healthy()
        upstream.faults.append(fault)
        got = await client.ask(stream=stream, nbest={"deadline": DEADLINE_S})
        assert (got.status, got.text, got.stopped, got.num_failed) == (200, RIGHT, "deadline", 1)
        assert DEADLINE_S - 0.1 < got.seconds < DEADLINE_S + 2
        await upstream.saw("num_cancelled", 1)
        assert await client.healthy() < 4 * before_s + 1
        assert (await client.recorded())[-4].stopped == "deadline"


@pytest.mark.parametrize("fault", ["mid_hang", "mid_trickle"])
async def test_at_the_deadline_a_stream_ends_as_far_as_it_got(fault):
    async with Misbehaving() as upstream, serving(engine_of(upstream, timeout_s=60), SINGLE) as client:
        upstream.fault = fault
        got = await client.ask(stream=True, nbest={"deadline": DEADLINE_S})
        assert (got.error, got.finish, got.stopped) == (None, "length", "deadline")
        assert got.text == RIGHT.split()[0]
        assert got.has_ended
        assert all(got.nbest["usage_by_role"]["policy"][what] > 0 for what in ("prompt", "completion"))


async def test_a_request_without_a_deadline_has_one():
    serve = {"max_deadline": 0.5}
    async with Misbehaving() as upstream, serving(engine_of(upstream), VOTE, serve=serve) as client:
        upstream.fault = "hang"
        got = await client.ask()
        assert (got.status, got.error["code"]) == (504, "deadline")
        assert got.seconds < 1.4
    assert (Serve().default_deadline, Serve(max_deadline=60).default_deadline) == (300, 60)


async def test_an_upstream_that_is_busy_beyond_the_deadline_is_reported_at_once():
    async with Misbehaving() as upstream, serving(engine_of(upstream), VOTE) as client:
        upstream.fault = "busy_long"
        got = await client.ask(nbest={"deadline": 20})
        assert (got.status, got.error["code"], got.retry_after) == (429, "upstream_busy", "30")
        assert got.seconds < 5


async def test_a_stream_that_waits_gives_signs_of_life(monkeypatch):
    monkeypatch.setattr(streaming, "QUIET_S", 0.05)
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.05)
    async with Misbehaving() as upstream, serving(engine_of(upstream), VOTE) as client:
        await client.healthy()
        upstream.fault = "hang"
        body = {**ASK, "stream": True, "nbest": {"deadline": DEADLINE_S}}
        async with client.session.post(client.base + "/v1/chat/completions", json=body) as reply:
            assert reply.status == 200
            raw = (await reply.read()).decode()
    assert raw.count(": \n\n") >= 3
    assert "nothing was there in time" in raw
    assert raw.endswith("data: [DONE]\n\n")


# ── whoever leaves ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("strategy", "num_calls"), [(VOTE, 5), (QUORUM, 5), (SINGLE, 1)])
async def test_a_client_that_leaves_frees_the_upstream_within_a_second(strategy, num_calls, stream):
    async with Misbehaving(n="1") as upstream, serving(engine_of(upstream), strategy) as client:
        before_s = await client.healthy()
        upstream.fault = "mid_hang" if stream and strategy == SINGLE else "hang"
        upstream.bodies.clear()
        task = asyncio.ensure_future(client.ask(stream=stream))
        await upstream.saw("bodies", num_calls)
        task.cancel()
        async with asyncio.timeout(1):
            await upstream.saw("num_cancelled", num_calls)
        upstream.fault = None
        assert await client.healthy() < 4 * before_s + 1
        assert client.num_at_work() == 0


# ── n ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("how", "num_calls"), [({"n": "ignored"}, 5), ({"n": "refused"}, 6), ({"n_silent_cap": 2}, 3)]
)
async def test_a_server_that_gives_fewer_than_n_is_asked_for_the_rest(how, num_calls):
    async with Misbehaving(**how) as upstream, serving(engine_of(upstream), VOTE) as client:
        got = await client.ask()
        assert (got.status, got.nbest["num_candidates"], got.num_failed) == (200, 5, 0)
        assert len(upstream.bodies) == num_calls
        assert await client.healthy()


# ── several upstreams ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["error500", "hang", "reset", "html", "busy_long", "unauthorised"])
async def test_replicas_stand_in_for_each_other(fault, stream):
    async with Misbehaving(n="1") as first, Misbehaving(n="1") as second:
        both = ", ".join(engine_of(u, attempts=1, timeout_s=1.5) for u in (first, second))
        async with serving(f"balance(engines=({both}), cool_down_s=0.3)", VOTE) as client:
            await client.healthy()
            assert first.bodies
            assert second.bodies
            first.fault = fault
            for _ in range(2):
                got = await client.ask(stream=stream)
                assert (got.status, got.text, got.num_failed) == (200, RIGHT, 0)
            first.fault = None
            await asyncio.sleep(1.0)
            first.bodies.clear()
            await client.healthy()
            assert first.bodies


async def test_servers_get_the_id_of_the_request_that_they_are_called_for():
    async with Misbehaving(n="1") as upstream, serving(engine_of(upstream), VOTE) as client:
        ids = []
        for stream in (False, True):
            body = {**ASK, "stream": stream}
            async with client.session.post(client.base + "/v1/chat/completions", json=body) as reply:
                await reply.read()
                ids.append(reply.headers["X-Request-Id"])
        sent = [id_ for id_ in upstream.ids if id_]
    assert {id_.rpartition("-")[0] for id_ in sent} == set(ids)
    assert len(set(sent)) == len(sent) >= 10


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["error500", "hang", "reset", "html", "busy_long", "unauthorised"])
async def test_the_second_upstream_stands_in_for_the_first(fault, stream):
    async with Misbehaving(n="1") as first, Misbehaving(n="1") as second:
        both = ", ".join(engine_of(u, attempts=1, timeout_s=1.5) for u in (first, second))
        async with serving(f"failover(engines=({both}), cool_down_s=0.3)", SINGLE) as client:
            before_s = await client.healthy()
            first.fault = fault
            got = await client.ask(stream=stream)
            assert (got.status, got.text, got.num_failed) == (200, RIGHT, 0)
            assert second.bodies
            assert got.seconds < TIMEOUT_S * (fault == "hang") + 3
            is_well = fault in {"busy_long", "unauthorised"}  # it answers
            assert list(breaker_states(client.service.gateway.upstreams.all_engines).values()) == [
                0.0 if is_well else 1.0,
                0.0,
            ]
            assert await client.healthy() < 4 * before_s + 1  # passed over, or asked in vain
            first.fault = None
            await asyncio.sleep(0.35)
            first.bodies.clear()
            assert await client.healthy() < 4 * before_s + 1
            assert first.bodies
            assert (await client.get("/ready"))[0] == 200


async def test_where_all_upstreams_fail_the_client_learns_what_helps():
    async with Misbehaving() as first, Misbehaving() as second:
        both = ", ".join(engine_of(u, attempts=1, timeout_s=1.5) for u in (first, second))
        async with serving(f"failover(engines=({both}), cool_down_s=0.01)", VOTE) as client:
            for faults, status, retry_after in (
                (("busy_long", "error500"), 429, "30"),
                (("error500", "too_long"), 400, None),
                (("hang", "error500"), 504, None),
                (("html", "error500"), 502, None),
            ):
                first.fault, second.fault = faults
                got = await client.ask()
                assert (got.status, got.retry_after) == (status, retry_after), got
            first.fault = second.fault = None
            assert await client.healthy()


async def test_a_gateway_starts_with_the_upstream_that_is_there():
    async with Misbehaving() as gone:
        pass
    async with Misbehaving() as there:
        both = ", ".join(engine_of(u, attempts=1) for u in (gone, there))
        async with serving(f"failover(engines=({both}))", VOTE) as client:
            assert client.service.gateway.upstreams.models == ("m",)
            assert await client.healthy()


# ── circuit breakers ────────────────────────────────────────────────────────────────────────────────


async def test_a_request_that_breaks_the_server_shuts_nobody_else_out():
    async with Misbehaving(n="1") as upstream, serving(engine_of(upstream), VOTE) as client:
        before_s = await client.healthy()
        for _ in range(3):
            upstream.fault = "error500"
            assert (await client.ask()).status == 502
            upstream.fault = None
            assert await client.healthy(1) < 4 * before_s + 1


async def test_an_upstream_that_fails_for_long_is_left_alone_for_a_while():
    async with Misbehaving(n="1") as upstream, serving(engine_of(upstream), VOTE) as client:
        before_s = await client.healthy()
        upstream.fault = "error500"
        for _ in range(5):
            assert (await client.ask()).status == 502
        upstream.bodies.clear()
        for stream in (False, True):
            got = await client.ask(stream=stream)
            assert (got.status, got.error["code"], got.retry_after) == (503, "upstream_unavailable", "1")
            assert got.seconds < 1
        assert upstream.bodies == []
        assert (await client.get("/ready"))[0] == 503
        assert "nbest_breaker_state{" in (metrics := (await client.get("/metrics"))[1])
        assert any(line.endswith(" 1.0") for line in metrics.splitlines() if "nbest_breaker_state{" in line)
        assert 'nbest_stopped_total{why="error"}' in metrics
        upstream.fault = None
        async with asyncio.timeout(10):
            while (await client.get("/ready"))[0] != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        got = await client.ask()
        assert (got.status, got.num_failed) == (200, 0)
        assert await client.healthy() < 4 * before_s + 1
        assert (await client.get("/ready"))[0] == 200


# ── restarts ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_is_restarted_under_load(stream):
    async with (
        Misbehaving(pause_s=0.005) as upstream,
        serving(engine_of(upstream, attempts=4), VOTE) as client,
    ):
        before_s = await client.healthy()
        stop, got = asyncio.Event(), []

        async def load():
            while not stop.is_set():
                got.append(await client.ask(stream=stream))

        clients = [asyncio.ensure_future(load()) for _ in range(8)]
        await asyncio.sleep(0.3)
        await upstream.stop()
        await asyncio.sleep(0.3)
        await upstream.start_again()
        await asyncio.sleep(1.5)  # longer than the first cool-down
        num_so_far = len(got)
        await asyncio.sleep(0.3)
        stop.set()
        await asyncio.gather(*clients)
        told = [g.error["code"] for g in got if g.error]
        assert {*told} <= {"upstream_error", "upstream_unavailable"}
        assert all(g.has_ended and g.seconds < 10 for g in got)
        assert len(got) > num_so_far
        assert [g.text for g in got[num_so_far:]] == [RIGHT] * (len(got) - num_so_far)
        assert await client.healthy() < 4 * before_s + 1
        recorded = await client.recorded()
        assert len(recorded) == len(got) + 6
        assert sum(o.selection is None for o in recorded) == len(told)


def test_a_gateway_waits_for_a_server_that_still_loads(tmp_path):
    soon = {"nbest.serve.start": {"_RETRY_S": 0.1}}
    with (
        running(Misbehaving(is_loading=2)) as upstream,
        process.serving(tmp_path, "--engine", f"openai:{upstream.url}", constants=soon),
    ):
        assert upstream.num_model_calls >= 1
    assert (tmp_path / "gateway.log").read_text().count("Loading model") == 2


async def test_a_server_that_does_not_say_what_it_serves_is_asked_again(monkeypatch):
    monkeypatch.setattr("nbest.http_client.GET_S", 0.5)
    async with Misbehaving(hangs_s=[60]) as upstream:
        async with serving(engine_of(upstream, timeout_s=600), VOTE) as client:
            assert await client.healthy()
        assert upstream.num_model_calls >= 1


@pytest.mark.parametrize("layer", ["hedge", "limit", "retry"])
def test_every_server_has_a_breaker_around_what_asks_again(layer):
    inner = "openai(url='http://a/v1', model='m')"
    for spec in (f"{layer}(engine={inner})", f"{layer}(engine=retry(engine={inner}))"):
        engine = Gateway(ServeSettings(engine=spec)).upstreams.engines["policy"]
        assert isinstance(engine, Breaker)
        assert not isinstance(engine.engine, Breaker)
        kept = Gateway(ServeSettings(engine=f"breaker(engine={spec})")).upstreams.engines["policy"]
        assert not isinstance(kept.engine, Breaker)
    assert not isinstance(
        Gateway(ServeSettings(engine=f"failover(engines=({inner},))")).upstreams.engines["policy"], Breaker
    )


@pytest.mark.parametrize(
    "spec",
    [
        "limit(engine=breaker(engine={a}))",
        "retry(engine=failover(engines=[breaker(engine={a}), breaker(engine={b})]))",
    ],
)
def test_a_breaker_is_seen_wherever_it_stands(spec):
    a, b = (f"openai(url='http://{host}/v1', model='m')" for host in "ab")
    gateway = Gateway(ServeSettings(engine=spec.format(a=a, b=b)))
    service = Service(gateway)
    breakers = [e for e in within(gateway.upstreams.engines["policy"]) if isinstance(e, Breaker)]
    for i, breaker in enumerate(breakers):
        assert not gateway.upstreams.is_given_up
        assert breaker_states(service.gateway.upstreams.all_engines)[breaker.name] == 0.0
        for _ in range(breaker.failures):
            breaker._circuit._learn_failure()
        assert breaker_states(service.gateway.upstreams.all_engines)[breaker.name] == 1.0
        assert gateway.upstreams.is_given_up == (i == len(breakers) - 1)


def test_a_failover_is_given_up_while_all_that_it_asks_are():
    a, b = (f"openai(url='http://{host}/v1', model='m')" for host in "ab")
    gateway = Gateway(ServeSettings(engine=f"failover(engines=[{a}, {b}])"))
    [failover] = [e for e in within(gateway.upstreams.engines["policy"]) if isinstance(e, Failover)]
    for circuit in failover.circuits:
        assert not gateway.upstreams.is_given_up
        circuit._learn_failure()
    assert gateway.upstreams.is_given_up


# ── hedged re-issue ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_reissued", [False, True])
async def test_slow_calls_that_are_made_again_cut_the_tail(is_reissued):
    async with Misbehaving(slow_s=1.2) as upstream:
        plain = engine_of(upstream, timeout_s=60, attempts=1)
        engine = f"hedge(engine={plain}, after_s=0.3)" if is_reissued else plain
        async with serving(engine, SINGLE) as client:
            upstream.faults.extend([*[None] * 19, "slow"])
            took = [(await client.ask()).seconds for _ in range(20)]
            assert sum(s >= 1.2 for s in took) == (0 if is_reissued else 1)
            assert len(upstream.bodies) == (21 if is_reissued else 20)
            assert upstream.num_cancelled == (1 if is_reissued else 0)


# ── choosing ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "strategy",
    [
        "parallel(sampler=iid(n=3), selector=best(scorer={verifier}))",
        "tree(search=beam(n=3, width=1), verifier={verifier})",
        "revise(sequential=2, parallel=2, verifier={verifier})",
        "self_refine(rounds=1, selector=best(scorer={verifier}))",
        "rsa(sampler=iid(n=3), steps=1, subset=2, selector=best(scorer={verifier}))",
    ],
)
async def test_a_verifier_that_is_not_there_costs_the_choice_and_no_answer(strategy, monkeypatch):
    monkeypatch.setattr(endpoint, "_FIRST_WAIT_S", 0.01)
    async with Misbehaving() as gone:
        pass
    async with Misbehaving() as upstream:
        strategy = strategy.format(verifier=f'reward(url="{gone.url}")')
        async with serving(engine_of(upstream), strategy) as client:
            for stream in (False, True):
                got = await client.ask(stream=stream)
                assert (got.status, got.text, got.stopped) == (200, RIGHT, "error")
                notes = " ".join(got.nbest["notes"])
                assert "the verifier" in notes or "scored no candidate" in notes
                assert "127.0.0.1" not in notes
            assert [(o.stopped, o.text) for o in await client.recorded()] == [("error", RIGHT)] * 2


async def test_a_fusor_that_breaks_off_is_replaced_unless_it_was_heard():
    strategy = "parallel(sampler=iid(n=3), selector=fuse(fallback=vote))"
    said = ("四 です", "四 だ", "五 です", "答え は 四")
    async with Misbehaving(texts=said) as upstream, serving(engine_of(upstream), strategy) as client:
        upstream.faults.extend([None, "mid_reset"])
        got = await client.ask(stream=True)
        assert (got.status, got.has_ended, got.text) == (200, True, "答え は")
        assert got.error["type"] == "server_error"
        upstream.drawn = 0
        upstream.faults.extend([None, "error500", "error500"])
        got = await client.ask(stream=True)
        assert (got.text, got.error, got.stopped) == ("四 です", None, "error")
        assert "the fusor failed" in got.nbest["notes"][-1]


# ── the other APIs ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("fault", "is_begun"), [("mid_reset", True), ("too_long", False)])
async def test_a_stream_of_responses_fails_in_its_own_words(fault, is_begun):
    async with Misbehaving() as upstream, serving(engine_of(upstream), SINGLE) as client:
        upstream.fault = fault
        body = {"model": "m", "input": "٢+٢؟", "stream": True}
        async with client.session.post(client.base + "/v1/responses", json=body) as reply:
            raw = (await reply.read()).decode()
            assert (reply.status, reply.content_type == "text/event-stream") == (
                200 if is_begun else 400,
                is_begun,
            )
        if is_begun:
            kinds = [line.removeprefix("event: ") for line in raw.splitlines() if line.startswith("event: ")]
            assert "response.output_text.delta" in kinds
            assert kinds[-2:] == ["error", "response.failed"]
        else:
            assert json.loads(raw)["error"]["type"] == "invalid_request_error"
