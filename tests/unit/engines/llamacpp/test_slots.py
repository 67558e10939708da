import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.engines.llamacpp.slots import PATIENCE, SlotScheduler


async def started(slots, log, *plan):
    """Calls that wait for a turn in this order, each written down when it has one."""

    async def call(name, n, least, is_continued):
        log.append((name, await slots.take(n, least=least, is_continued=is_continued)))

    tasks = [asyncio.create_task(call(*p)) for p in plan]
    await settle()
    return tasks


async def settle():
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_continues_comes_before_what_begins():
    slots, log = SlotScheduler(4), []
    assert await slots.take(4) == 4
    await started(slots, log, ("a", 4, None, False), ("b", 2, None, True), ("c", 2, None, True))
    slots.give_back(4)
    await settle()
    assert log == [("b", 2), ("c", 2)]
    slots.give_back(4)
    await settle()
    assert log[2:] == [("a", 4)]


async def test_a_beginning_may_come_in_parts_and_a_continuation_waits_for_all_its_places():
    slots, log = SlotScheduler(8), []
    assert await slots.take(5) == 5
    await started(slots, log, ("begins", 8, 2, False), ("goes on", 4, None, True))
    assert log == [("begins", 3)]
    slots.give_back(5)
    await settle()
    assert log[1:] == [("goes on", 4)]


async def test_more_than_there_is_gets_all_there_is():
    assert await SlotScheduler(3).take(16) == 3


async def test_who_waits_to_begin_is_passed_a_bounded_number_of_times():
    slots, log = SlotScheduler(1), []
    await slots.take(1)
    going_on = [(i, 1, None, True) for i in range(PATIENCE + 5)]
    await started(slots, log, ("begins", 1, None, False), *going_on)
    for _ in range(PATIENCE + 2):
        slots.give_back(1)
        await settle()
    assert log.index(("begins", 1)) == PATIENCE
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


async def test_who_is_cancelled_as_its_turn_comes_gives_it_back():
    slots, log = SlotScheduler(1), []
    await slots.take(1)
    (first,) = await started(slots, log, ("a", 1, None, False))
    slots.give_back(1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await slots.take(1) == 1


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(1, 8), st.booleans(), st.booleans()), max_size=14),
    st.randoms(),
)
def test_no_order_of_calls_and_cancellations_leaks_a_place(size, plan, rng):
    held = [0]

    async def call(slots, n, is_continued):
        num = await slots.take(n, least=1 + n // 4, is_continued=is_continued)
        held[0] += num
        assert held[0] <= size
        try:
            await asyncio.sleep(0)
        finally:
            held[0] -= num
            slots.give_back(num)

    async def run():
        slots = SlotScheduler(size)
        tasks = []
        for n, goes_on, is_cancelled in plan:
            tasks.append(asyncio.create_task(call(slots, n, goes_on)))
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            if is_cancelled:
                rng.choice(tasks).cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert await slots.take(size) == size

    asyncio.run(run())
