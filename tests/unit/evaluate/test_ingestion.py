"""One rule for failed draws, evidence, steps and made answers, in every table that is made from records."""

import asyncio
import io

import pytest
from rich.console import Console

from nbest import registry
from nbest.datasets import read_pools
from nbest.errors import InputError
from nbest.evaluate import runs
from nbest.evaluate.compare import compare
from nbest.evaluate.ingestion import choice_score, ingest
from nbest.evaluate.recorded_draws import draws_of
from nbest.evaluate.runs import measured
from nbest.evaluate.scores import failed_score, lowest_score, pool_of, scores_of
from nbest.evaluate.summary import evaluate
from nbest.evaluate.tables import show
from nbest.export.source import grade
from nbest.records import RunWriter, read_outcomes
from nbest.report.gather import gather
from nbest.run import select
from nbest.types import Candidate, Message, Outcome, Prompt, SamplingParams, Selection, replace

QUESTIONS = {
    "ar": "كم عدد البيض؟",
    "hi": "कितने अंडे हैं?",
    "ja": "卵はいくつですか？",
    "ko": "달걀은 몇 개입니까?",
    "ru": "Сколько яиц?",
    "th": "มีไข่กี่ฟอง",
    "zh": "有几个鸡蛋？",
}
GREEDY, WARM = SamplingParams(temperature=0), SamplingParams(temperature=0.8)


def prompt_in(language, id_=None):
    return Prompt(
        id=id_ or language, messages=(Message(role="user", content=QUESTIONS[language]),), language=language
    )


def outcome(prompt, candidates, *, winner=0, gold=None, strategy="first"):
    """`candidates`: texts; None for one that failed."""
    pool = tuple(
        c if isinstance(c, Candidate) else Candidate(id=i, text=c or "", error=None if c else "timeout")
        for i, c in enumerate(candidates)
    )
    selection = None if winner is None else Selection(winner=pool[winner], weights={winner: 1.0})
    return Outcome(
        prompt=prompt,
        strategy=strategy,
        seed=0,
        selection=selection,
        candidates=pool,
        usage={},
        stopped="done" if selection else "error",
        error=None if selection else "no candidate is left",
        gold=gold or {},
    )


def marked(marks, *, prompt, winner=0):
    """A pool with human marks, of which 0 is the best; None for a draw that failed."""
    pool = [
        Candidate(id=i, text=f"{i}", meta={"mqm": m})
        if m is not None
        else Candidate(id=i, text="", error="timeout")
        for i, m in enumerate(marks)
    ]
    return outcome(prompt, pool, winner=winner)


def run_of(path, outcomes):
    with RunWriter(path, {"name": path.name}) as writer:
        for o in outcomes:
            writer.append(o)
    return path


def in_all_tables(path, *, score=None):
    """The mean of the chosen answers and the number of prompts in it: by eval, by compare and by report."""
    (group,) = [g for g in evaluate([measured(path, scorer=score)]).groups if g.group in {"all", *QUESTIONS}][
        -1:
    ]
    by_eval = (group.cells["score"].value, group.cells["score"].num_prompts)

    found = asyncio.run(gather([path], score=score))
    values = list(found.runs[0].values.values())
    by_report = (sum(values) / len(values), len(values))

    scorer = registry.parse("scorers", measured(path, scorer=score).scorer)
    cells = asyncio.run(compare(read_pools(str(path)), ["first"], scorer=scorer, sizes=[3])).cells
    by_compare = (cells[0].value.value, cells[0].num_prompts)
    return by_eval, by_compare, by_report


