"""The grader "judge": the same verdicts in a run, in eval, compare and report, and on the command line."""

import asyncio
import json

import pytest

from commandline import nbest
from judges import shown
from nbest import registry
from nbest.context import Context
from nbest.datasets import read_pools
from nbest.engines.fake import Fake
from nbest.engines.layers.cache import Cache
from nbest.errors import EngineError, MissingEngineError
from nbest.evaluate.compare import compare
from nbest.evaluate.runs import measured
from nbest.evaluate.scores import score_spec
from nbest.evaluate.scoring_engines import ScoringEngines
from nbest.evaluate.summary import evaluate
from nbest.export.source import grade
from nbest.records import RunWriter, read_outcomes
from nbest.report.gather import gather
from nbest.run import select
from nbest.types import Candidate, Message, Outcome, Prompt, Selection
from scripted import Scripted

PARIS = {
    "ar": ("ما عاصمة فرنسا؟", ["باريس"], ["أظن أن العاصمة باريس على الأرجح.", "ليون"]),
    "de": ("Hauptstadt von Frankreich?", ["Paris"], ["Das müsste wohl PARIS sein, denke ich.", "Lyon"]),
    "hi": ("फ्रांस की राजधानी?", ["पेरिस"], ["मेरे विचार से राजधानी तो पेरिस ही होगी", "ल्यों"]),
    "ja": ("フランスの首都は？", ["パリ", "Paris"], ["たしかパリだったと思います", "リヨン"]),
    "ko": ("프랑스의 수도는?", ["파리"], ["아마 파리라고 하는 것 같네요", "리옹"]),
    "ru": ("Столица Франции?", ["Париж"], ["Кажется, это всё-таки Париж, а не что-то ещё.", "Лион"]),
    "th": ("เมืองหลวงของฝรั่งเศส?", ["ปารีส"], ["น่าจะเป็นปารีสนะครับ", "ลียง"]),
    "zh": ("法国的首都是哪里？", ["巴黎"], ["应该就是巴黎吧，我想", "里昂"]),
}
JUDGED = "oracle(grader='judge')"


def outcome(language, *, winner=0, gold=None):
    question, accepted, texts = PARIS[language]
    pool = tuple(Candidate(id=i, text=text) for i, text in enumerate(texts))
    return Outcome(
        prompt=Prompt(id=language, messages=(Message(role="user", content=question),), language=language),
        strategy="first",
        seed=0,
        selection=Selection(winner=pool[winner], weights={winner: 1.0}),
        candidates=pool,
        usage={},
        gold={"answer": accepted} | (gold or {}),
    )


def run_of(path, outcomes):
    with RunWriter(path, {"engine": {"policy": "fake"}}) as writer:
        for each in outcomes:
            writer.append(each)
    return path


@pytest.fixture
def run(tmp_path):
    return run_of(tmp_path / "run", [outcome(language) for language in PARIS])


def engines(engine=None):
    return ScoringEngines({"policy": engine or Fake()})


async def scored(spec, of, engine=None, **gold):
    ctx = Context({"policy": engine or Fake()}, gold=dict(of.gold) | gold)
    scores = await registry.parse("scorers", spec)(of.prompt, of.candidates, ctx)
    return [score.value for score in scores], ctx


@pytest.mark.parametrize("language", PARIS)
async def test_a_judge_decides_in_a_run(language):
    values, ctx = await scored("oracle(grader=judge)", outcome(language))
    assert values == [1, 0]
    assert ctx.meter.usage["judge"].calls == 2
    assert (await scored("oracle", outcome(language), grader="judge"))[0] == [1, 0]


@pytest.mark.parametrize("language", PARIS)
async def test_the_instructions_may_be_in_the_prompts_language(language):
    engine = Scripted(lambda _: "[[1]]")
    await scored("oracle(grader=judge, template_language=prompt)", outcome(language), engine)
    own, english = engine.requests[0].prompt.text, "You compare one answer"
    assert english not in own
    await scored("oracle(grader=judge)", outcome(language), engine)
    assert engine.requests[-1].prompt.text.startswith(english)


async def test_the_judge_sees_the_answer_first_and_every_accepted_one():
    engine = Scripted(lambda _: "[[0]]")
    asked = outcome("ja")
    thinking = Candidate(id=0, text="<think>リヨン？</think>パリです")
    ctx = Context({"policy": Fake(), "judge": engine}, gold=asked.gold)
    await registry.parse("scorers", JUDGED)(asked.prompt, [thinking], ctx)
    assert shown(engine.requests[0]) == {"1": "パリです", "2": "パリ", "3": "Paris"}
    assert engine.requests[0].role == "judge"


@pytest.mark.parametrize("reply", ["no idea", EngineError("HTTP 500"), "[[2]]"])
async def test_an_answer_without_a_verdict_has_no_score(reply):
    values, ctx = await scored(JUDGED, outcome("ru"), Scripted(lambda _: reply))
    assert values == [None, None]
    assert ctx.notes[0].startswith("grader=judge: 2 of 2 distinct answers have no verdict")


async def test_a_failed_candidate_is_wrong_and_not_judged():
    engine = Scripted(lambda _: "[[1]]")
    pool = [Candidate(id=0, text="Paris", error="timeout"), Candidate(id=1, text="Paris")]
    ctx = Context({"policy": engine}, gold={"answer": "Paris"})
    scores = await registry.parse("scorers", JUDGED)(outcome("de").prompt, pool, ctx)
    assert [s.value for s in scores] == [0, 1]
    assert len(engine.requests) == 1


