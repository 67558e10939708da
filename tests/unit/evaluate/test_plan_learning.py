"""Plans from recorded runs, end to end."""

import asyncio
import json

import pytest

from nbest import registry
from nbest.errors import InputError
from nbest.evaluate.plan_drift import drift_in
from nbest.evaluate.plan_learning import learn_plan
from nbest.evaluate.plan_options import Wanted, read_options
from nbest.plan.plan_file import read_plan, write_plan
from nbest.records import RunWriter
from nbest.report import plan_tables
from nbest.types import replace
from planning import BEAM, POOL, QUESTIONS, outcome_of, prompt_of, write_runs

ORACLE = registry.parse("scorers", "oracle")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write_runs(tmp_path_factory.mktemp("runs"))


def learn(runs, *, budgets=(4.0, 8.0, 12.0), **how):
    return asyncio.run(learn_plan(runs, ORACLE, Wanted(budgets=budgets, stops=("bayes_factor(10)",)), **how))


def test_search_is_for_hard_prompts_and_easy_ones_end_with_the_pilot(runs, tmp_path):
    plan = learn(runs, provenance={"score": "oracle"})
    general = {(c.budget, c.bin): c.strategy for c in plan.choices if c.language is None}
    assert general[12.0, 1] == "parallel(sampler=iid(n=4, temperature=0.8), selector=vote)"
    assert general[12.0, plan.difficulty.num_bins] == BEAM
    assert all("n=4," in general[4.0, b + 1] for b in range(plan.difficulty.num_bins))
    row = plan.held_out[-1]
    assert row.single == BEAM  # as good on all prompts, at a third more
    assert row.gain > 0
    assert row.cost < 0.8 * row.single_cost
    assert plan.provenance["num_prompts"] == 240
    assert plan.provenance["num_clusters"] == 30
    assert plan.engines == ("model-a",)
    assert sum(map(sum, plan.confusion)) == pytest.approx(1.0, abs=0.01)

    write_plan(plan, tmp_path / "plan.toml")
    assert read_plan(str(tmp_path / "plan.toml")).choices == plan.choices
    titles = [table.title for table in plan_tables.tables(plan)]
    assert titles == ["plan, held out", "compute saved, held out", "choices", "difficulty: % of prompts"]


def test_the_same_runs_give_the_same_plan(runs):
    assert learn(runs) == learn(runs)


def test_a_whole_run_costs_its_tokens_and_the_pilot(runs):
    found = asyncio.run(read_options(runs, ORACLE, Wanted(budgets=(12.0,))))
    place = found.options.specs.index(BEAM)
    assert found.options.tokens_TO[:, place].tolist() == [8 * 20 + 4 * 20] * found.options.prompts_T.size
    assert found.options.answers_TO[:, place] == pytest.approx(12.0)


def test_prompts_that_not_all_runs_have_are_left_out(runs, tmp_path):
    few = tmp_path / "few"
    with RunWriter(few, {}) as writer:
        for i in range(20):
            writer.append(outcome_of(prompt_of(i, "th"), BEAM, ["42"] * 8))
    plan = learn([runs[0], str(few)])
    assert plan.provenance["num_prompts"] == 20
    assert plan.provenance["num_left_out"] == 220
    other = tmp_path / "other"
    with RunWriter(other, {}) as writer:
        writer.append(outcome_of(prompt_of(999, "th"), BEAM, ["42"]))
    with pytest.raises(InputError, match="no prompt is in all runs"):
        learn([runs[0], str(other)])


def test_shorter_chains_of_revisions_are_options(runs, tmp_path):
    folder = tmp_path / "revise"
    with RunWriter(folder, {}) as writer:
        for i in range(20):
            outcome = outcome_of(
                prompt_of(i, "ja"), "revise(sequential=2, parallel=2)", ["7", "42", "7", "42"]
            )
            chains = {"chains": [[0, 1], [2, 3]]}
            selection = replace(outcome.selection, details=chains)
            writer.append(replace(outcome, selection=selection))
    found = asyncio.run(read_options([runs[0], str(folder)], ORACLE, Wanted(budgets=(12.0,))))
    table = found.options
    revisions = [spec for spec in table.specs if spec.startswith("revise")]
    assert len(revisions) == 4
    value = {spec: table.values_TO[:, table.specs.index(spec)].mean() for spec in revisions}
    tokens = {spec: table.tokens_TO[0, table.specs.index(spec)] - 80 for spec in revisions}
    assert value["revise(sequential=1, parallel=1)"] == 0.0  # the first attempt is always wrong
    assert tokens["revise(sequential=1, parallel=1)"] == 20
    assert tokens["revise(sequential=2, parallel=1)"] == 40


def test_a_verifier_gives_best_of_n_and_weighted_votes(tmp_path):
    pools = tmp_path / "pools.jsonl"
    rows = []
    for i in range(30):
        for language in ("th", "ar"):
            candidates = [
                {
                    "text": "42" if k % 3 == i % 3 else str(k),
                    "judge": float(k % 3 == i % 3),
                    "usage": {"completion": 7},
                }
                for k in range(12)
            ]
            rows.append(
                {"id": f"{i}-{language}", "prompt": QUESTIONS[language], "answer": "42", "language": language,
                 "cluster": str(i), "candidates": candidates}
            )  # fmt: skip
    pools.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    verifier = registry.parse("scorers", "recorded(judge)")
    wanted = Wanted(budgets=(8.0,), verifier=verifier)
    found = asyncio.run(read_options([str(pools)], ORACLE, wanted))
    means = dict(zip(found.options.specs, found.options.values_TO.mean(axis=0), strict=True))
    best = next(spec for spec in means if "best(" in spec and "n=8" in spec)
    weighted = next(spec for spec in means if "vote(weight=" in spec and "n=8" in spec)
    assert means[best] > 0.95
    assert means[weighted] > 0.95
    plan = asyncio.run(learn_plan([str(pools)], ORACLE, wanted))
    assert plan.scorer == registry.spec_of(verifier)


def test_what_cannot_be_fitted_says_so(runs, tmp_path):
    with pytest.raises(InputError, match="`budgets` must be at least the pilot's 4"):
        learn(runs, budgets=(2.0,))
    with pytest.raises(InputError, match="none of the runs is a pool"):
        learn(runs[1:])


def test_drift_is_told_from_a_run(runs, tmp_path):
    plan = learn(runs)
    folder = tmp_path / "served"
    with RunWriter(folder, {}) as writer:
        for i in range(150):
            outcome = outcome_of(prompt_of(i, "ru"), POOL, ["42"] * 4)
            selection = replace(outcome.selection, details={"plan": {"bin": 1}})
            writer.append(replace(outcome, selection=selection))
    assert "100% of 150 prompts are in bin 1" in drift_in(folder, plan)
    with pytest.raises(InputError, match="no prompt was answered by a plan"):
        drift_in(runs[0], plan)
