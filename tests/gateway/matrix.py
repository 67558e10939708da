"""The fault matrix: which fault, of which calls, under which strategy; what came of it, and what should have."""

import asyncio
from dataclasses import dataclass

from gateway.misbehaving import LONG_WAIT_S, RIGHT, Misbehaving, serving

TIMEOUT_S = 2.5
"""Of one call; two are made."""
VOTE = "parallel(sampler=iid(n=5), selector=vote)"
QUORUM = "parallel(sampler=iid(n=5), selector=vote, quorum=3)"
SINGLE = "parallel(sampler=greedy, selector=first)"

FAULTS = {
    "error500": "500",
    "hang": "no reply",
    "trickle": "a blank now and then, for ever",
    "reset": "connection reset in the middle of the reply",
    "hang_up": "connection reset before the reply",
    "malformed": "half a JSON object",
    "bytes": "bytes that are no text",
    "empty": "no `choices`",
    "null": "`content` is null",
    "html": "a web page",
    "error_in_200": "an error under status 200",
    "events_unasked": "events where none were asked for",
    "named_otherwise": "a right answer as `text/html`",
    "cut": "a cut answer",
    "busy": "429, `Retry-After: 0.05`",
    "busy_long": f"429, `Retry-After: {LONG_WAIT_S}`, deadline 5 s",
    "too_long": "400",
    "unauthorised": "401",
}
MID_FAULTS = {
    "mid_reset": "connection reset",
    "mid_end": "the stream ends",
    "mid_error": "an error object",
    "mid_error_event": "an error event",
    "mid_malformed": "half a JSON object",
    "mid_hang": "silence",
    "mid_trickle": "comments, for ever",
}
IS_WELL = {"named_otherwise", "cut"}
"""Replies that are answers."""
IS_FINAL = {"busy_long", "too_long", "unauthorised"}
"""What is not asked again."""
IS_SLOW = {"hang", "trickle"}
IS_SILENT = IS_SLOW | {"mid_hang", "mid_trickle"}
"""What only a timeout ends."""
STATUS = {
    "hang": (504, "deadline"),
    "trickle": (504, "deadline"),
    "mid_hang": (504, "deadline"),
    "mid_trickle": (504, "deadline"),
    "busy": (429, "upstream_busy"),
    "busy_long": (429, "upstream_busy"),
    "too_long": (400, None),
    "unauthorised": (502, "upstream_key"),
}
"""Where nothing else was drawn; of others 502."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """`where`: once (of one call), one (of every call for one candidate), all (of every call)."""

    fault: str
    where: str
    strategy: str = VOTE
    stream: bool = False

    def __str__(self):
        how = {VOTE: "vote", QUORUM: "quorum", SINGLE: "single"}[self.strategy]
        return f"{self.fault}-{self.where}-{how}{'-stream' if self.stream else ''}"


@dataclass(kw_only=True)
class Row:
    case: Case
    got: object
    num_calls: int
    recorded: tuple
    """Outcomes on disk of this request."""
    before_s: float
    after_s: float
    """What healthy requests take before and after."""
    num_at_work: int


CASES = [
    *(Case(fault=f, where=w) for f in FAULTS for w in ("once", "one", "all")),
    *(Case(fault=f, where=w, strategy=QUORUM) for f in FAULTS for w in ("one", "all")),
    *(Case(fault=f, where="one", strategy=QUORUM, stream=True) for f in FAULTS),
    *(Case(fault=f, where="all", stream=True) for f in FAULTS),
    *(Case(fault=f, where=w, strategy=SINGLE, stream=True) for f in FAULTS for w in ("once", "all")),
    *(Case(fault=f, where="all", strategy=SINGLE, stream=True) for f in MID_FAULTS),
]


async def tried(case):
    """One case, with a server and a gateway of its own: healthy requests, the fault, healthy requests."""
    async with Misbehaving(n="1") as upstream:
        engine = f'retry(engine=openai(url="{upstream.url}", timeout_s={TIMEOUT_S}), attempts=2, base_s=0.01)'
        async with serving(engine, case.strategy) as client:
            await client.ask(seed=1)
            upstream.bodies.clear()
            await client.ask(seed=2)
            seeds = [body.get("seed") for body in upstream.bodies]
            before_s = await client.healthy()
            match case.where:
                case "once":
                    upstream.faults.append(case.fault)
                case "one":
                    upstream.fault_by_seed = {seeds[2]: case.fault}
                case "all":
                    upstream.fault = case.fault
            upstream.bodies.clear()
            deadline = {"deadline": 5} if case.fault == "busy_long" else {}
            got = await client.ask(stream=case.stream, seed=2, nbest=deadline)
            num_calls = len(upstream.bodies)
            upstream.fault, upstream.fault_by_seed = None, {}
            upstream.faults.clear()
            row = Row(
                case=case,
                got=got,
                num_calls=num_calls,
                recorded=(),
                before_s=before_s,
                after_s=await client.healthy(),
                num_at_work=client.num_at_work(),
            )
            # Of a prompt answered twice the record keeps the later outcome, which is the one with the fault.
            row.recorded = tuple(o for o in await client.recorded() if o.prompt.id.startswith("seeded-"))[-1:]
            return row


async def tried_all(cases, at_once):
    """All cases, `at_once` at a time, besides those that do little but wait, which begin at once."""
    places = asyncio.Semaphore(at_once)

    async def one(case):
        if case.fault in IS_SILENT:
            return await tried(case)
        async with places:
            return await tried(case)

    return await asyncio.gather(*map(one, cases), return_exceptions=True)


def check(row):
    """Raises `AssertionError` where it was not as it should be."""
    case, got, fault = row.case, row.got, row.case.fault
    is_mid, is_well = (
        fault in MID_FAULTS,
        fault in IS_WELL
        or (fault == "events_unasked" and case.strategy in {SINGLE, QUORUM}),  # they are streamed
    )
    is_lost = not is_well and (case.where == "all" or (case.strategy == SINGLE and fault in IS_FINAL))
    (outcome,) = row.recorded
    num_slow = 2 * (fault in IS_SILENT and (case.strategy != QUORUM or is_lost))
    assert got.seconds < num_slow * TIMEOUT_S + 4
    assert got.has_ended
    assert row.num_at_work == 0
    assert row.after_s < 4 * row.before_s + 1
    if is_lost:
        status, code = STATUS.get(fault, (502, "upstream_error"))
        if is_mid:
            status = 200  # it had begun
            assert RIGHT.startswith(got.text)
            assert got.text
            assert row.num_calls == 1  # what was streamed is not drawn again
        if got.is_stream:
            status = 200  # after a while of waiting
        assert (got.status, got.error["code"]) == (status, code)
        assert got.error["message"]
        assert "Traceback" not in str(got.error)
        if got.status == 429:
            assert got.retry_after == (str(LONG_WAIT_S) if fault == "busy_long" else "1")
        assert outcome.selection is None
        assert outcome.error
        assert {c.is_usable for c in outcome.candidates} == {False}
        return
    assert (got.status, got.error) == (200, None)
    assert outcome.stopped == got.stopped
    assert outcome.text == got.text
    is_cut = fault == "cut" and (case.where == "all" or case.strategy == SINGLE)
    if is_cut:
        assert (got.text, got.finish, got.num_failed) == (RIGHT[:1], "length", 0)
    elif fault != "cut":
        assert (got.text, got.finish) == (RIGHT, "stop")
    is_spared = is_well or (case.where == "once" and fault not in IS_FINAL)
    if case.strategy == QUORUM:
        assert got.stopped in {"done", "quorum"}
        assert got.num_failed <= 2
    else:
        assert got.stopped == "done"
        assert got.num_failed == (0 if is_spared else 1)
    assert sum(c.error is not None for c in outcome.candidates) == got.num_failed
