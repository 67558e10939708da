"""The command line as a person meets it."""

import importlib.util
import json
import socket
import subprocess
import sys

import pytest

from commandline import nbest
from nbest.cli.display.answer_view import show_answer
from nbest.cli.display.run_summary import show_run
from nbest.records import RunWriter, read_outcomes
from nbest.types import Candidate, Message, Outcome, Prompt, Selection, Usage

ROWS = [
    {"id": "ar", "prompt": "كم تفاحة؟", "language": "ar", "answer": "5"},
    {"id": "th", "prompt": "มีแอปเปิลกี่ผล", "language": "th", "answer": "5"},
    {"id": "zh", "prompt": "有几个苹果？", "language": "zh", "answer": "5"},
]


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in ROWS), encoding="utf-8")
    return file


def test_ask_prints_the_answer_and_nothing_else_on_standard_output():
    done = nbest("ask", "17 個のりんごを…", "--engine", "fake", "--sample", "hedged(n=5)", "--select", "vote")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") <= 2
    assert "5 candidates" in done.stderr


def test_steps_of_a_search_are_counted_and_shown_as_steps(tmp_path, capsys):
    row = Prompt(id="th", messages=(Message(role="user", content="มีแอปเปิลกี่ผล"),))
    step = Candidate(id=0, text="สองบวกสาม\n", finish="step")
    right = Candidate(id=1, text="สองบวกสาม\nคำตอบ: 5", parents=(0,))
    searched = Outcome(
        prompt=row, strategy="beam", seed=0, selection=Selection(winner=right, weights={1: 1.0}),
        candidates=(step, right), usage={"policy": Usage(calls=2)},
    )  # fmt: skip
    with RunWriter(tmp_path / "run", {}) as writer:
        writer.append(searched)
    show_answer(searched, with_pool=True, as_json=False)
    show_run(tmp_path / "run", as_json=False)
    shown = capsys.readouterr().err
    show_run(tmp_path / "run", as_json=True)
    counts = json.loads(capsys.readouterr().out)
    assert "0 step" in shown
    assert "\n1 candidates, 1 steps, 0 tokens" in shown
    assert "1 prompts, 1 candidates, 1 steps" in shown
    assert (counts["candidates"], counts["steps"]) == (1, 1)


def test_ask_as_json_is_the_outcome():
    done = nbest("ask", "-", "--engine", "fake", "--select", "mbr(utility=chrf)", "--json", stdin="سؤال")
    outcome = json.loads(done.stdout)
    assert outcome["prompt"]["messages"] == [{"role": "user", "content": "سؤال"}]
    assert len(outcome["candidates"]) == 5
    assert outcome["usage"]["policy"]["completion"] > 0


