"""Buying verdicts: what is asked, what is kept, what is never bought twice."""

import pytest

from judges import compares, is_repair, shown
from nbest.arena.judged_games import Judging, judge, read_verdicts
from nbest.arena.pairings import Answer, games_between, named_runs, read_answers, unanswered
from nbest.errors import EngineError, InputError, RecordsError
from nbest.records import RunWriter, read_outcomes
from nbest.types import Candidate, Message, Outcome, Prompt, Selection, replace
from scripted import Scripted

LANGUAGES = {"de": "Wie viel?", "ja": "いくつ？", "ar": "كم؟"}


def answers(system, texts, **gold):
    return {
        f"q/{i}": Answer(
            Prompt(id=f"q/{i}", messages=(Message(role="user", content=question),), language=language),
            texts[i],
            0,
            {"cluster": i, **gold},
        )
        for i, (language, question) in enumerate(LANGUAGES.items())
    }


SYSTEMS = {"long": answers("long", ["aaaa", "bb", "cc"]), "short": answers("short", ["a", "bb ", "c"])}


async def buy(out, engine, games=None, judging=None, systems=SYSTEMS, **more):
    games = games_between(systems) if games is None else games
    judging = judging or Judging()
    config = {"judge": {"engine": "scripted", "digest": judging.config(engine)["judge"]["digest"]}} | more
    with RunWriter(out, config) as writer:
        await judge(games, judging, engine, writer)
    return read_verdicts(out, games)


@pytest.fixture(autouse=True)
def engines_have_specs(monkeypatch):
    monkeypatch.setattr("nbest.arena.judged_games.registry.spec_of", lambda engine: engine.name)


async def test_each_pair_is_judged_in_both_orders_and_equal_texts_are_not(tmp_path):
    engine = Scripted(compares(len))
    verdicts = await buy(tmp_path / "v", engine)
    assert len(engine.requests) == 4
    assert {(shown(r)["A"], shown(r)["B"]) for r in engine.requests} == {
        ("aaaa", "a"),
        ("a", "aaaa"),
        ("cc", "c"),
        ("c", "cc"),
    }
    assert all(r.role == "judge" and r.params.temperature == 0 for r in engine.requests)
    found = {(v.prompt.id, v.systems): (v.grade, v.is_asked) for v in verdicts}
    assert found == {
        ("q/0", ("long", "short")): ("A>>B", True),
        ("q/0", ("short", "long")): ("B>>A", True),
        ("q/1", ("long", "short")): ("A=B", False),
        ("q/1", ("short", "long")): ("A=B", False),
        ("q/2", ("long", "short")): ("A>B", True),
        ("q/2", ("short", "long")): ("B>A", True),
    }
    assert sum(v.usage["judge"].calls for v in verdicts if v.usage) == 4


async def test_a_game_is_an_outcome_that_tells_all(tmp_path):
    await buy(tmp_path / "v", Scripted(compares(len)))
    o = next(o for o in read_outcomes(tmp_path / "v") if o.prompt.id == "q/0/short/long")
    assert [c.text for c in o.candidates] == ["a", "aaaa"]
    assert o.selection.winner.id == 1
    assert o.selection.scores == {0: 0.0, 1: 3.0}
    assert o.selection.rationale == "[[B>>A]]"
    assert o.prompt.language == "de"
    assert o.gold == {"cluster": 0}


async def test_again_nothing_is_asked(tmp_path):
    first = await buy(tmp_path / "v", Scripted(compares(len)))
    silent = Scripted(EngineError("not to be asked"))
    assert await buy(tmp_path / "v", silent) == first
    assert silent.requests == []


async def test_an_unreadable_reply_is_kept_and_not_asked_again(tmp_path):
    engine = Scripted(lambda r: "I cannot say." if is_repair(r) else "Beide sind gut.")
    verdicts = await buy(tmp_path / "v", engine)
    nulls = [v for v in verdicts if v.grade is None]
    assert len(nulls) == 4
    assert all(v.is_answered and "no verdict" in v.problem for v in nulls)
    assert len(engine.requests) == 8  # each asked once more
    outcome = next(o for o in read_outcomes(tmp_path / "v") if o.selection is None)
    assert "Beide sind gut." in outcome.notes[0]
    again = Scripted(compares(len))
    assert await buy(tmp_path / "v", again) == verdicts
    assert again.requests == []


async def test_a_judge_that_failed_is_asked_again_for_those_games_only(tmp_path):
    def flaky(request):
        return EngineError("down") if "aaaa" in shown(request).values() else compares(len)(request)

    first = await buy(tmp_path / "v", Scripted(flaky))
    assert sum(not v.is_answered for v in first) == 2
    engine = Scripted(compares(len))
    second = await buy(tmp_path / "v", engine)
    assert len(engine.requests) == 2
    assert all(v.grade for v in second)


async def test_a_repair_that_fails_is_tried_again(tmp_path):
    engine = Scripted(lambda r: EngineError("down") if is_repair(r) else "…")
    verdicts = await buy(tmp_path / "v", engine)
    assert sum(not v.is_answered for v in verdicts) == 4


async def test_other_answers_under_the_same_names_are_refused(tmp_path):
    await buy(tmp_path / "v", Scripted(compares(len)))
    changed = SYSTEMS | {"short": answers("short", ["A", "bb", "c"])}
    with pytest.raises(RecordsError, match="the runs have changed"):
        await buy(tmp_path / "v", Scripted(compares(len)), systems=changed)
    with pytest.raises(RecordsError, match="the runs have changed"):
        read_verdicts(tmp_path / "v", games_between(changed))


