"""`nbest fit plan`, `nbest fit show`, and a plan in `nbest ask`."""

import json

from commandline import nbest
from planning import write_runs


def test_a_plan_is_fitted_shown_and_used(tmp_path):
    runs, file = write_runs(tmp_path, num_problems=9), tmp_path / "план.toml"
    done = nbest("fit", "plan", *runs, "--budgets", "4,8", "--out", file, may_fail=False)
    assert "plan, held out" in done.stdout
    done = nbest("fit", "show", file, may_fail=False)
    assert "vote, n=4" in done.stdout
    assert "difficulty" in done.stdout
    shown = json.loads(nbest("fit", "show", file, "--json", may_fail=False).stdout)
    assert {choice["budget"] for choice in shown["choices"]} == {4.0, 8.0}

    strategy = ("--strategy", f"planned(file='{file}')", "--engine", "fake", "--language", "ja")
    outcome = json.loads(nbest("ask", "二足す二は？", *strategy, "--json", may_fail=False).stdout)
    assert "bin" in json.dumps(outcome, ensure_ascii=False)


def test_wrong_flags_are_named(tmp_path):
    runs = write_runs(tmp_path, num_problems=3)
    out = ("--out", tmp_path / "plan.toml")
    assert "--budgets x: write numbers" in nbest("fit", "plan", *runs, "--budgets", "x", *out).stderr
    assert "--budgets must be at least" in nbest("fit", "plan", *runs, "--budgets", "2", *out).stderr
    assert "none.toml" in nbest("fit", "show", tmp_path / "none.toml").stderr
