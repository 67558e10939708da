from dataclasses import dataclass
from typing import ClassVar

from nbest import registry
from nbest.context import Context
from nbest.datasets import Pool, read_pools
from nbest.engines.fake import Fake
from nbest.errors import EngineError
from nbest.records import RunWriter
from nbest.run import ask, select
from nbest.scoring.judge import Judge
from nbest.selection.best import Best
from nbest.types import Candidate, Logprobs, Score
from scripted import prompt_of

PROMPT = prompt_of("كم ٣ + ٤؟", "ar")


@dataclass(frozen=True, kw_only=True)
class Counting:
    asked: ClassVar[list[str]] = []

    async def __call__(self, prompt, candidates, ctx):
        self.asked.extend(c.text for c in candidates)
        return [Score(value=float(len(c.text)), steps=(0.5,)) for c in candidates]


@dataclass(frozen=True, kw_only=True)
class Relative(Counting):
    depends_on_pool: ClassVar[bool] = True


def pool_of(*texts):
    return [Candidate(id=i, text=t) for i, t in enumerate(texts)]


async def test_a_text_is_asked_about_once_and_recorded_for_each_candidate():
    Counting.asked.clear()
    ctx = Context({})
    first = await ctx.score(Counting(), PROMPT, pool_of("٧", "سبعة", "٧"))
    again = await ctx.score(Counting(), PROMPT, pool_of("٧", "سبعة", "٧", "٨٨"))
    assert [s.value for s in first] == [1, 4, 1]
    assert [s.value for s in again] == [1, 4, 1, 2]
    assert Counting.asked == ["٧", "سبعة", "٨٨"]
    [by_id] = ctx.scores.by_scorer.values()
    assert {i: (s.value, s.steps) for i, s in by_id.items()} == {
        0: (1, (0.5,)),
        1: (4, (0.5,)),
        2: (1, (0.5,)),
        3: (2, (0.5,)),
    }


async def test_equal_texts_with_log_probabilities_of_their_own_are_asked_about_apart():
    Counting.asked.clear()
    two = [Candidate(id=i, text="٧", logprobs=Logprobs(tokens=("٧",), values=(-1.0 - i,))) for i in range(2)]
    await Context({}).score(Counting(), PROMPT, two)
    assert Counting.asked == ["٧", "٧"]


async def test_scores_that_depend_on_the_pool_are_asked_for_each_time():
    Counting.asked.clear()
    ctx = Context({})
    for _ in range(2):
        await ctx.score(Relative(), PROMPT, pool_of("٧", "٧"))
    assert len(Counting.asked) == 4


async def test_a_score_that_was_not_there_is_asked_for_again():
    @dataclass(frozen=True, kw_only=True)
    class Late:
        values: ClassVar[list[float | None]] = [None, 3.0]

        async def __call__(self, prompt, candidates, ctx):
            return [Score(value=self.values.pop(0))]

    ctx = Context({})
    assert [(await ctx.score(Late(), PROMPT, pool_of("٧")))[0].value for _ in range(2)] == [None, 3.0]


class NoEngine:
    name = "none"

    async def capabilities(self):
        raise EngineError("nobody is to be asked")

    async def generate(self, request, on_delta=None):
        raise EngineError("nobody is to be asked")


async def test_what_a_run_scored_is_read_from_its_record(tmp_path):
    outcome = await ask(PROMPT, registry.parse("strategies", "best(judge, n=4)"), {"policy": Fake()}, seed=2)
    assert set(outcome.scores) == {"judge"}
    assert len(outcome.scores["judge"]) == 4
    with RunWriter(tmp_path / "run", {}) as writer:
        writer.append(outcome)
    [pool] = read_pools(str(tmp_path / "run"))
    assert pool.scores == outcome.scores
    assert pool.spent == outcome.spent

    chosen = await select(pool, Best(scorer=Judge()), engines={"policy": NoEngine()})
    assert chosen.selection.winner.id == outcome.selection.winner.id
    assert chosen.usage == outcome.usage
    assert chosen.scores == outcome.scores

    asked = await select(pool, Best(scorer=Judge()), engines={"policy": Fake(), "judge": Fake()})
    assert asked.usage["judge"].calls > outcome.usage["judge"].calls


async def test_a_recorded_score_of_another_text_is_not_used():
    Counting.asked.clear()
    spec = registry.spec_of(Counting())
    pool = Pool(PROMPT, {}, tuple(pool_of("٧", "٨٨")), scores={spec: {0: Score(value=99.0)}})
    outcome = await select(pool, Best(scorer=Counting()))
    assert outcome.selection.scores == {0: 99.0, 1: 2.0}
    assert Counting.asked == ["٨٨"]


async def test_a_search_records_what_its_verifier_said_of_steps_and_answers():
    strategy = registry.parse("strategies", "beam(n=4, verifier=logprob)")
    outcome = await ask(PROMPT, strategy, {"policy": Fake()}, seed=1)
    [by_id] = outcome.scores.values()
    steps = {c.id for c in outcome.candidates if c.finish == "step"}
    assert steps & by_id.keys()
    assert (by_id.keys() - steps) == {c.id for c in outcome.candidates if c.finish == "stop" and c.is_usable}