def test_on_a_scale_that_ends_at_0_a_failure_is_the_worst_of_its_pool_or_missing_everywhere(tmp_path):
    path = run_of(
        tmp_path / "run",
        [
            marked([-1.0, -3.0, None], prompt=prompt_in("ja")),
            marked([None, -5.0, -2.0], prompt=prompt_in("ru"), winner=1),
            marked([None, None, None], prompt=prompt_in("th"), winner=None),  # says nothing: missing
        ],
    )
    assert in_all_tables(path, score="mqm") == ((-3.0, 2),) * 3
    columns = measured(path, scorer="mqm").columns
    values, known = columns["max@1"]
    assert values[known].tolist() == pytest.approx([-7 / 3, -12 / 3])
    assert columns["max@3"][0][columns["max@3"][1]].tolist() == [-1, -2]


def test_a_prompt_that_was_not_answered_though_it_has_draws_scores_as_its_worst(tmp_path):
    rows = [
        marked([-1.0, -3.0, -2.0], prompt=prompt_in("ar")),
        marked([-4.0, -1.0, -2.0], prompt=prompt_in("ko"), winner=None),
    ]
    path = run_of(tmp_path / "run", rows)
    columns = measured(path, scorer="mqm").columns
    assert columns["score"][0].tolist() == [-1, -4]
    assert list(asyncio.run(gather([path], score="mqm")).runs[0].values.values()) == [-1, -4]


def test_worse_evidence_is_not_the_worst_of_the_draws(tmp_path):
    asked = marked([-4.0, -1.0], prompt=prompt_in("hi"), winner=None)
    evidence = Candidate(id=2, text="2", language="ja", meta={"mqm": -9.0})
    asked = replace(asked, candidates=(*asked.candidates, evidence))
    path = run_of(tmp_path / "run", [asked])
    assert measured(path, scorer="mqm").columns["score"][0].tolist() == [-4]
    assert list(asyncio.run(gather([path], score="mqm")).runs[0].values.values()) == [-4]


def test_where_0_is_the_lowest_score_a_failure_is_0_everywhere(tmp_path):
    gold = {"answer": "4"}
    right = ["الجواب: ٤", "الجواب: 4", "الجواب: ٤"]
    path = run_of(
        tmp_path / "run",
        [
            outcome(prompt_in("ar"), right, gold=gold),
            outcome(prompt_in("zh"), ["答案：4", None, "答案：5"], gold=gold),
            outcome(prompt_in("hi"), [None, None, None], winner=None, gold=gold),
        ],
    )
    assert in_all_tables(path) == ((pytest.approx(2 / 3), 3),) * 3
    columns = measured(path).columns
    assert columns["pass@1"][0].tolist() == pytest.approx([1, 1 / 3, 0])
    assert columns["pass@3"][0].tolist() == [1, 1, 0]
    unanswered = replace(outcome(prompt_in("ar"), right, gold=gold), selection=None)
    assert asyncio.run(ingest(unanswered, registry.parse("scorers", "oracle"))).value == 0  # and not 1


@pytest.mark.parametrize(
    ("spec", "lowest"),
    [
        ("oracle", 0),
        ("reference_oracle(utility=chrf)", 0),
        ("reference_oracle(utility=bleu)", 0),
        ("recorded(mqm)", None),
        ("logprob", None),
    ],
)
def test_the_lowest_score_of_a_scale(spec, lowest):
    scorer = registry.parse("scorers", spec)
    assert lowest_score(scorer) == lowest
    assert failed_score(scorer, [-2.0, None, -7.0]) == (-7.0 if lowest is None else 0)
    assert failed_score(scorer, []) == lowest


@pytest.mark.parametrize("language", sorted(QUESTIONS))
def test_only_whole_answers_in_the_prompts_language_made_from_no_others_are_draws(language):
    prompt = replace(prompt_in(language), language=f"{language}-001")
    other = "ja" if language != "ja" else "th"
    pool = [
        Candidate(id=0, text="4", language=language, params=GREEDY),
        Candidate(id=1, text="5", language=None),
        Candidate(id=2, text="", error="timeout"),
        Candidate(id=3, text="4", language=other),  # evidence
        Candidate(id=4, text="4", parents=(0, 1)),  # fused
    ]
    assert [c.id for c in draws_of(pool, prompt)] == [0, 1, 2]
    assert draws_of([*pool, Candidate(id=5, text="4", finish="step")], prompt) == []