def test_run_then_select_offline(prompts, tmp_path):
    done = nbest(
        "run", prompts, "--out", tmp_path / "first", "--engine", "fake", "--select", "likelihood", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prompts"] == 3
    for spec in ("vote", "likelihood", "best(oracle)"):
        out = tmp_path / spec
        done = nbest("select", tmp_path / "first", "--select", spec, "--out", out, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["candidates"] == 15


def test_select_chooses_offline_as_run_would_have(prompts, tmp_path):
    nbest("run", prompts, "--out", tmp_path / "a", "--engine", "fake", "--select", "random")
    nbest("run", prompts, "--out", tmp_path / "b", "--engine", "fake", "--select", "mbr")
    nbest("select", tmp_path / "b", "--out", tmp_path / "c", "--select", "random")
    assert winners(tmp_path / "a") == winners(tmp_path / "c")


def winners(run):
    lines = (run / "outcomes-00000.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    rows = map(json.loads, lines)
    return {r["prompt"]["id"]: r["selection"]["winner"]["id"] for r in rows}


def test_replay_draws_what_was_recorded(prompts, tmp_path):
    nbest("run", prompts, "--out", tmp_path / "a", "--engine", "fake", "--select", "first")
    engine = f"replay:{tmp_path / 'a'}"
    done = nbest("run", prompts, "--out", tmp_path / "b", "--engine", engine, "--select", "first", "--json")
    assert done.returncode == 0, done.stderr
    assert winners(tmp_path / "a") == winners(tmp_path / "b")
    assert json.loads(done.stdout)["failed_candidates"] == 0


def test_settings_from_a_file_and_flags_that_win(prompts, tmp_path):
    config = tmp_path / "nbest.toml"
    config.write_text('engine = "fake"\nsample = "iid(n=2)"\nselect = "first"\n[budget]\nsamples = 4\n')
    ask = ("ask", "x", "--config", config, "--json")
    assert len(json.loads(nbest(*ask).stdout)["candidates"]) == 2
    assert len(json.loads(nbest(*ask, "--sample", "iid(n=9)").stdout)["candidates"]) == 4
    assert len(json.loads(nbest(*ask, "--max-samples", "1").stdout)["candidates"]) == 1


def test_list_says_what_exists():
    done = nbest("list", "samplers")
    assert "hedged(n=5" in done.stdout
    assert "arXiv 2506.20544" in done.stdout
    assert set(json.loads(nbest("list", "--json").stdout)) >= {"samplers", "selectors", "engines"}
    assert "beam(n=16, verifier=rollouts) is tree(search=beam(n=16)" in nbest("list", "strategies").stdout
    assert "best_of_n  The same as best." in nbest("list", "selectors").stdout


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("vote(n=3)", "parallel(sampler=hedged(n=3), selector=vote)"),
        (
            "beam(n=2, width=1, verifier=logprob)",
            "tree(search=beam(n=2, width=1), verifier=logprob)",
        ),
    ],
)
def test_a_short_strategy_is_recorded_in_full(tmp_path, short, long):
    (tmp_path / "p.jsonl").write_text('{"id": "th", "prompt": "๗ + ๕ = ?"}\n', encoding="utf-8")
    run = ["run", str(tmp_path / "p.jsonl"), "--out", str(tmp_path / "run"), "--engine", "fake"]
    assert nbest(*run, "--strategy", short).returncode == 0
    [outcome] = read_outcomes(tmp_path / "run")
    assert outcome.strategy == long
    assert nbest(*run, "--strategy", long).returncode == 0  # resumed: it is the same


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ask", "x", "--engine", "fake", "--select", "frist"), "did you mean 'first'"),
        (("ask", "x", "--engine", "fake", "--sample", "hedged(m=3)"), "hedged has no parameter 'm'"),
        (("ask", "x", "--engine", "fkae"), "did you mean 'fake'"),
        (("ask", " ", "--engine", "fake"), "the prompt is empty"),
        (("ask", "x", "--engine", "fake", "--language", "Arabic"), "did you mean 'ar'?"),
        (("ask", "x", "--engine", "fake", "--sample", ""), "--sample is empty"),
        (("ask", "x", "--engine", "fake", "--select="), "--select is empty"),
        (("ask", "x", "--engine", "fake", "--strategy", " "), "strategy is empty"),
        (
            ("ask", "x", "--engine", "fake", "--config", "{tmp}/empty.toml"),
            "line 1: sample: nothing is named",
        ),
        (("run", "{prompts}", "--engine", "fake", "--out", ""), "--out is empty"),
        (("report", "{tmp}", "--out="), "--out is empty"),
        (("run", "mgms(languages=[th])", "--out", "{tmp}/r", "--engine", "fake"), "did you mean 'mgsm'?"),
        (("ask", "caf\udce9", "--engine", "fake", "--json"), "the prompt is not UTF-8"),
        (("ask", "x", "--engine", "fake", "--engine", "fake(error_rate=1)"), "--engine names two for policy"),
        (("ask", "x", "--engine", "fake", "--deadline", "0"), "the deadline ended it"),
        (("ask", "x", "--engine", "fake", "--max-samples", "0"), "the budget ended it"),
        (("ask", "x", "--engine", "fake", "--model", "m"), "--model means nothing"),
        (("ask", "x", "--engine", "fake", "--strategy", "parallel", "--select", "vote"), "leave out"),
        (("ask", "x", "--engine", "llamacpp:none.gguf"), "none.gguf"),
        (("ask", "x", "--engine", "replay:none"), "no such file"),
        (("ask", "x", "--config", "none.toml"), "no such file"),
        (("ask", "x", "--engine", "fake(has_logprobs=false)", "--select", "likelihood"), "log-probabilities"),
        (("run", "none.jsonl", "--out", "{tmp}/r", "--engine", "fake"), "none.jsonl: no such file"),
        (("run", "{tmp}/bad.jsonl", "--out", "{tmp}/r", "--engine", "fake"), "line 2: not valid JSON"),
        (("run", "{tmp}/bad.jsonl", "--out", "{tmp}/bad.jsonl"), "line 2"),
        (("run", "{prompts}", "--out", "{prompts}", "--engine", "fake"), "needs a directory"),
        (
            ("run", "{prompts}", "--out", "{prompts}/r", "--engine", "fake"),
            "prompts.jsonl/r: Not a directory",
        ),
        (("select", "{tmp}/empty.jsonl", "--select", "vote", "--out", "{tmp}/r"), "holds no pool"),
        (("select", "{tmp}", "--select", "vote", "--out", "{tmp}/r"), "no run directory"),
        (("select", "{prompts}", "--select", "vote", "--out", "{tmp}/r"), 'no "candidates" list'),
        (("list", "sampler"), "did you mean 'samplers'"),
        (
            ("run", "{prompts}", "--out", "{tmp}/r", "--engine", "openai:http://127.0.0.1:{port}/v1"),
            "127.0.0.1",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, says, prompts, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"prompt": "ok"}\n{"prompt": \n')
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "empty.toml").write_text('sample = ""\n')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    filled = [
        a.replace("{tmp}", str(tmp_path)).replace("{prompts}", str(prompts)).replace("{port}", str(port))
        for a in arguments
    ]
    done = nbest(*filled)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "r" / "manifest.json").exists()


