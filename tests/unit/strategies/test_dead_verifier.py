"""A verifier that is down costs its scores, never an answer that was drawn."""

from dataclasses import dataclass, field

import pytest

from nbest import registry
from nbest.errors import CapabilityError, EngineHttpError, EngineTimeoutError, UnreachableError
from nbest.protocols import Capabilities
from nbest.run import ask
from nbest.sampling.iid import Iid
from nbest.selection.best import Best
from nbest.selection.vote import Vote
from nbest.strategies.parallel import Parallel
from nbest.strategies.rsa import Rsa
from nbest.types import Completion, Message, Prompt, Usage

PROMPT = Prompt(id="p", messages=(Message(role="user", content="Сколько будет 7 + 5?"),), language="ru")
ERRORS = [
    UnreachableError("nobody is there"),
    EngineTimeoutError("late"),
    EngineHttpError("no such key", status=401),
    EngineHttpError("overloaded", status=503),
]


@dataclass
class Answers:
    """Draw i of a request is the i-th text, over and over."""

    texts: tuple[str, ...] = ("Ответ: 11", "Ответ: 12", "Ответ: 12", "Ответ: 13")
    name: str = "answers"
    num_drawn: int = field(default=0, init=False)

    async def capabilities(self):
        return Capabilities()

    async def generate(self, request):
        texts = [self.texts[(self.num_drawn + i) % len(self.texts)] for i in range(request.n)]
        self.num_drawn += request.n
        return [Completion(text=t, usage=Usage(completion=1, calls=1)) for t in texts]


@dataclass(frozen=True)
class Dead:
    error: Exception

    async def __call__(self, prompt, candidates, ctx):
        raise self.error


@pytest.mark.parametrize("error", ERRORS, ids=str)
class TestADeadVerifier:
    async def answered(self, strategy):
        outcome = await ask(PROMPT, strategy, {"policy": Answers()})
        assert (outcome.stopped, outcome.error) == ("error", None)
        return outcome

    async def test_best_takes_its_fallback(self, error):
        strategy = Parallel(sampler=Iid(n=4), selector=Best(scorer=Dead(error)))
        outcome = await self.answered(strategy)
        assert outcome.text == "Ответ: 11"  # the first
        assert any(str(error) in note for note in outcome.notes)

    async def test_a_weighted_vote_is_a_plain_one(self, error):
        strategy = Parallel(sampler=Iid(n=4), selector=Vote(weight=Dead(error)))
        outcome = await self.answered(strategy)
        assert outcome.text == "Ответ: 12"
        assert any(str(error) in note for note in outcome.notes)

    async def test_ranks_of_equal_scores_are_equal(self, error):
        strategy = Parallel(sampler=Iid(n=4), selector=Vote(weight=Dead(error), power=2))
        assert (await self.answered(strategy)).text == "Ответ: 12"

    async def test_rsa_chooses_from_its_last_population(self, error):
        strategy = Rsa(sampler=Iid(n=4), steps=1, selector=Vote(weight=Dead(error)))
        outcome = await self.answered(strategy)
        assert (outcome.text, len(outcome.candidates)) == ("Ответ: 12", 8)


async def test_a_wrong_parameter_is_still_raised():
    strategy = registry.parse("strategies", "best(scorer=judge(engine=other))")
    with pytest.raises(CapabilityError, match="no engine is called 'other'"):
        await ask(PROMPT, strategy, {"policy": Answers()})
