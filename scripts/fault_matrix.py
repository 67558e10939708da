"""Writes docs/gateway-faults.md: every fault of the matrix tried one after another, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from gateway.matrix import (  # noqa: E402
    CASES,
    FAULTS,
    MID_FAULTS,
    QUORUM,
    SINGLE,
    TIMEOUT_S,
    VOTE,
    Case,
    Row,
    check,
    tried,
)

PAGE = ROOT / "docs" / "gateway-faults.md"
COLUMNS = {
    "one call, once": ("once", VOTE, False),
    "one candidate, every time": ("one", VOTE, False),
    "the same, `quorum=3`": ("one", QUORUM, False),
    "every call": ("all", VOTE, False),
    "every call, streamed": ("all", VOTE, True),
}


def cell(row: Row) -> str:
    """What the client got, how long it took, and what was recorded where that is no answer."""
    got, (outcome,) = row.got, row.recorded
    if got.error:
        said = f"{got.status}" if got.status != 200 else "error in the stream"  # noqa: PLR2004
        after = f", `Retry-After: {got.retry_after}`" if got.retry_after else ""
        return f"{said}{after} · {got.seconds:.2f} s · `{outcome.stopped}`"
    what = "cut answer" if got.finish == "length" else "answer"
    failed = f", {got.num_failed} failed" if got.num_failed else ""
    stopped = "" if got.stopped == "done" else f", `{got.stopped}`"
    return f"{what}{failed}{stopped} · {got.seconds:.2f} s"


def page(rows: dict[Case, Row]) -> str:
    """The whole of it."""
    lines = [INTRODUCTION, f"| fault | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for fault, says in FAULTS.items():
        wanted = (Case(fault=fault, where=w, strategy=s, stream=t) for w, s, t in COLUMNS.values())
        lines.append(f"| {says} | {' | '.join(cell(rows[c]) for c in wanted)} |")
    lines += [MIDDLE, "| fault | what comes |", "|---|---|"]
    for fault, says in MID_FAULTS.items():
        row = rows[Case(fault=fault, where="all", strategy=SINGLE, stream=True)]
        lines.append(f"| {says} | the text so far, then: {cell(row)} |")
    slower = sorted(r.after_s / r.before_s for r in rows.values())
    before, after = (
        sorted(getattr(r, f"{w}_s") for r in rows.values())[len(rows) // 2] for w in ("before", "after")
    )
    lines.append(
        END.format(
            num=len(rows),
            before=before * 1000,
            after=after * 1000,
            ratio=slower[len(slower) // 2],
            most=slower[-1],
        )
    )
    return "\n".join(lines)


INTRODUCTION = f"""# Faults

What a client gets while the server behind the gateway misbehaves. The table is from a run of

```sh
python scripts/fault_matrix.py
```

which tries one case after another, each with a server and a gateway of its own in one process, and checks each as the tests do
(`tests/gateway/test_faults.py`). Five draws, each a call of its own, and a vote; a call may take {TIMEOUT_S:g} s
(`timeout_s`) and is made twice (`retry(attempts=2, base_s=0.01)`). Seconds are those of the client, on a shared machine: they
show what waits and what does not, no more.

Every case is recorded with all its candidates, failed ones with the error of each. A cell shows `stopped` where it is not
`done`: in the reply and in the record, and of requests without an answer in the record alone.
"""
MIDDLE = """
A fault of one candidate costs that candidate. Who does not want to wait for one that hangs sets a `quorum` or a `deadline`: with
either, the others answer.

A cut candidate counts as any other; of those that agree, a vote shows one that is whole where there is one.

A stream is begun once something is drawn, or after 2 s: an error before that has its status; after that it is told in the stream.

One sample, streamed, where the fault comes after some of its text. What was heard is not drawn again:
"""
END = """
With a `deadline` of its own, a stream that falls silent ends at the deadline as an answer as far as it got
(`finish_reason` `length`, `stopped` `deadline`).

## Afterwards

In all {num} cases the next healthy requests are answered, nothing is left at work. Their median took {before:.1f} ms before the fault and
{after:.1f} ms after it (ratio of a case's own two: median {ratio:.2f}, highest {most:.2f}; a case has three requests before and three after).

## What else is tested

| fault | what comes |
|---|---|
| the client leaves, streaming or not | the upstream's calls are cancelled within a second |
| the client reads no more of its stream | cut off once it has taken nothing for 60 s; its place is free |
| `n` ignored, capped or refused | the rest is asked for: five candidates |
| the first of two upstreams fails (`failover`) | the second answers, no candidate fails; the first is asked again after `cool_down_s` |
| all upstreams fail | what helps the client first: 400, then 429 with `Retry-After`, then 503, then 504, then 502 |
| one request breaks the server, again and again | others are answered: calls that fail together count as one |
| five requests in a row fail | 503 with `Retry-After` at once and `/ready` 503, for 1 s; then 2, 4, … 30 s while it lasts |
| the upstream is restarted under load | 502 or 503 meanwhile, or a retry that succeeds; then answers as before |
| the upstream still loads when the gateway starts | `/ready` 503 until it answers |
| one call of twenty is slow (`reissue(after_s=…)`) | made twice: 20 requests take 21 calls, and none is slow |
| what scores the candidates is not there | the first candidate, `stopped` `error`, and a note |

A deadline does not tell a server that hangs from one that is slow: set `timeout_s` of `openai(…)` to less than the deadline, so that
`retry`, `failover` and circuit breakers learn of it in time.
"""


async def run() -> dict[Case, Row]:
    """Every case by itself."""
    rows = {}
    for case in CASES:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # noqa: ASYNC230, PTH123
            rows[case] = await tried(case)
        check(rows[case])
    return rows


if __name__ == "__main__":
    PAGE.write_text(page(asyncio.run(run())), encoding="utf-8")
