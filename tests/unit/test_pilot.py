import asyncio

import pytest

from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.run import ask
from nbest.sampling.hedged import Hedged
from nbest.sampling.iid import Iid
from nbest.types import Budget
from scripted import prompt_of

PROMPT = prompt_of("三加四等于几？", "zh")


def texts(candidates):
    return [c.text for c in candidates]


async def pilot_then(sampler, size=4, budget=None, **how):
    """The context, the pilot's candidates, and those of the same sampler with `size` draws after it."""
    ctx = Context({"policy": Fake()}, seed=7, prompt_id="p", budget=budget)
    pilot = await ctx.sample(Iid(n=3)(PROMPT, ctx.random("sample")), is_pilot=True)
    return ctx, pilot, await ctx.sample(sampler(n=size)(PROMPT, ctx.random("sample")), **how)


async def test_a_pilot_is_a_free_beginning_of_the_pool_that_follows():
    ctx, pilot, pool = await pilot_then(Iid, 8)
    assert pool[:3] == pilot
    assert [c.id for c in pool] == list(range(8)) == [c.id for c in ctx.candidates]
    fresh = Context({"policy": Fake()}, seed=7, prompt_id="p")
    assert texts(pool) == texts(await fresh.sample(Iid(n=8)(PROMPT, fresh.random("sample"))))
    assert ctx.meter.usage["policy"].completion == fresh.meter.usage["policy"].completion


async def test_draw_i_is_one_text_whatever_method_asks_for_it():
    _, pilot, pool = await pilot_then(lambda n: Hedged(n=n, min_p=0.0), 5)
    assert pool[:3] == pilot
    assert [c.params.temperature for c in pool] == [0.7, 0.7, 0.7, 0.0, 0.7]

    specs = (
        "parallel(sampler=hedged(n=5, min_p=0), selector=vote)",
        "parallel(sampler=iid(n=5), selector=vote)",
    )
    hedged, drawn = [
        await ask(PROMPT, registry.parse("strategies", spec), {"policy": Fake()}, seed=7) for spec in specs
    ]
    assert texts(hedged.candidates[1:]) == texts(drawn.candidates[:4])


async def test_the_budget_is_asked_for_new_draws_only():
    ctx, pilot, pool = await pilot_then(Iid, 8, budget=Budget(samples=5))
    assert (len(pilot), len(pool), ctx.stopped) == (3, 5, "budget")


async def test_other_parameters_are_other_draws():
    ctx, _, pool = await pilot_then(lambda n: Iid(n=n, temperature=0.9), 3)
    assert [c.id for c in pool] == [3, 4, 5]
    assert len(ctx.candidates) == 6


@pytest.mark.parametrize("how", [{"quorum": 4}, {"quorum": 2}])
async def test_a_quorum_counts_what_is_there(how):
    _, pilot, pool = await pilot_then(Iid, 6, **how)
    assert pool[:3] == pilot
    assert sum(c.is_usable for c in pool) >= how["quorum"]


async def test_a_stop_sees_the_pilot_first():
    seen = []

    async def until(candidates):
        seen.append([c.id for c in candidates])
        return len(candidates) >= 4

    await pilot_then(Iid, 6, until=until)
    assert all(ids[:3] == [0, 1, 2] for ids in seen)
    await asyncio.sleep(0)


async def test_failed_draws_are_drawn_again():
    ctx = Context({"policy": Fake(error_rate=0.5)}, seed=3, prompt_id="p")
    pilot = await ctx.sample(Iid(n=8)(PROMPT, ctx.random("sample")), is_pilot=True)
    num_failed = sum(not c.is_usable for c in pilot)
    assert num_failed
    await ctx.sample(Iid(n=8)(PROMPT, ctx.random("sample")))
    assert len(ctx.candidates) == 8 + num_failed
