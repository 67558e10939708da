"""`nbest judge` as a person meets it."""

import json

import pytest
from typer.testing import CliRunner

from nbest.cli.main import app
from nbest.errors import NbestError
from nbest.records import RunWriter
from nbest.types import Candidate, Message, Outcome, Prompt, Selection

SILENT = "fake(garbage_rate=1.0)"
"""A judge that says nothing readable."""
TEXTS = {"a": ["x", "yy", "zzz"], "b": ["xx", "yy", None], "c": ["1", "2", "3"]}


@pytest.fixture
def runs(tmp_path):
    for name, texts in TEXTS.items():
        with RunWriter(tmp_path / name, {}) as writer:
            for i, text in enumerate(texts):
                prompt = Prompt(id=str(i), messages=(Message(role="user", content="?"),), language="ko")
                winner = None if text is None else Candidate(id=0, text=text)
                writer.append(
                    Outcome(
                        prompt=prompt,
                        strategy="s",
                        seed=0,
                        selection=Selection(winner=winner, weights={0: 1.0}) if winner else None,
                        candidates=(winner,) if winner else (),
                        usage={},
                        gold={"topic": i % 2},
                    )
                )
    return tmp_path


def nbest(runs, *arguments):
    names = [str(runs / a) if a in TEXTS else str(a) for a in arguments]
    done = CliRunner().invoke(app, ["judge", *names, "--out", str(runs / "verdicts")])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_a_judge_that_says_nothing_is_accounted_for(runs):
    said = nbest(runs, "a", "b", "--engine", SILENT)
    assert "4 games, 2 asked, 2 without a verdict, 0 failed; 4 calls" in said
    assert "b: no answer to 1 prompts" in said
    assert "nothing is known" in said


def test_a_judge_that_speaks_is_counted(runs):
    said = json.loads(nbest(runs, "a", "b", "--engine", "fake", "--json"))
    assert said["judge"]["num_games"] == 4
    assert said["systems"][1]["win_rate"][0] != 0.5


def test_recorded_verdicts_are_read_without_an_engine(runs):
    nbest(runs, "a", "b", "--engine", SILENT)
    found = json.loads(nbest(runs, "a", "b", "--json", "--nulls", "tie", "--cluster", "topic"))
    assert (found["num_clusters"], found["cluster"]) == (2, "topic")
    assert found["systems"][1]["win_rate"][0] == 0.5
    assert json.loads(nbest(runs, "--json"))["judge"]["num_games"] == 4


def test_a_third_run_asks_only_what_is_new(runs):
    nbest(runs, "a", "b", "--engine", "fake")
    said = json.loads(nbest(runs, "a", "b", "c", "--engine", "fake", "--json", "--baseline=c"))
    assert said["baseline"] == "c"
    assert said["judge"]["num_games"] == 4 + 6 + 4
    fewer = json.loads(nbest(runs, "a", "b", "c", "--pairs", "baseline", "--json"))
    assert fewer["judge"]["num_games"] == 4 + 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "b"), "name an `engine`"),
        (("a", "--engine", "fake"), "name two or more"),
        (("--engine", "fake"), "name two or more"),
        (("a", "b", "--engine", "fake", "--baseline", "z"), "known: a, b"),
        (("a", "b", "--engine", "fake", "--templates", "nowhere"), "no pairwise.txt there"),
        (("a", "missing", "--engine", "fake"), "no run directory"),
    ],
)
def test_mistakes_are_told(runs, arguments, message):
    with pytest.raises(NbestError, match=message):
        nbest(runs, *arguments)
    assert not list(runs.glob("verdicts/outcomes*"))


def test_another_judge_is_refused(runs):
    nbest(runs, "a", "b", "--engine", "fake")
    with pytest.raises(NbestError, match=r"judge\.max_tokens was 2048, is 9"):
        nbest(runs, "a", "b", "--engine", "fake", "--max-tokens", "9")
