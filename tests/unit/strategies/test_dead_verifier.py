"""A verifier that is down costs its scores, never an answer that was drawn."""

from dataclasses import dataclass
from itertools import cycle

import pytest

from nbest import registry
from nbest.errors import CapabilityError, EngineHttpError, EngineTimeoutError, UnreachableError
from nbest.run import ask
from nbest.sampling.iid import Iid
from nbest.selection.best import Best
from nbest.selection.vote import Vote
from nbest.strategies.parallel import Parallel
from nbest.strategies.rsa import Rsa
from scripted import Scripted, prompt_of

PROMPT = prompt_of("Сколько будет 7 + 5?", "ru")
ERRORS = [
    UnreachableError("nobody is there"),
    EngineTimeoutError("late"),
    EngineHttpError("no such key", status=401),
    EngineHttpError("overloaded", status=503),
]


def answers():
    """One text after another, over and over."""
    texts = cycle(("Ответ: 11", "Ответ: 12", "Ответ: 12", "Ответ: 13"))
    return Scripted(lambda request: [next(texts) for _ in range(request.n)])


@dataclass(frozen=True)
class Dead:
    error: Exception

    async def __call__(self, prompt, candidates, ctx):
        raise self.error


@pytest.mark.parametrize("error", ERRORS, ids=str)
class TestADeadVerifier:
    async def answered(self, strategy):
        outcome = await ask(PROMPT, strategy, {"policy": answers()})
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
        await ask(PROMPT, strategy, {"policy": answers()})