def test_evidence_and_made_answers_are_in_no_measure_of_the_pool_and_in_every_table_alike(tmp_path):
    pool = [
        Candidate(id=0, text="Ответ: 3", params=GREEDY, language="ru"),
        Candidate(id=1, text="Ответ: 5", params=WARM, language="ru"),
        Candidate(id=2, text="The answer is 4.", params=WARM, language="en"),
        Candidate(id=3, text="Ответ: 4", parents=(0, 1, 2)),
    ]
    asked = outcome(prompt_in("ru"), pool, winner=3, gold={"answer": "4"})
    path = run_of(tmp_path / "run", [asked])
    columns = {name: values.tolist() for name, (values, _) in measured(path).columns.items()}
    assert columns["score"] == [1]
    assert columns["candidates"] == [2]
    for name in ("pass@1", "pass@2", "maj@2", "oracle", "greedy", "hope", "risk"):
        assert columns[name] == [0], name
    assert columns["distinct"] == [2]
    assert columns["regret"] == [-1]
    found = asyncio.run(gather([path]))
    assert found.pools[0][0].scores.tolist() == [0, 0]
    assert (found.records[0].num_draws, found.records[0].num_others) == (2, 2)
    assert grade(asked) == ("accuracy", 1, 0)

    scorer = registry.parse("scorers", "oracle")
    comparison = asyncio.run(
        compare(read_pools(str(path)), ["first", "best(oracle)"], scorer=scorer, baseline="mean")
    )
    assert {cell.n for cell in comparison.cells} == {1, 2}
    by_spec = {(c.select, c.n): c for c in comparison.cells}
    assert by_spec["first", 2].gain.value == 0  # over the mean of two draws
    # Evidence stands beside every pool, as it does where the run itself chooses.
    assert by_spec["best(oracle)", 1].value.value == 1


def test_a_candidate_is_read_in_the_language_that_it_was_asked_for_in():
    prompt = replace(prompt_in("ja"), language="en")
    german = Candidate(id=0, text="Die Antwort ist 1.234", language="de")
    asked = outcome(prompt, [german], gold={"answer": "1234"})
    oracle = registry.parse("scorers", "oracle")
    assert asyncio.run(ingest(asked, oracle)).value == 1
    english = replace(german, language="en")
    assert asyncio.run(ingest(outcome(prompt, [english], gold={"answer": "1.234"}), oracle)).value == 1


def test_the_same_text_in_two_languages_is_scored_twice():
    prompt = replace(prompt_in("ja"), language="en")
    pool = [Candidate(id=0, text="1.234", language="de"), Candidate(id=1, text="1.234", language="en")]
    asked = outcome(prompt, pool, gold={"answer": "1234"})
    scores = asyncio.run(scores_of(pool_of(asked), registry.parse("scorers", "oracle")))
    assert scores == {0: 1, 1: 0}


def test_a_fused_answer_that_nobody_marked_has_no_score_and_costs_no_report(tmp_path):
    rows = marked([-1.0, -3.0], prompt=prompt_in("ko"))
    fused = Candidate(id=2, text="새 답", parents=(0, 1))
    path = run_of(tmp_path / "run", [replace(rows, selection=Selection(winner=fused, weights={0: 1.0}))])
    assert asyncio.run(gather([path], score="mqm")).runs[0].values == {}
    assert "score" not in evaluate([measured(path, scorer="mqm")]).groups[0].cells


