"""No plug-in draws more than its `demand` says, be its judge silent or not, and however long its answers are."""

import asyncio

import pytest

from nbest import registry
from nbest.demand import demand_of
from nbest.engines.fake import Fake
from nbest.run import ask
from nbest.types import Completion, Message, Prompt, Usage
from specs import all_of

PROMPT = Prompt(id="p", messages=(Message(role="user", content="二加三等于几？" * 40),), language="zh")
HOLDERS = {
    "strategies": "{}",
    "samplers": "parallel(sampler={}, selector=vote)",
    "selectors": "parallel(sampler=iid(n=6), selector={})",
    "scorers": "best(scorer={}, n=5)",
    "utilities": "mbr(utility={}, n=5)",
    "searches": "tree(search={}, verifier=judge)",
}
CLOSED = ("comet", "embedding", "reward", "hf_", "recorded", "oracle", "noisy", "word_steps")
"""They need a server, a model or the gold answer, and draw nothing."""
FURTHER = [
    "judge_pairwise(n=7)",
    "tournament(n=9)",
    "mbr(n=6, utility=judged)",
    "best(scorer=step_judge(votes=5), n=6)",
    "best(scorer=judge(read=logprobs), n=6)",
    "best(scorer=judge(read=grammar), n=6)",
    "rsa(steps=6, sampler=iid(n=5))",
    "revise(sequential=6, parallel=4, verifier=judge)",
    "self_refine(rounds=9, selector=judge_pairwise)",
    "budget_forcing(waits=7)",
    "beam(n=8, lookahead=3, verifier=judge)",
    "beam(n=8, verifier=rollouts(k=3, every=true))",
    "particles(n=4, sweeps=3, verifier=judge)",
    "abmcts(n=6, verifier=judge)",
    "dora(n=4, similarity=judged, verifier=judge)",
    "parallel(sampler=prompts(sampler=prompts(variants=['{prompt}{prompt}']), variants=['{prompt}', '{prompt} {prompt} {prompt}'], n=7), selector=chops)",
    "cross_lingual(selector=vote, languages=[en, ar, hi], evidence=7)",
    "fuse(n=5, fallback=judge_pairwise)",
    "guard(selector=best(scorer=judge, fallback=tournament), n=5)",
]


class Counted:
    """The fake engine, with counts of what it was asked for; a silent one gives no verdict."""

    def __init__(self, *, is_silent):
        self.fake, self.is_silent = Fake(), is_silent
        self.num_draws = self.num_tokens = self.num_copies = 0
        self.name = "counted"

    async def capabilities(self):
        return await self.fake.capabilities()

    async def generate(self, request, on_delta=None):
        self.num_draws += request.n
        self.num_tokens += request.n * request.params.max_tokens
        text = "".join(m.content for m in request.prompt.messages)
        self.num_copies += request.n * text.count(PROMPT.text)
        if self.is_silent and request.role != "policy" and request.params.logprobs is None:
            texts = [f"ไม่รู้ {i}" for i in range(request.n)]
            return [Completion(text=t, usage=Usage(completion=3)) for t in texts]
        return await self.fake.generate(request)


def wrapped(kind, spec):
    return HOLDERS[kind].format(spec)


SPECS = [
    wrapped(kind, spec)
    for kind in HOLDERS
    for spec in all_of(kind)
    if not spec.startswith(CLOSED) and "oracle" not in spec
]


@pytest.mark.parametrize("is_silent", [False, True])
@pytest.mark.parametrize("spec", [*SPECS, *FURTHER])
def test_no_more_is_drawn_than_was_said(spec, is_silent):
    strategy, engine = registry.parse("strategies", spec), Counted(is_silent=is_silent)
    outcome = asyncio.run(ask(PROMPT, strategy, {"policy": engine, "b": engine}))
    assert outcome.candidates, outcome.error
    demand = demand_of(strategy)
    assert 0 < engine.num_draws <= demand.draws
    assert engine.num_tokens <= demand.tokens()
    assert engine.num_copies <= demand.copies
