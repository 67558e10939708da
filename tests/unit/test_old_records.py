"""Everything that version 0.1 wrote is read unchanged: runs, pools, verdicts, comparisons and settings."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from commandline import nbest
from nbest.arena.judged_games import read_verdicts
from nbest.datasets import read_pools, read_prompts
from nbest.errors import RecordsError
from nbest.records import RunWriter, read_manifest, read_outcomes
from nbest.report import compared
from nbest.session import Session
from nbest.settings import gateway
from nbest.settings.run import settings
from nbest.types import Budget

OLD = Path(__file__).parents[1] / "fixtures" / "records-0.1"
RUNS = ["beam", "certain", "failing", "fuse", "mbr", "revise", "vote"]
RENAMED = {"drawn_tokens": "output_tokens", "prompt_tokens": "input_tokens"}
"""Columns of `eval`, today's name by the old one."""
NEW_COLUMNS = {"gold_inside", "truncated", "truncated_draws"}
CHOSEN_AGAIN = {"mbr": {"best@1", "best@2", "best@4"}}
"""Run → columns that are told by choosing again from smaller pools, and no longer by parts of its scores."""
GONE_COLUMNS = {
    # The scorer or selector of these runs sees the whole pool: a part of its scores says nothing of a smaller pool.
    **dict.fromkeys(("failing", "fuse", "revise", "vote"), ("best@",)),
    "mbr": ("best@",),
    # Answers of a search are derived from its steps, and are no draws.
    "beam": ("oracle", "regret"),
}
"""Run → how columns begin that it has no more."""
NUM_DRAWS = {"beam": 0, "fuse": 3, "revise": 2}
"""Candidates of a prompt where some are derived from others: those are not counted any more."""


@pytest.mark.parametrize("run", [*(f"runs/{name}" for name in RUNS), "verdicts"])
def test_outcomes_are_read_and_written_again_as_they_were(run):
    lines = (OLD / run / "outcomes-00000.jsonl").read_bytes().splitlines()
    outcomes = list(read_outcomes(OLD / run))
    assert [json.loads(msgspec.json.encode(o)) for o in outcomes] == [json.loads(line) for line in lines]


@pytest.mark.parametrize("run", RUNS)
def test_pools_of_runs_are_read(run):
    pools = list(read_pools(str(OLD / "runs" / run)))
    outcomes = list(read_outcomes(OLD / "runs" / run))
    assert [p.candidates for p in pools] == [o.candidates for o in outcomes]


@pytest.mark.parametrize("name", [*RUNS, "two"])
def test_eval_gives_the_numbers_that_it_gave(name, monkeypatch):
    monkeypatch.chdir(OLD)
    runs = ["vote", "beam"] if name == "two" else [name]
    done = nbest("eval", *(f"runs/{run}" for run in runs), "--json", may_fail=False)
    then, now = json.loads((OLD / "eval" / f"{name}.eval.json").read_text("utf-8")), json.loads(done.stdout)

    assert {k: v for k, v in now.items() if k != "groups"} == {k: v for k, v in then.items() if k != "groups"}
    assert len(now["groups"]) == len(then["groups"])
    for old, new in zip(then["groups"], now["groups"], strict=True):
        run = old["run"].removeprefix("runs/")
        old_cells, new_cells = old.pop("cells"), new.pop("cells")
        assert new == old
        expected = {RENAMED.get(column, column): cell for column, cell in old_cells.items()}
        gone = {c for c in expected if c.startswith(GONE_COLUMNS.get(run, ()) or ("-",))}
        if run in NUM_DRAWS:
            expected["candidates"] |= {"value": float(NUM_DRAWS[run])}
        assert {
            c: cell for c, cell in new_cells.items() if c not in NEW_COLUMNS | CHOSEN_AGAIN.get(run, set())
        } == {c: cell for c, cell in expected.items() if c not in gone}