@pytest.mark.parametrize("command", ["list", "list --json", "--version", "ask x --engine fake"])
def test_a_reader_that_goes_away_is_no_failure_of_ours(command):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m nbest {command} | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 141
    assert "Error" not in done.stderr
    assert "ignored" not in done.stderr


def test_another_configuration_is_refused_and_nothing_is_lost(prompts, tmp_path):
    run = ("run", prompts, "--out", tmp_path / "r", "--engine", "fake", "--select", "first")
    assert nbest(*run).returncode == 0
    before = (tmp_path / "r" / "outcomes-00000.jsonl").read_bytes()
    done = nbest(*run, "--seed", "5")
    assert done.returncode == 2
    assert "seed was 0, is 5" in done.stderr
    assert (tmp_path / "r" / "outcomes-00000.jsonl").read_bytes() == before


def test_a_recorded_id_with_another_text_is_refused(prompts, tmp_path):
    run = ("run", prompts, "--out", tmp_path / "r", "--engine", "fake", "--select", "first")
    assert nbest(*run).returncode == 0
    prompts.write_text('{"id": "zh", "prompt": "something else"}\n')
    done = nbest(*run)
    assert done.returncode == 2
    assert "another prompt with id 'zh'" in done.stderr


def test_a_run_with_prompts_left_without_an_answer_says_so_and_exits_with_1(prompts, tmp_path):
    run = ("run", prompts, "--out", tmp_path / "r", "--engine", "fake(error_rate=1.0)", "--select", "first")
    done = nbest(*run)
    assert done.returncode == 1
    assert "no answer for" in done.stderr
    assert "told to fail" in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_training_without_its_extra_names_the_install_line(tmp_path):
    done = nbest("lab", "train-base", "--out", tmp_path / "x.gguf")
    assert done.returncode == 2
    assert "pip install 'nbest[train]'" in done.stderr
    assert done.stderr.count("\n") == 1
