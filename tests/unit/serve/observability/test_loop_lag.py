"""How late an event loop is."""

import asyncio
import time

from nbest.serve.observability.loop_lag import LoopLag


def test_the_highest_lag_of_the_last_minute_is_kept():
    now = time.monotonic()
    seen = []
    lag = LoopLag(seen.append)
    assert lag.max_s == 0
    lag.add(now - 61, 9.0)
    lag.add(now - 50, 0.3)
    lag.add(now - 40, 0.5)
    lag.add(now - 30, 0.1)
    assert lag.max_s == 0.5
    lag.add(now + 25, 0.2)
    assert lag.max_s == 0.2
    assert seen == [9.0, 0.3, 0.5, 0.1, 0.2]


async def test_what_blocks_the_loop_is_seen():
    seen = []
    lag = LoopLag(seen.append)
    watching = asyncio.ensure_future(lag.watch())
    await asyncio.sleep(0.06)
    time.sleep(0.3)  # noqa: ASYNC251
    await asyncio.sleep(0.06)
    watching.cancel()
    assert 0.2 < lag.max_s < 5
    assert max(seen) == lag.max_s
