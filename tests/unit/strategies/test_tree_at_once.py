"""Searches on many prompts at once: what they share, and what none of them waits for."""

import asyncio
from dataclasses import dataclass, field

import pytest

from nbest.engines.layers import Limit
from nbest.protocols import Capabilities
from nbest.run import ask
from nbest.search.beam import Beam
from nbest.strategies.tree import Tree
from nbest.types import Budget, Completion, Message, Prompt, Score, Usage

LANGUAGES = {"ar": "سؤال", "hi": "प्रश्न", "ja": "質問", "ru": "вопрос", "th": "คำถาม", "zh": "问题"}


def prompt(language, number=0):
    message = Message(role="user", content=f"{LANGUAGES[language]} {number}")
    return Prompt(id=f"{language}{number}", messages=(message,), language=language)


@dataclass
class Paced:
    """Two steps and an end; how long a draw takes depends on the prompt. Counts what is under way."""

    delay_s: dict = field(default_factory=dict)
    slow_prefix: str | None = None
    name: str = "paced"
    sequences: int = 0
    tokens: int = 0
    peak: int = 0
    peak_tokens: int = 0

    async def capabilities(self):
        return Capabilities(names_stop=True)

    async def generate(self, request, on_delta=None):
        self.sequences += request.n
        self.tokens += request.n * request.params.max_tokens
        self.peak = max(self.peak, self.sequences)
        self.peak_tokens = max(self.peak_tokens, self.tokens)
        try:
            is_slow = self.slow_prefix is not None and request.prefix.startswith(self.slow_prefix)
            await asyncio.sleep(60 if is_slow else self.delay_s.get(request.prompt.id, 0.001))
        finally:
            self.sequences -= request.n
            self.tokens -= request.n * request.params.max_tokens
        is_last = request.prefix.count("\n") >= 2
        return [
            Completion(
                text=f"{'答' if is_last else '步'} {i}",
                stopped_by=None if is_last else "\n",
                usage=Usage(completion=3, calls=int(i == 0)),
            )
            for i in range(request.n)
        ]


@dataclass
class Values:
    """The number that a text ends in; slow with some prompts."""

    delay_s: dict = field(default_factory=dict)

    async def __call__(self, prompt, candidates, ctx):
        await asyncio.sleep(self.delay_s.get(prompt.id, 0))
        return [Score(value=float(c.text.split()[-1])) for c in candidates]


def solve(prompt, engine, tree, **how):
    return ask(prompt, tree, {"policy": engine}, **how)


@pytest.mark.parametrize("what", ["engine", "verifier"])
async def test_a_slow_prompt_does_not_hold_back_the_rest(what):
    engine = Paced({"th0": 600.0} if what == "engine" else {})
    verifier = Values({"th0": 600.0} if what == "verifier" else {})
    tree = Tree(search=Beam(n=4, width=2), verifier=verifier)
    limited = Limit(engine=engine, max_in_flight=8)
    slow = asyncio.create_task(solve(prompt("th"), limited, tree))
    async with asyncio.timeout(60):
        rest = [
            solve(prompt(x, i), limited, tree) for i in range(5) for x in LANGUAGES if (x, i) != ("th", 0)
        ]
        outcomes = await asyncio.gather(*rest)
    assert all(o.selection.winner.finish == "stop" for o in outcomes)
    assert not slow.done()
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)


async def test_searches_share_a_bound_on_sequences_and_on_tokens():
    engine = Paced()
    tree = Tree(search=Beam(n=4, width=2), verifier=Values(), step_tokens=50)
    limited = Limit(engine=engine, max_in_flight=10, max_tokens_in_flight=420)
    outcomes = await asyncio.gather(
        *(solve(prompt(x, i), limited, tree) for i in range(4) for x in LANGUAGES)
    )
    assert all(len(o.candidates) == 12 for o in outcomes)
    assert 4 < engine.peak <= 10
    assert 200 < engine.peak_tokens <= 420


async def test_at_the_deadline_a_search_ends_with_its_best_finished_answer():
    """One beam's continuation never comes; the other one's answers are there."""
    engine = Paced(slow_prefix="步 3\n步 1\n")
    tree = Tree(search=Beam(n=4, width=2), verifier=Values())
    outcome = await solve(prompt("ja"), engine, tree, budget=Budget(seconds=0.3))
    assert outcome.stopped == "deadline"
    assert outcome.seconds < 2
    assert outcome.selection.winner.finish == "stop"
    assert outcome.text == "步 2\n步 1\n答 1"
    assert sum(c.error is not None for c in outcome.candidates) == 2


async def test_with_its_budget_spent_a_search_ends_with_its_best_finished_answer():
    engine = Paced()
    tree = Tree(search=Beam(n=4, width=2), verifier=Values())
    outcome = await solve(prompt("hi"), engine, tree, budget=Budget(samples=3))  # less than a round
    assert outcome.stopped == "budget"
    assert outcome.selection.winner.finish == "stop"