async def test_a_third_run_is_added_to_the_same_store(tmp_path):
    await buy(tmp_path / "v", Scripted(compares(len)))
    three = SYSTEMS | {"mid": answers("mid", ["aa", "b", "ccc"])}
    engine = Scripted(compares(len))
    assert len(await buy(tmp_path / "v", engine, systems=three)) == 18
    assert len(engine.requests) == 12
    silent = Scripted(EngineError("not to be asked"))
    other_way_round = dict(reversed(three.items()))
    await buy(tmp_path / "v", silent, systems=other_way_round)
    assert silent.requests == []


async def test_what_a_store_lacks_is_said(tmp_path):
    with pytest.raises(RecordsError, match="`engine`"):
        read_verdicts(tmp_path / "v")
    games = games_between(SYSTEMS)
    await buy(tmp_path / "v", Scripted(compares(len)), games=games[:-1])
    with pytest.raises(RecordsError, match="lacks 1 of 6 games, such as 'q/2/short/long'"):
        read_verdicts(tmp_path / "v", games)


def test_a_run_is_no_store_of_verdicts(tmp_path):
    with RunWriter(tmp_path / "run", {}) as writer:
        writer.append(outcome("q", "text"))
    with pytest.raises(RecordsError, match="holds answers, not verdicts"):
        read_verdicts(tmp_path / "run")


def test_the_terms_are_part_of_the_configuration(tmp_path):
    engine = Scripted("")
    own = tmp_path / "templates"
    own.mkdir()
    with pytest.raises(InputError, match=r"no pairwise\.txt"):
        Judging(templates=str(own)).config(engine)
    (own / "pairwise.txt").write_text("{{prompt}}{{candidates}}", encoding="utf-8")
    one = Judging(templates=str(own)).config(engine)
    (own / "pairwise.txt").write_text("{{prompt}} {{candidates}}", encoding="utf-8")
    assert Judging(templates=str(own)).config(engine) != one
    assert Judging(max_tokens=5).config(engine) != Judging().config(engine)


async def test_instructions_may_be_in_the_language_of_the_prompt(tmp_path):
    engine = Scripted(compares(len))
    await buy(tmp_path / "v", engine, judging=Judging(template_language="prompt"))
    german = [r for r in engine.requests if r.prompt.language == "de"]
    assert all("Antwort" in r.prompt.messages[0].content for r in german)


def test_prompts_without_two_answers_give_no_game_and_are_counted():
    lacking = {"x": answers("x", ["a", None, "c"]), "y": dict(list(answers("y", "abd").items())[1:])}
    games = games_between(lacking)
    assert [g.prompt.id for g in games] == ["q/2/x/y", "q/2/y/x"]
    assert unanswered(lacking) == {"x": 1, "y": 1}


def test_the_baseline_may_be_the_only_opponent():
    three = SYSTEMS | {"mid": answers("mid", ["aa", "b", "ccc"])}
    assert len(games_between(three)) == 18
    assert len(games_between(three, pairs="baseline")) == 12
    assert all("mid" in g.prompt.id for g in games_between(three, baseline="mid", pairs="baseline"))
    with pytest.raises(InputError, match="known: long, short"):
        games_between(SYSTEMS, baseline="middle")
    with pytest.raises(InputError, match="two or more"):
        games_between({"long": SYSTEMS["long"]})


def test_runs_that_mean_other_prompts_are_refused():
    other = answers("other", "xyz")
    asked = replace(other["q/1"].prompt, messages=(Message(role="user", content="!"),))
    other["q/1"] = other["q/1"]._replace(prompt=asked)
    with pytest.raises(InputError, match="different prompts under id 'q/1'"):
        games_between({"long": SYSTEMS["long"], "other": other})


def test_prompts_with_other_line_numbers_are_paired_by_what_they_ask():
    texts = ["كم عدد البيض؟", "卵はいくつですか？", "달걀은 몇 개입니까?"]
    asked = [Prompt(id="", messages=(Message(role="user", content=t),)) for t in texts]

    def numbered(first, prompts):
        return {str(i): Answer(replace(p, id=str(i)), f"{i}", 0, {}) for i, p in enumerate(prompts, first)}

    games = games_between({"a": numbered(1, asked), "b": numbered(1, asked[1:])})
    assert [g.prompt.id for g in games] == ["2/a/b", "2/b/a", "3/a/b", "3/b/a"]
    assert [c.text for c in games[0].candidates] == ["2", "1"]
    assert unanswered({"a": numbered(1, asked), "b": numbered(1, asked[1:])}) == {"b": 1}


def test_runs_are_called_by_their_directory_or_by_name(tmp_path):
    assert list(named_runs(["runs/a", "b=runs/a", "runs/c/"])) == ["a", "b", "c"]
    with pytest.raises(InputError, match="two runs are called 'a'"):
        named_runs(["x/a", "y/a"])


def outcome(id_, text):
    prompt = Prompt(id=id_, messages=(Message(role="user", content="?"),))
    winner = None if text is None else Candidate(id=0, text=text)
    selection = None if winner is None else Selection(winner=winner, weights={0: 1.0})
    stopped = "error" if winner is None else "done"
    return Outcome(
        prompt=prompt,
        strategy="s",
        seed=0,
        selection=selection,
        candidates=(winner,) if winner else (),
        usage={},
        stopped=stopped,
    )


def test_answers_are_read_from_a_run(tmp_path):
    with RunWriter(tmp_path / "run", {}) as writer:
        for o in (outcome("1", "one"), outcome("2", None)):
            writer.append(o)
    assert {k: a.text for k, a in read_answers(tmp_path / "run").items()} == {"1": "one", "2": None}
