import gc
from random import Random

import pytest

from nbest import registry
from nbest.context import Context
from nbest.datasets import Item
from nbest.engines.fake import Fake
from nbest.errors import CapabilityError, SpecError
from nbest.sampling.hedged import Hedged
from nbest.sampling.iid import Iid
from nbest.sampling.mixture import Mixture
from nbest.selection.first import First
from nbest.session import Session
from nbest.strategies.parallel import Parallel
from nbest.types import Prompt
from scripted import prompt_of

PROMPT = prompt_of("一共有几个？")


def test_draws_go_to_the_engines_in_turn():
    plan = Mixture(sampler=Hedged(n=5), engines=("policy", "b"))(PROMPT, Random(1))
    assert [r.engine for r in plan for _ in range(r.n)] == ["policy", "b", "policy", "b", "policy"]
    assert plan[0].params.temperature == 0


def test_neighbours_of_one_engine_are_one_call():
    plan = Mixture(sampler=Iid(n=6), engines=("a", "a", "b"))(PROMPT, Random(1))
    assert [(r.engine, r.n) for r in plan] == [("a", 2), ("b", 1), ("a", 2), ("b", 1)]
    whole = Mixture(sampler=Iid(n=6), engines=("a",))(PROMPT, Random(1))
    assert [r.n for r in whole] == [6]


def test_n_is_the_samplers_unless_given():
    assert registry.parse("samplers", "mixture(hedged(n=7), engines=[a])").n == 7
    sampler = registry.parse("samplers", "mixture(hedged(n=7), engines=[a], n=3)")
    assert (sampler.n, sampler.sampler.n) == (3, 3)


def test_it_needs_engines():
    with pytest.raises(SpecError, match="mixture needs engines"):
        registry.parse("samplers", "mixture")
    with pytest.raises(SpecError, match="at least one engine"):
        registry.parse("samplers", "mixture(engines=[])")


async def test_candidates_say_which_engine_they_are_of():
    class Other(Fake):
        @property
        def name(self):
            return "other"

    ctx = Context({"policy": Fake(), "b": Other()})
    pool = await ctx.sample(Mixture(sampler=Hedged(n=3), engines=("policy", "b"))(PROMPT, Random(1)))
    assert [c.engine for c in pool] == ["fake", "other", "fake"]


async def test_an_engine_that_is_not_there_is_named_before_anything_is_drawn():
    ctx = Context({"policy": Fake()})
    with pytest.raises(CapabilityError, match="no engine is called 'b'"):
        await ctx.sample(Mixture(sampler=Hedged(n=3), engines=("policy", "b"))(PROMPT, Random(1)))
    assert not ctx.meter.usage


async def test_a_run_over_many_prompts_says_so_once(caplog):
    strategy = Parallel(sampler=Mixture(engines=("policy", "b")), selector=First())
    items = [Item(prompt=Prompt(id=f"p{i}", messages=PROMPT.messages), gold={}) for i in range(3)]
    async with Session(engine=Fake(), strategy=strategy) as session:
        with pytest.raises(CapabilityError, match="no engine is called 'b'"):
            await session.run(items)
    gc.collect()
    assert not caplog.records
