"""`nbest compare` and `nbest report` as a person meets them."""

import json

import pytest
from typer.testing import CliRunner

import runs
from nbest.cli.main import app
from nbest.errors import CapabilityError, InputError, SpecError


def nbest(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_compare_prints_a_table_or_json_and_keeps_it(tmp_path):
    pool, _ = runs.two_runs(tmp_path)
    said = nbest("compare", pool, "--select", "first, vote", "--n", "1,4")
    assert "right answers (%)" in said
    assert "gain over first" in said
    found = json.loads(nbest("compare", pool, "--select", "vote", "--json", "--out", tmp_path / "out"))
    assert [c["n"] for c in found["cells"] if c.get("language") is None] == [1, 2, 4]
    assert json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8")) == found
    assert (
        (tmp_path / "out" / "comparison.md").read_text(encoding="utf-8").startswith("**right answers (%)**")
    )


def test_compare_names_mistakes_before_it_works(tmp_path):
    pool, _ = runs.two_runs(tmp_path)
    with pytest.raises(SpecError, match="did you mean 'vote'"):
        nbest("compare", pool, "--select", "first, votes")
    with pytest.raises(InputError, match="--n 1,x"):
        nbest("compare", pool, "--select", "first", "--n", "1,x")
    with pytest.raises(InputError, match="must be numbers"):
        nbest("compare", pool, "--select", "first", "--n", "0")
    with pytest.raises(InputError, match="is a file"):
        nbest("compare", pool, "--select", "first", "--out", pool / "manifest.json")
    with pytest.raises(CapabilityError, match="needed"):
        nbest("compare", pool, "--select", "chops")


def test_compare_of_stopping_rules_prints_a_table_or_json_and_keeps_it(tmp_path):
    pool, _ = runs.two_runs(tmp_path)
    said = nbest("compare", pool, "--stop", "first_n(2), adaptive_consistency", "--wave", 2)
    assert "stopping rules, 2 draws at a time" in said
    found = json.loads(
        nbest("compare", pool, "--stop", "esc(2)", "--n", 3, "--json", "--out", tmp_path / "out")
    )
    assert [r["stop"] for r in found["results"]] == ["esc(2)"]
    assert found["num_draws"] == 3
    assert json.loads((tmp_path / "out" / "stops.json").read_text(encoding="utf-8")) == found


def test_compare_of_stopping_rules_names_mistakes(tmp_path):
    pool, _ = runs.two_runs(tmp_path)
    with pytest.raises(InputError, match="give --select or --stop"):
        nbest("compare", pool)
    with pytest.raises(InputError, match="give --select or --stop"):
        nbest("compare", pool, "--select", "vote", "--stop", "esc")
    with pytest.raises(SpecError, match="did you mean 'bayes_factor'"):
        nbest("compare", pool, "--stop", "bayes_facto(3)")
    with pytest.raises(InputError, match="--n is one number"):
        nbest("compare", pool, "--stop", "esc", "--n", "1,2")
    with pytest.raises(InputError, match="--baseline is for selectors"):
        nbest("compare", pool, "--stop", "esc", "--baseline", "esc")


def test_report_writes_a_page_unless_only_other_files_are_asked_for(tmp_path, monkeypatch):
    paths = runs.two_runs(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert nbest("report", *paths) == "report.html\n"
    (tmp_path / "report.html").unlink()
    assert nbest("report", *paths, "--json", "r.json") == "r.json\n"
    assert not (tmp_path / "report.html").exists()
    assert nbest("report", *paths, "--json", "r.json", "--out", "p.html") == "p.html\nr.json\n"


def test_prompts_without_what_the_score_reads_are_left_out_or_shown_without(tmp_path):
    rows = [runs.outcome(i, "ja", gold=None if i == 2 else "42") for i in range(4)]
    path = runs.write(tmp_path / "mixed", rows)
    found = json.loads(nbest("compare", path, "--select", "vote", "--json"))
    assert (found["num_prompts"], found["num_unscored"]) == (3, 1)
    nbest("report", path, "--json", tmp_path / "r.json")
    assert len(json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["runs"][0]["scores"]) == 3
    with pytest.raises(CapabilityError, match="reference"):
        nbest("report", path, "--score", "chrf", "--out", tmp_path / "r.html")


def test_report_gives_flops_where_it_is_told_the_size_of_a_model(tmp_path):
    [path, _] = runs.two_runs(tmp_path)
    nbest("report", path, "--params", "1e9", "--params", "judge=2e9", "--json", tmp_path / "r.json")
    [cost] = [t for t in json.loads((tmp_path / "r.json").read_text())["tables"] if "Cost" in t["title"]]
    flops = {row[1]: row[-1] for row in cost["rows"]}
    assert cost["columns"][-1] == "FLOPs"
    assert flops == {"judge": "4.40e+11", "policy": "6.80e+10"}
