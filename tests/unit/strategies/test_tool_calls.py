"""A call of a tool is an answer like any other: it is shown, criticised and scored as text."""

from dataclasses import dataclass

from judges import shown
from nbest import registry
from nbest.run import ask
from nbest.strategies.revise import Revise
from nbest.types import Completion, Score, ToolCall, Usage
from scripted import Scripted, prompt_of

HI = prompt_of("ओस्लो में मौसम कैसा है?", "hi")
CITIES = ("पेरिस", "ओस्लो")


class Caller(Scripted):
    """Asks for the weather of one city after another, and criticises that."""

    num_drawn = 0

    def say(self, request):
        if request.role != "policy":
            return Completion(text="शहर गलत है।\n[[2]]", usage=Usage(calls=1))
        return [self.call() for _ in range(request.n)]

    def call(self):
        city = CITIES[min(self.num_drawn, 1)]
        self.num_drawn += 1
        calls = (ToolCall(id=f"c{self.num_drawn}", name="weather", arguments=f'{{"city": "{city}"}}'),)
        return Completion(text="", tool_calls=calls, usage=Usage(calls=1))


@dataclass(frozen=True, kw_only=True)
class Reader:
    async def __call__(self, prompt, candidates, ctx):
        return [Score(value=float("ओस्लो" in c.text)) for c in candidates]


async def called(strategy):
    engine = Caller()
    return await ask(HI, strategy, {"policy": engine}), engine


async def test_an_attempt_is_in_the_conversation():
    _, engine = await called(Revise(sequential=2, parallel=1))
    assert [m.content for m in engine.requests[1].prompt.messages][1] == 'weather({"city":"पेरिस"})'


async def test_a_verifier_reads_it():
    outcome, _ = await called(Revise(sequential=2, parallel=1, verifier=Reader()))
    winner = outcome.selection.winner
    assert (winner.id, winner.text) == (1, "")
    assert winner.tool_calls[0].arguments == '{"city": "ओस्लो"}'


async def test_a_critic_reads_it_and_is_heard():
    _, engine = await called(registry.parse("strategies", "self_refine(rounds=1)"))
    critique, rewrite = engine.requests[1:]
    assert shown(critique) == {"1": 'weather({"city":"पेरिस"})'}
    assert rewrite.prompt.messages[-1].content.startswith("शहर गलत है।")


async def test_an_aggregation_is_shown_it():
    _, engine = await called(registry.parse("strategies", "rsa(sampler=iid(n=2), steps=1)"))
    assert sorted(shown(engine.requests[-1]).values()) == sorted(f'weather({{"city":"{c}"}})' for c in CITIES)


async def test_a_selector_of_cross_lingual_evidence_compares_it():
    outcome, _ = await called(registry.parse("strategies", "cross_lingual(sampler=iid(n=3), selector=mbr)"))
    winner = outcome.selection.winner
    assert (winner.id, winner.text) == (1, "")
    assert winner.tool_calls[0].arguments == '{"city": "ओस्लो"}'


async def test_it_is_not_made_to_go_on():
    outcome, engine = await called(registry.parse("strategies", "budget_forcing(waits=2)"))
    assert len(engine.requests) == 1
    assert outcome.selection.winner.tool_calls