@pytest.mark.parametrize(
    ("strategy", "shown"),
    [
        ("best(recorded(liked))", True),
        ("likelihood", True),
        ("parallel(sampler=iid(n=2), selector=best(recorded(liked)))", True),
        ("vote", False),
        ("vote(weight=logprob)", False),
        ("judge_pairwise", False),
        ("mbr(utility=embedding(url=http://localhost:9))", False),
        ("guard(selector=best(judge))", False),
        ("./mine.py:Shortest", False),
        ("no_such_method(x=1)", False),
    ],
)
def test_best_at_k_is_of_scorers_that_see_one_candidate(tmp_path, strategy, shown):
    asked = outcome(prompt_in("th"), ["4", "5"], gold={"answer": "4"}, strategy=strategy)
    scored = replace(asked.selection, scores={0: 0.2, 1: 0.9})
    path = run_of(tmp_path / "run", [replace(asked, selection=scored)])
    columns = measured(path).columns
    assert ("best@2" in columns) == shown
    if shown:
        assert columns["best@2"][0].tolist() == [0]
        assert columns["best@1"][0].tolist() == [0.5]


def test_truncated_answers_and_draws_are_counted(tmp_path):
    cut = Candidate(id=0, text="ต้มไข่ 3 ฟอง แล้ว", finish="length")
    pool = [cut, Candidate(id=1, text="คำตอบ: 4"), replace(cut, id=2), Candidate(id=3, text="คำตอบ: 4")]
    path = run_of(
        tmp_path / "run",
        [
            outcome(prompt_in("th"), pool, winner=0, gold={"answer": "4"}),
            outcome(prompt_in("zh"), ["答案：4", "答案：4"], gold={"answer": "4"}),
        ],
    )
    columns = measured(path).columns
    assert columns["truncated"][0].tolist() == [1, 0]
    assert columns["truncated_draws"][0].tolist() == [0.5, 0]
    assert asyncio.run(gather([path])).runs[0].num_truncated == 1


def test_eval_refuses_what_report_refuses(tmp_path):
    gold = {"answer": "4"}
    one = run_of(tmp_path / "a", [outcome(prompt_in("ja", "1"), ["4"], gold=gold)])
    other = run_of(tmp_path / "b", [outcome(prompt_in("ko", "1"), ["4"], gold=gold)])
    with pytest.raises(InputError, match="different prompts under id '1'"):
        asyncio.run(gather([one, other]))
    with pytest.raises(InputError, match="different prompts under id '1'"):
        evaluate([measured(one), measured(other)])


def test_runs_with_other_line_numbers_are_paired_by_what_is_asked_in_eval_and_report(tmp_path):
    gold = {"answer": "4"}
    languages = ["ar", "ja", "ko", "th"]
    first = [outcome(prompt_in(lang, str(i)), ["5"], gold=gold) for i, lang in enumerate(languages)]
    # One row fewer: every line number but the last names another prompt.
    second = [outcome(prompt_in(lang, str(i)), ["4"], gold=gold) for i, lang in enumerate(languages[1:])]
    paths = [run_of(tmp_path / "a", first), run_of(tmp_path / "b", second)]
    change = evaluate([measured(p) for p in paths], by="task").changes[-1]
    assert (change.num_prompts, change.value) == (3, 1)
    found = asyncio.run(gather(paths))
    assert found.ids == ["0", "1", "2", "3"]
    assert found.runs[1].values == {1: 1, 2: 1, 3: 1}
    assert len(list(read_outcomes(paths[1]))) == 3


ANSWERS = {
    "ar": ["الجواب هو 4 بيضات", "الجواب هو 5 بيضات", "4 بيضات هو الجواب", "٤", "لا أعرف", "الجواب هو 5"],
    "hi": ["उत्तर 4 अंडे हैं", "उत्तर 5 अंडे हैं", "4 अंडे", "४", "पता नहीं", "उत्तर 5 है"],
    "ja": ["答えは4個です", "答えは5個です", "4個", "四", "分かりません", "答えは5です"],
    "ko": ["답은 4개입니다", "답은 5개입니다", "4개", "넷", "모르겠습니다", "답은 5입니다"],
    "ru": ["Ответ: 4 яйца", "Ответ: 5 яиц", "4 яйца", "4", "Не знаю", "Ответ: 5"],
    "th": ["คำตอบคือ 4 ฟอง", "คำตอบคือ 5 ฟอง", "4 ฟอง", "๔", "ไม่ทราบ", "คำตอบคือ 5"],
    "zh": ["答案是4个", "答案是5个", "4个", "四", "不知道", "答案是5"],
}