@pytest.mark.parametrize("run", ["beam", "certain", "failing", "fuse", "revise", "vote"])
async def test_a_run_goes_on_under_the_same_configuration(run, tmp_path):
    shutil.copytree(OLD / "runs" / run, tmp_path / run)
    config = read_manifest(tmp_path / run)["config"]
    budget = Budget(**config["budget"])
    session = Session(
        engine=config["engine"], strategy=config["strategy"], seed=config["seed"], budget=budget
    )
    outcomes = list(read_outcomes(OLD / "runs" / run))
    with RunWriter(tmp_path / run, session.config) as writer:
        assert set(writer.recorded) == {o.prompt.id for o in outcomes if o.error is None}


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"engine": {"policy": "reissue(engine=fake)"}}, {"engine": {"policy": "hedge(engine=fake)"}}),
        (
            {"engine": {"judge": "retry(engine=reissue(engine=fake, after_s=2.0))"}},
            {"engine": {"judge": "retry(engine=hedge(engine=fake, after_s=2.0))"}},
        ),
        ({"judge": {"engine": "reissue(engine=fake)"}}, {"judge": {"engine": "hedge(engine=fake)"}}),
        ({"strategy": "parallel(quorum=3, linger=0.2)"}, {"strategy": "parallel(quorum=3, grace=0.2)"}),
        ({"strategy": "parallel(quorum=3, linger=0.5)"}, {"strategy": "parallel(quorum=3)"}),
        ({"presets": {"快": "parallel(linger=1.0)"}}, {"presets": {"快": "parallel(grace=1.0)"}}),
        ({"select": "best_of_n(scorer=oracle)"}, {"select": "best(scorer=oracle)"}),
    ],
)
def test_a_run_that_was_made_under_older_names_goes_on(then, now, tmp_path):
    manifest = {"schema": 1, "nbest": "0.1.0.dev0", "config": {**then, "seed": 0}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    RunWriter(tmp_path, {**now, "seed": 0}).close()
    with pytest.raises(RecordsError, match="seed was 0, is 1"):
        RunWriter(tmp_path, {**now, "seed": 1})


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("parallel(quorum=3, linger=0.2)", "parallel(quorum=3, grace=0.3)"),
        ("a_strategy_of_old", "parallel"),
        ("parallel(linger=", "parallel"),
    ],
)
def test_another_strategy_is_another_configuration(then, now, tmp_path):
    manifest = {"schema": 1, "nbest": "0.1.0.dev0", "config": {"strategy": then}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(RecordsError, match="strategy was"):
        RunWriter(tmp_path, {"strategy": now})


def test_prompts_and_settings_are_read():
    items = read_prompts(str(OLD / "prompts.jsonl"))
    assert {item.prompt.id for item in items} == {o.prompt.id for o in read_outcomes(OLD / "runs" / "vote")}
    chosen = settings(str(OLD / "run.toml"), {})
    assert (chosen.sample, chosen.select, chosen.seed, chosen.concurrency) == ("hedged(n=4)", "vote", 7, 4)
    assert chosen.budget.samples == 8
    serving = gateway.read(str(OLD / "gateway.toml"), {}, insecure=True)
    assert set(serving.presets) == {"fast", "vote"}
    assert serving.serve.max_n == 16


def test_comparisons_are_read():
    raw = json.loads((OLD / "compared" / "comparison.json").read_text("utf-8"))
    comparison = compared.read(OLD / "compared")
    assert len(comparison.cells) == len(raw["cells"])
    assert (comparison.score, comparison.baseline) == (raw["score"], raw["baseline"])
    for then, now in zip(raw["cells"], comparison.cells, strict=True):
        assert (now.select, now.n, list(now.value)) == (then["select"], then["n"], then["value"])


def test_verdicts_are_read_without_a_judge(tmp_path):
    verdicts = read_verdicts(OLD / "verdicts")
    lines = (OLD / "verdicts" / "outcomes-00000.jsonl").read_bytes().splitlines()
    assert len(verdicts) == len(lines)
    shutil.copytree(OLD / "verdicts", tmp_path / "verdicts")
    done = nbest("judge", "--out", tmp_path / "verdicts", "--json", may_fail=False)
    assert {"vote", "beam"} <= set(json.dumps(json.loads(done.stdout)).split('"'))
