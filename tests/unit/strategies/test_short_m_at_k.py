import asyncio
from dataclasses import dataclass, field

import pytest

from nbest import registry
from nbest.errors import EngineError, SpecError
from nbest.protocols import Capabilities
from nbest.run import ask
from nbest.sampling.iid import Iid
from nbest.strategies.short_m_at_k import ShortMAtK
from nbest.types import Budget, Completion, Finish, Usage
from scripted import prompt_of

TH = prompt_of("๗ + ๕ เท่ากับเท่าไร", "th")


class Late(tuple):
    """A text and its length, after the others."""

    __slots__ = ()

    def __new__(cls, *said):
        return super().__new__(cls, said)


@dataclass
class Racer:
    """Draw i says `says[i]`: a text and its length; None never ends."""

    says: list
    finish: Finish = "stop"
    first_seed: int | None = None
    cancelled: list = field(default_factory=list)
    name: str = "racer"

    async def capabilities(self):
        return Capabilities()

    async def generate(self, request):
        if self.first_seed is None:
            self.first_seed = request.params.seed
        i = request.params.seed - self.first_seed
        said = self.says[i]
        if said is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(i)
                raise
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Late):
            await asyncio.sleep(0.02)
        text, length, *finish = said
        return [
            Completion(
                text=text, finish=finish[0] if finish else "stop", usage=Usage(completion=length, calls=1)
            )
        ]


async def raced(says, m=3, budget=None):
    engine = Racer(says)
    strategy = ShortMAtK(sampler=Iid(n=len(says)), m=m)
    return await ask(TH, strategy, {"policy": engine}, budget=budget), engine


async def test_the_stragglers_are_cancelled_and_say_so():
    outcome, engine = await raced([None, ("คำตอบ: ๑๒", 9), None, ("คำตอบ: ๑๑", 5), ("คำตอบ: ๑๒", 7)])
    assert sorted(engine.cancelled) == [0, 2]
    assert [bool(c.error) for c in outcome.candidates] == [True, False, True, False, False]
    assert outcome.candidates[0].error.startswith("cancelled: the quorum was reached")
    assert outcome.selection.winner.id == 4
    assert outcome.stopped == "done"
    spent = outcome.usage["policy"]
    assert spent.calls == 5  # with the two that were cut, whose tokens are estimated
    assert spent.completion - spent.estimated_completion == 21
    assert sum(c.usage.completion for c in outcome.candidates) == spent.completion


async def test_of_those_that_are_there_the_shortest_vote():
    outcome, _ = await raced([("คำตอบ: 7", 50), ("คำตอบ: 7", 40), ("คำตอบ: 12", 3), ("คำตอบ: 12", 4)], m=2)
    assert outcome.selection.winner.id == 2
    assert outcome.selection.weights == {2: 0.5, 3: 0.5}


async def test_of_equal_classes_the_shortest_answer_wins():
    outcome, _ = await raced([("คำตอบ: 7", 5), ("คำตอบ: 8", 4), ("คำตอบ: 12", 3)])
    assert outcome.selection.winner.id == 2
    assert set(outcome.selection.weights) == {0, 1, 2}


async def test_what_was_cut_off_votes_last():
    outcome, _ = await raced([("คำตอบ: 7", 2, "length"), ("คำตอบ: 12", 9), ("คำตอบ: 12", 9)], m=1)
    assert outcome.selection.winner.id == 1


async def test_what_was_cut_off_is_none_of_the_first_m():
    says = [("คำตอบ: 7", 2, "length"), ("คำตอบ: 8", 2, "length"), Late("คำตอบ: 12", 9), None]
    outcome, engine = await raced(says, m=1)
    assert outcome.selection.winner.id == 2
    assert engine.cancelled == [3]


async def test_where_everything_is_cut_off_the_shortest_vote():
    outcome, _ = await raced([("คำตอบ: 7", 9, "length"), ("คำตอบ: 12", 2, "length")], m=1)
    assert outcome.selection.winner.id == 1
    assert outcome.stopped == "done"


async def test_failures_are_waited_past():
    outcome, _ = await raced([EngineError("down"), ("คำตอบ: 12", 9), None], m=1)
    assert outcome.candidates[0].error == "down"
    assert outcome.selection.winner.id == 1


async def test_at_the_deadline_those_that_are_there_vote():
    outcome, _ = await raced([("คำตอบ: 12", 9), None, None], budget=Budget(seconds=0.05))
    assert outcome.selection.winner.id == 0
    assert outcome.stopped == "deadline"


def test_parameters_that_do_not_fit_are_said():
    with pytest.raises(SpecError):
        registry.parse("strategies", "short_m_at_k(m=0)")
