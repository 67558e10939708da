import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.engines.fake import Fake
from nbest.errors import EngineError
from nbest.run import ask
from nbest.scoring.merge import Merger
from nbest.scoring.reward import Reward
from nbest.scoring.reward_batch import parts
from nbest.search.beam import Beam
from nbest.strategies.tree import Tree
from nbest.types import Budget, Message, Prompt


class Batches:
    """Doubles numbers; remembers its batches, and how many were under way at most."""

    def __init__(self, fail=None, hold=None):
        self.batches, self.peak, self.fail, self.hold, self._now = [], 0, fail, hold, 0

    async def __call__(self, items):
        self.batches.append(list(items))
        self._now += 1
        self.peak = max(self.peak, self._now)
        try:
            if self.hold:
                await self.hold.wait()
            await asyncio.sleep(0.001)
        finally:
            self._now -= 1
        if self.fail in items:
            raise EngineError("no")
        return [2 * i for i in items]


async def test_who_asks_in_the_same_moment_is_in_one_batch():
    run = Batches()
    merger = Merger(run, size=32)
    assert await asyncio.gather(*(merger([i, i + 100]) for i in range(5))) == [
        [2 * i, 2 * (i + 100)] for i in range(5)
    ]
    assert run.batches == [[0, 100, 1, 101, 2, 102, 3, 103, 4, 104]]


async def test_what_is_asked_while_a_batch_runs_is_the_next():
    run = Batches(hold=asyncio.Event())
    merger = Merger(run, size=3)
    asked = []
    for i in range(8):
        asked.append(asyncio.create_task(merger([i])))
        await asyncio.sleep(0.001)
    run.hold.set()
    assert await asyncio.gather(*asked) == [[2 * i] for i in range(8)]
    assert run.batches == [[0], [1, 2, 3], [4, 5, 6], [7]]
    assert run.peak == 1


async def test_one_asks_for_more_than_a_batch_holds():
    run = Batches()
    assert await Merger(run, size=3, num_calls=2)(range(7)) == [2 * i for i in range(7)]
    assert run.batches == [[0, 1, 2], [3, 4, 5], [6]]
    assert run.peak == 2


async def test_nothing_asked_for_is_nothing():
    run = Batches()
    assert await Merger(run, size=3)([]) == []
    assert run.batches == []


async def test_an_error_is_raised_to_those_in_the_batch_alone():
    run = Batches(fail=1)
    merger = Merger(run, size=2)
    results = await asyncio.gather(*(merger([i]) for i in range(4)), return_exceptions=True)
    assert [type(r) for r in results] == [EngineError, EngineError, list, list]
    assert await merger([5]) == [10]


async def test_who_gives_up_takes_nobody_along():
    run = Batches(hold=asyncio.Event())
    merger = Merger(run, size=2)
    asked = [asyncio.create_task(merger([i])) for i in range(5)]
    await asyncio.sleep(0.001)
    asked[1].cancel()  # under way with 0
    asked[2].cancel()  # waits
    await asyncio.sleep(0)
    run.hold.set()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [r if isinstance(r, list) else None for r in results] == [[0], None, None, [6], [8]]
    assert run.batches == [[0, 1], [3, 4]]


async def test_a_call_that_nobody_waits_for_is_ended_and_frees_its_place():
    run = Batches(hold=asyncio.Event())
    merger = Merger(run, size=2)
    asked = [asyncio.create_task(merger([i])) for i in range(3)]
    await asyncio.sleep(0.001)
    for task in asked[:2]:
        task.cancel()
    await asyncio.sleep(0.001)
    assert run.batches == [[0, 1], [2]]
    run.hold.set()
    assert await asked[2] == [4]


async def test_closing_ends_what_is_under_way():
    run = Batches(hold=asyncio.Event())
    merger = Merger(run, size=2)
    asked = asyncio.create_task(merger([1]))
    await asyncio.sleep(0.001)
    await merger.aclose()
    assert run._now == 0
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


@given(st.integers(0, 1000), st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_the_parts_of_a_whole_sum_to_it(total, weights):
    shares = parts(total, weights)
    assert sum(shares) == total
    assert all(s >= 0 for s in shares)
    whole = sum(weights)
    assert not whole or all(abs(s - total * w / whole) < 1 for s, w in zip(shares, weights, strict=True))


# ── searches on many prompts against one reward server ──────────────────────────────────────────────

PROMPTS = [
    Prompt(id=f"{x}{i}", messages=(Message(role="user", content=f"{x} {i}"),))
    for i in range(5)
    for x in ("سؤال", "प्रश्न", "質問", "вопрос", "คำถาม", "问题")
]


def solve(prompt, verifier, **how):
    tree = Tree(search=Beam(n=4, width=2), verifier=verifier)
    return ask(prompt, tree, {"policy": Fake()}, **how)


async def test_verifier_calls_of_different_prompts_are_merged(reward_server):
    async with reward_server("/classify", delay_s=0.01) as server:
        verifier = Reward(url=f"{server.url}/classify", form="text", batch=16)
        together = await asyncio.gather(*(solve(p, verifier) for p in PROMPTS))
        sizes = [len(body["input"]) for _, body, _ in server.calls]
        alone = [await solve(p, verifier) for p in PROMPTS]
        num_alone = len(server.calls) - len(sizes)
    assert max(sizes) == 16
    assert len(sizes) < num_alone / 2
    usage = [o.usage["verifier"] for o in together]
    assert sum(u.calls for u in usage) == len(sizes)
    assert sum(u.prompt for u in usage) == 7 * sum(sizes)
    assert [o.selection for o in together] == [o.selection for o in alone]


async def test_a_text_that_the_server_refuses_costs_no_other_prompt_its_score(reward_server):
    async with reward_server("/classify") as server:
        verifier = Reward(url=f"{server.url}/classify", form="text")
        whole = await asyncio.gather(*(solve(p, verifier) for p in PROMPTS))
        server.refuse = (f"{PROMPTS[2].text}\n\n{whole[2].text}",)
        partial = await asyncio.gather(*(solve(p, verifier) for p in PROMPTS))
    assert any("candidates have no score" in note for note in partial[2].notes)
    assert [i for i, o in enumerate(partial) if o.notes] == [2]
    assert [o.selection for i, o in enumerate(partial) if i != 2] == [
        o.selection for i, o in enumerate(whole) if i != 2
    ]


async def test_a_verifier_that_hangs_ends_at_each_prompts_own_deadline(reward_server):
    async with reward_server("/classify", delay_s=0.5) as server:
        verifier = Reward(url=f"{server.url}/classify", form="text")
        patient = asyncio.create_task(solve(PROMPTS[0], verifier))
        hasty = await solve(PROMPTS[1], verifier, budget=Budget(seconds=0.2))
        assert hasty.stopped == "deadline"
        assert hasty.selection is not None
        assert any("before the deadline" in note for note in hasty.notes)
        assert hasty.seconds < 0.45
        assert (await patient).stopped == "done"
        alone = await solve(PROMPTS[0], verifier)
        assert ((await patient).selection, (await patient).candidates) == (alone.selection, alone.candidates)
