import asyncio
from dataclasses import dataclass, field

import pytest

from nbest import registry
from nbest.engines.fake import Fake
from nbest.errors import EngineError, EngineHttpError, SpecError
from nbest.run import ask
from nbest.strategies.revise import Revise
from nbest.types import Budget, Completion, Score, Usage, replace
from scripted import Scripted, prompt_of

JA = prompt_of("７＋５は？", "ja")
TRY_AGAIN = "確認して、もう一度やってみてください。"


class Reviser(Scripted):
    """Chain i's answer at step s is `answers[i][s]`."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def say(self, request):
        turns = [m.content for m in request.prompt.messages if m.role == "assistant"]
        if not turns:
            return [self.answer(chain[0]) for chain in self.answers[: request.n]]
        last = turns[-1].removeprefix("答え：")
        # Four turns may be the last of more: then answers are told apart by what they say.
        step = len(turns) if len(turns) < 4 else self.answers[0].index(last) + 1
        return self.answer(next(c for c in self.answers if c[step - 1] == last)[step])

    def answer(self, number):
        if isinstance(number, Exception):
            return number
        return Completion(text=f"答え：{number}", usage=Usage(prompt=5, completion=4, calls=1))


@dataclass(frozen=True, kw_only=True)
class Table:
    """A verifier that says what a table says, and writes down what it was asked about."""

    values: tuple
    seen: list = field(default_factory=list)

    async def __call__(self, prompt, candidates, ctx):
        self.seen.append((len(prompt.messages), [c.id for c in candidates]))
        by_text = dict(self.values)
        return [Score(value=by_text.get(c.text.removeprefix("答え："), 0.0)) for c in candidates]


async def revised(answers, budget=None, **how):
    engine = Reviser(answers)
    how = {"sequential": len(answers[0]), "parallel": len(answers)} | how
    return await ask(JA, Revise(**how), {"policy": engine}, seed=3, budget=budget), engine


async def test_each_answer_follows_the_attempts_before_it_in_the_prompts_language():
    outcome, engine = await revised([["1", "2", "3"]])
    assert [(m.role, m.content) for m in engine.requests[2].prompt.messages] == [
        ("user", "７＋５は？"),
        ("assistant", "答え：1"),
        ("user", TRY_AGAIN),
        ("assistant", "答え：2"),
        ("user", TRY_AGAIN),
    ]
    assert [c.parents for c in outcome.candidates] == [(), (0,), (0, 1)]
    assert outcome.usage == {"policy": Usage(prompt=15, completion=12, calls=3)}


async def test_chains_are_independent_and_a_round_is_one_batch():
    outcome, engine = await revised([["1", "2"], ["3", "4"]])
    assert [c.text for c in outcome.candidates] == ["答え：1", "答え：3", "答え：2", "答え：4"]
    assert [c.parents for c in outcome.candidates] == [(), (), (0,), (1,)]
    assert engine.requests[0].n == 2
    assert outcome.selection.details["chains"] == [[0, 2], [1, 3]]


async def test_at_most_four_attempts_are_shown():
    _, engine = await revised([list("1234567")])
    shown = [m.content for m in engine.requests[-1].prompt.messages if m.role == "assistant"]
    assert shown == ["答え：3", "答え：4", "答え：5", "答え：6"]
    assert engine.requests[-1].parents == (2, 3, 4, 5)


async def test_the_majority_of_all_chains_wins():
    outcome, _ = await revised([["12", "7", "8"], ["7", "9", "12"], ["5", "12", "1"]])
    assert outcome.selection.winner.id == 0
    assert outcome.selection.rationale.startswith("12: 3 · 7: 2")


CHAINS = [["12", "7", "7"], ["9", "9", "8"]]
VALUES = (("12", 0.7), ("7", 0.4), ("9", 0.35), ("8", 0.75))


async def test_best_of_n_weighted_in_each_chain_then_over_the_chains():
    # Chain 0: 7 has 0.8 > 0.7; chain 1: 8 has 0.75 > 0.7. Winners: 7 with 0.4, 8 with 0.75.
    outcome, _ = await revised(CHAINS, verifier=Table(values=VALUES))
    assert outcome.selection.winner.text == "答え：8"
    assert set(outcome.selection.weights) == {2, 5}


async def test_or_over_all_at_once():
    outcome, _ = await revised(CHAINS, verifier=Table(values=VALUES), selection="flat")
    assert outcome.selection.winner.text == "答え：7"
    assert outcome.selection.winner.id == 2


async def test_a_right_first_answer_survives_wrong_revisions():
    outcome, _ = await revised([["12", "7", "8"]], verifier=Table(values=(("12", 1.0),)))
    assert outcome.selection.winner.id == 0


async def test_every_text_is_scored_once():
    table = Table(values=VALUES)
    await revised(CHAINS, verifier=table)
    assert table.seen == [(1, [0, 1, 2, 5])]  # of equal texts the first


async def test_the_verifier_may_read_the_attempts_before():
    table = Table(values=VALUES)
    await revised([["12", "7", "8"]], verifier=table, sees_attempts=True)
    assert table.seen == [(1, [0]), (3, [1]), (5, [2])]


async def test_conversations_are_read_at_once():
    everybody = asyncio.Barrier(3)

    class Meeting(Table):
        async def __call__(self, prompt, candidates, ctx):
            async with asyncio.timeout(2), everybody:
                return await super().__call__(prompt, candidates, ctx)

    outcome, _ = await revised([["12", "7", "8"]], verifier=Meeting(values=VALUES), sees_attempts=True)
    assert outcome.selection.winner.text == "答え：8"


class Forgetful(Table):
    """Cannot read conversations that are longer than `longest`."""

    longest = 3
    error = EngineHttpError("the context is too long", status=400)

    async def __call__(self, prompt, candidates, ctx):
        if len(prompt.messages) > self.longest:
            raise self.error
        return await super().__call__(prompt, candidates, ctx)


async def test_a_verifier_that_cannot_read_one_conversation_scores_the_others():
    outcome, _ = await revised([["12", "7", "8"]], verifier=Forgetful(values=VALUES), sees_attempts=True)
    assert outcome.selection.winner.text == "答え：12"
    assert outcome.stopped == "done"
    assert outcome.notes == (
        "revise: the verifier failed, and some answers have no score: the context is too long",
    )


@pytest.mark.parametrize(
    ("longest", "status", "answers", "chosen"),
    [
        (0, 400, ["12", "7", "7"], "答え：7"),  # nothing is scored: the majority
        (0, 503, ["12", "7", "7"], "答え：7"),
        (3, 401, ["8", "12", "7"], "答え：8"),  # the best by what is known
    ],
)
async def test_a_dead_verifier_loses_no_answer(longest, status, answers, chosen):
    class Broken(Forgetful):
        pass

    Broken.longest, Broken.error = longest, EngineHttpError("no", status=status)
    outcome, _ = await revised([answers], verifier=Broken(values=VALUES), sees_attempts=True)
    assert (outcome.text, outcome.stopped, outcome.error) == (chosen, "error", None)
    assert outcome.notes == ("revise: the verifier failed, and some answers have no score: no",)


async def test_a_failed_revision_leaves_the_chain_as_it_is():
    outcome, _ = await revised([["12", EngineError("down"), "7"], ["7", "12", "7"]])
    assert [c.error for c in outcome.candidates] == [None, None, "down", None, "down", None]
    assert outcome.selection.details["chains"] == [[0], [1, 3, 5]]
    assert outcome.selection.winner.id == 0


async def test_a_budget_in_the_middle_of_a_round():
    outcome, _ = await revised([["1", "2"], ["3", "4"]], budget=Budget(samples=3))
    assert [c.text for c in outcome.candidates] == ["答え：1", "答え：3", "答え：2"]
    assert outcome.stopped == "budget"
    assert outcome.selection.winner.id == 0


@pytest.mark.parametrize("answers", [[["1", "2", "3"]], [["1", "2", "3"], ["4", "5", "6"]]])
async def test_tokens_for_one_draw_at_a_time_go_on_with_all_chains(answers):
    outcome, _ = await revised(answers, budget=Budget(tokens=100))
    # What a draw leaves of its max_tokens comes back, so that the other chain goes on as well.
    assert len(outcome.candidates) == 3 * len(answers)
    assert outcome.stopped == "budget"


async def test_tokens_that_are_used_up_end_it():
    outcome, engine = await revised([["1", "2", "3"], ["4", "5", "6"]], budget=Budget(tokens=8))
    assert len(outcome.candidates) == len(engine.requests) == 2


async def test_larger_runs_contain_smaller_ones():
    async def texts(**how):
        return [c.text for c in (await ask(JA, Revise(**how), {"policy": Fake()})).candidates]

    small, large = await texts(sequential=2, parallel=2), await texts(sequential=3, parallel=2)
    assert large[:4] == small
    wide = await texts(sequential=2, parallel=3)
    assert [wide[0], wide[1], wide[3], wide[4]] == small


async def test_ones_own_turn_and_languages_without_one():
    _, engine = await revised([["1", "2"]], turn="やり直し")
    assert engine.requests[1].prompt.messages[-1].content == "やり直し"
    prompt = replace(JA, language="yo")
    outcome = await ask(prompt, Revise(), {"policy": Fake()})
    assert outcome.notes == ("no words for revisions in 'yo': the English ones were used",)


@pytest.mark.parametrize("spec", ["revise(sequential=0)", "revise(shown=0)", "revise(turn=' ')"])
def test_parameters_that_do_not_fit_are_said(spec):
    with pytest.raises(SpecError):
        registry.parse("strategies", spec)