async def test_noisy_and_rolled_out_truth_asks_the_judge_of_the_row():
    values, _ = await scored("noisy_oracle(auc=1.0)", outcome("th"), grader="judge")
    assert values == [1, 0]
    values, ctx = await scored("oracle_rollouts", outcome("th"), grader="judge")
    assert values == [1, 0]
    assert set(ctx.meter.usage) == {"judge"}


def test_eval_compare_and_report_say_the_same(run):
    first = next(iter(read_pools(str(run))))
    assert score_spec("judge", first) == JUDGED
    assert score_spec("oracle(grader=judge)", first) == JUDGED

    with engines() as asked:
        found = measured(run, scorer="judge", engines=asked)
    groups = {g.group: g.cells for g in evaluate([found]).groups}
    with engines() as asked:
        scorer = registry.parse("scorers", JUDGED)
        compared = asked.run(compare(read_pools(str(run)), ["first"], scorer=scorer, engines=asked))
    with engines() as asked:
        reported = asked.run(gather([run], score="judge", engines=asked))

    at_2 = {c.language: c.value.value for c in compared.cells if c.n == 2}
    by_report = {id_: reported.runs[0].values[i] for i, id_ in enumerate(reported.ids)}
    for language in PARIS:
        assert groups[language]["score"].value == at_2[language] == by_report[language] == 1
        assert groups[language]["pass@1"].value == 0.5
    assert found.scoring.usage == compared.scoring == reported.scoring.usage
    assert found.scoring.usage["judge"].calls == 2 * len(PARIS)


def test_a_row_may_ask_for_a_judge(tmp_path):
    rows = [outcome("ko", gold={"grader": "judge"}), outcome("zh")]
    run = run_of(tmp_path / "rows", rows)
    with engines() as asked:
        found = measured(run, engines=asked)
    assert found.scorer == "oracle"
    assert found.scoring.usage["judge"].calls == 2
    values, known = found.columns["score"]
    assert values[known].tolist() == [1, 0]  # 应该就是巴黎吧 is no final answer that a reader makes out


def test_without_an_engine_all_say_so(run):
    scorer = registry.parse("scorers", JUDGED)
    for work in (
        lambda: measured(run, scorer="judge"),
        lambda: asyncio.run(compare(read_pools(str(run)), ["first"], scorer=scorer)),
        lambda: asyncio.run(gather([run], score="judge")),
    ):
        with pytest.raises(MissingEngineError, match="a judge is needed here, and no engine is given"):
            work()


def test_an_export_has_no_grade_where_only_a_judge_could_give_it(tmp_path):
    run = run_of(tmp_path / "rows", [outcome("ko", gold={"grader": "judge"}), outcome("de")])
    assert [grade(o) is None for o in read_outcomes(run)] == [True, False]


def test_a_judge_that_is_down_leaves_no_score_and_says_why(run):
    with engines(Scripted(lambda _: EngineError("HTTP 503"))) as asked:
        found = measured(run, scorer="judge", engines=asked)
    assert "score" not in found.columns or not found.columns["score"][1].any()
    assert found.scoring.notes[0].endswith(f"the judge failed: HTTP 503 ({len(PARIS)} prompts)")


async def test_engines_of_a_comparison_are_the_selectors_too(run):
    engine = Fake()
    scorer = registry.parse("scorers", JUDGED)
    asked = ScoringEngines({"policy": engine})
    found = await compare(read_pools(str(run)), ["judge_pairwise"], scorer=scorer, sizes=[2], engines=asked)
    pools = list(read_pools(str(run)))
    chosen = [
        await select(p, registry.parse("selectors", "judge_pairwise"), engines=asked.engines) for p in pools
    ]
    right = [o.selection.winner.id == 0 for o in chosen]
    assert found.cells[0].value.value == pytest.approx(sum(right) / len(right))
    assert found.cells[0].usage["judge"].calls > 0


def test_on_the_command_line(run, tmp_path):
    score = ("--score", "judge", "--engine", "fake")
    by_eval = json.loads(nbest("eval", run, *score, "--json", may_fail=False).stdout)
    assert by_eval["runs"][0]["scoring"]["judge"]["calls"] == 16
    assert by_eval["groups"][-1]["cells"]["score"]["value"] == 1
    assert "judge 16 calls" in nbest("eval", run, *score, may_fail=False).stdout

    compared = nbest("compare", run, "--select", "first", *score, "--json", may_fail=False)
    assert json.loads(compared.stdout)["scoring"]["judge"]["calls"] == 16
    nbest("report", run, *score, "--json", tmp_path / "report.json", may_fail=False)
    reported = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert set(reported["runs"][0]["scores"].values()) == {1.0}

    for command in (("eval", run), ("compare", run, "--select", "first"), ("report", run)):
        refused = nbest(*command, "--score", "judge", may_fail=True)
        assert refused.returncode != 0
        assert "--engine" in refused.stderr


def test_verdicts_are_drawn_once_through_a_cache(run, tmp_path):
    engine = Scripted(lambda request: f"[[{int(request.prompt.language == 'hi')}]]")
    found = []
    for _ in range(2):
        with engines(Cache(engine=engine, path=str(tmp_path / "verdicts.sqlite"))) as asked:
            found.append(measured(run, scorer="judge", engines=asked).columns["score"][0].tolist())
    assert found[0] == found[1] == [float(language == "hi") for language in PARIS]
    assert len(engine.requests) == 2 * len(PARIS)