def chosen_by(selector, language, *, failed=()):
    warm = [
        Candidate(id=i, text=t, params=WARM if i else GREEDY, error="timeout" if i in failed else None)
        for i, t in enumerate(ANSWERS[language])
    ]
    pool = pool_of(outcome(prompt_in(language), warm, gold={"answer": "4"}))
    return asyncio.run(select(pool, registry.parse("selectors", selector), seed=0))


@pytest.mark.parametrize(
    "selector",
    [
        "mbr(utility=chrf)",
        "mbr(utility=token_f1)",
        "guard(selector=mbr(utility=edit))",
        "vote(extract='[45]')",
        "random",
    ],
)
def test_best_at_k_of_selectors_that_see_the_pool_is_what_compare_says(tmp_path, selector):
    outcomes = [chosen_by(selector, language, failed={4} if language == "ru" else ()) for language in ANSWERS]
    path = run_of(tmp_path / "run", outcomes)
    columns = measured(path).columns
    scorer = registry.parse("scorers", "oracle")
    cells = asyncio.run(compare(read_pools(str(path)), [selector], scorer=scorer, sizes=[1, 2, 4, 6])).cells
    by_compare = {c.n: c.value.value for c in cells if c.language is None}
    for k in (1, 2, 4, 6):
        values, known = columns[f"best@{k}"]
        assert known.all()
        assert values.mean() == pytest.approx(by_compare[k])
    assert columns["best@6"][0].tolist() == columns["score"][0].tolist()


def test_best_at_k_is_not_told_of_answers_that_were_made_after_the_draws(tmp_path):
    made = Candidate(id=6, text="4", parents=(0, 1))
    chosen = chosen_by("mbr(utility=chrf)", "th")
    fused = replace(
        chosen,
        candidates=(*chosen.candidates, made),
        selection=Selection(winner=made, weights={6: 1.0}),
    )
    assert "best@6" not in measured(run_of(tmp_path / "run", [fused])).columns


def test_of_a_large_run_a_share_is_chosen_for_again_and_columns_say_how_many(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "MOST_CHOSEN_AGAIN", 4)
    many = [
        replace(chosen_by("mbr(utility=chrf)", language), prompt=prompt_in(language, f"{language}-{i}"))
        for language in ANSWERS
        for i in range(4)
    ]
    found = measured(run_of(tmp_path / "run", many))
    num_known = int(found.columns["best@2"][1].sum())
    assert 0 < num_known < len(many)
    console = Console(width=200, record=True, file=io.StringIO())
    show(evaluate([found], by="task"), console)
    lines = console.export_text().splitlines()
    titles = next(i for i, line in enumerate(lines) if "best@4" in line)
    smaller, whole = lines[titles].index("best@4"), lines[titles].index("best@6")
    numbers = lines[titles + 4]
    assert numbers[smaller - 8 : smaller + 6].strip() == f"of {num_known}"
    assert numbers[whole - 6 : whole + 6].strip() == ""


async def test_an_answer_that_was_made_is_scored_by_its_own_text_whatever_its_id():
    """A fused answer of a smaller pool has the id that another draw of the whole pool has."""
    recorded = outcome(prompt_in("ru"), ["Ответ: 1", "Ответ: 2", "Ответ: 3"], gold={"answer": "4"})
    scorer = registry.parse("scorers", "oracle")
    pool = pool_of(recorded)
    scores = await scores_of(pool, scorer)
    made = Candidate(id=2, text="Ответ: 4", parents=(0, 1))
    selection = Selection(winner=made, weights={})
    assert await choice_score(selection, pool, scores, scorer) == 1
    drawn = Selection(winner=recorded.candidates[2], weights={})
    assert await choice_score(drawn, pool, scores | {2: 0.5}, scorer) == 0.5
