import io
import json

import pytest
from rich.console import Console

from commandline import nbest
from nbest.accounting.costs import ModelSize, Price
from nbest.accounting.price_list import costs_of
from nbest.errors import InputError
from nbest.evaluate import runs
from nbest.evaluate.runs import measured
from nbest.evaluate.summary import evaluate
from nbest.evaluate.tables import show
from nbest.records import RunWriter
from nbest.types import Candidate, Message, Outcome, Prompt, SamplingParams, Selection, Usage


def record(path, rights, *, language="th", gold=None, ids=None):
    """A run with one prompt per entry of `rights`: whether each draw is right; the first is chosen."""
    with RunWriter(path, {}) as writer:
        for i, right in enumerate(rights):
            lang = language if isinstance(language, str) else language[i]
            texts = [f"คำตอบ: {4 if r else j + 5}" for j, r in enumerate(right)]
            pool = tuple(
                Candidate(id=j, text=t, params=SamplingParams(temperature=0.7 if j else 0))
                for j, t in enumerate(texts)
            )
            writer.append(
                Outcome(
                    prompt=Prompt(
                        id=ids[i] if ids else f"q{i}",
                        messages=(Message(role="user", content="?"),),
                        language=lang,
                    ),
                    strategy="s",
                    seed=0,
                    selection=Selection(winner=pool[0], weights={0: 1.0}),
                    candidates=pool,
                    usage={"policy": Usage(prompt=7, completion=len(pool), calls=1)},
                    gold={"answer": "4", **(gold(i) if gold else {})},
                )
            )
    return path


def cell(evaluation, group, measure, run=0):
    name = evaluation.runs[run].run
    return next(g for g in evaluation.groups if (g.run, g.group) == (name, group)).cells[measure]


def test_groups_macro_and_all(tmp_path):
    rights = [[1, 1], [1, 0], [0, 0], [0, 1]]
    found = evaluate([measured(record(tmp_path / "a", rights, language=["th", "th", "th", "sw"]))])
    assert [g.group for g in found.groups] == ["sw", "th", "macro", "all"]
    assert cell(found, "th", "score").value == pytest.approx(2 / 3)
    assert cell(found, "sw", "score").value == 0
    assert cell(found, "sw", "score").low is None
    assert cell(found, "macro", "score").value == pytest.approx(1 / 3)
    assert cell(found, "macro", "score").low is None
    assert cell(found, "all", "score").value == pytest.approx(1 / 2)
    assert cell(found, "all", "pass@2").value == pytest.approx(3 / 4)
    assert cell(found, "all", "hope").value == pytest.approx(1 / 4)


def test_what_has_no_interval_says_so(tmp_path):
    run = measured(record(tmp_path / "a", [[1, 1], [1, 0], [0, 0]], language=["th", "th", "sw"]))
    console = Console(width=200, record=True, file=io.StringIO())
    show(evaluate([run]), console)
    lines = console.export_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.lstrip().startswith("macro"))
    assert "50.0" in lines[at]
    assert "[" not in lines[at + 1]
    assert any("a macro average of groups with one, does not tell" in line for line in lines)


@pytest.mark.parametrize("size", [1, 2, 3, 128])
def test_measures_are_those_of_each_prompt_alone_however_they_are_batched(tmp_path, monkeypatch, size):
    """Some measures begin late, and some end early: pools have one, two and four draws."""
    rights = [[1], [0, 1], [0], [0, 1, 1, 1], [1, 0], [0]]
    alone = [measured(record(tmp_path / f"{i}", [right])).columns for i, right in enumerate(rights)]
    monkeypatch.setattr(runs, "_BATCH", size)
    columns = measured(record(tmp_path / "all", rights)).columns
    assert set(columns) == {name for own in alone for name in own}
    for name, (values, known) in columns.items():
        expected = [own[name][0].tolist() if name in own else [None] for own in alone]
        assert [[v if k else None] for v, k in zip(values.tolist(), known, strict=True)] == expected


def test_the_same_with_two_processes(tmp_path):
    run = record(tmp_path / "a", [[1, 0, i % 3 == 0] for i in range(300)])
    one, two = measured(run), measured(run, processes=2)
    assert one.ids == two.ids
    assert {n: c[0].tolist() for n, c in one.columns.items()} == {
        n: c[0].tolist() for n, c in two.columns.items()
    }


def test_difficulty_is_the_first_runs(tmp_path):
    rights = [[1] * i + [0] * (4 - i) for i in (4, 3, 2, 1, 0)]
    first = measured(record(tmp_path / "a", rights))
    other = measured(record(tmp_path / "b", rights[::-1]))
    found = evaluate([first, other], by="difficulty")
    assert [g.group for g in found.groups][:6] == ["1 easiest", "2", "3", "4", "5 hardest", "all"]
    assert cell(found, "1 easiest", "pass@1").value == 1
    assert cell(found, "1 easiest", "pass@1", run=1).value == 0


def test_differences_are_paired_by_prompt_and_corrected(tmp_path):
    first = measured(record(tmp_path / "a", [[0]] * 8 + [[1]] * 2, ids=[f"q{i}" for i in range(10)]))
    other = measured(
        record(tmp_path / "b", [[1]] * 8 + [[1]] * 2, ids=[f"q{i}" for i in (9, 8, 0, 1, 2, 3, 4, 5, 6, 99)])
    )
    (change,) = evaluate([first, other]).changes
    assert change.num_prompts == 9
    assert change.value == pytest.approx(7 / 9)
    assert change.p == pytest.approx(2 / 2**7)
    third = evaluate([first, other, first]).changes
    assert third[0].p_holm == pytest.approx(2 * change.p)
    assert third[1].p == third[1].p_holm == 1


def test_translations_are_one_cluster(tmp_path):
    rights = [[i % 2] for i in range(40)]
    alone = evaluate([measured(record(tmp_path / "a", rights))])
    together = evaluate([measured(record(tmp_path / "b", rights, gold=lambda i: {"cluster": i % 4}))])
    assert together.runs[0].cluster == "cluster"
    assert together.groups[0].num_clusters == 4
    assert alone.runs[0].cluster is None
    wide, narrow = cell(together, "th", "score"), cell(alone, "th", "score")
    assert wide.high - wide.low > narrow.high - narrow.low


def test_a_cluster_that_only_some_rows_have_is_refused(tmp_path):
    run = record(tmp_path / "a", [[1], [1]], gold=lambda i: {"cluster": 1} if i else {})
    with pytest.raises(InputError, match="'q0' has no 'cluster'"):
        measured(run)
    with pytest.raises(InputError, match="has no 'story'"):
        measured(run, cluster="story")


def test_gold_from_a_task_for_a_run_without(tmp_path):
    run = record(tmp_path / "a", [[1], [0]], gold=lambda _: {"answer": None})
    assert measured(run).scorer is None
    found = measured(run, gold_by_id={"q0": {"answer": "4"}, "q1": {"answer": "4"}})
    assert found.columns["score"][0].tolist() == [1, 0]


def test_runs_measured_differently_are_not_compared(tmp_path):
    a = measured(record(tmp_path / "a", [[1]]))
    b = measured(
        record(tmp_path / "b", [[1]], gold=lambda _: {"reference": "4"}),
        scorer="reference_oracle(utility=edit)",
    )
    with pytest.raises(InputError, match="measured differently"):
        evaluate([a, b])


def test_an_empty_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="no outcome"):
        evaluate([measured(record(tmp_path / "a", []))])


def test_sizes_and_prices_as_flags():
    costs = costs_of(["8e9", "judge=70e9"], ["0.15/0.6", "judge=2/8/0.5"])
    assert costs.sizes == {"policy": ModelSize(parameters=8e9), "judge": ModelSize(parameters=70e9)}
    assert costs.prices["judge"] == Price(prompt=2, completion=8, cached=0.5)
    for wrong in (["8B"], ["1/2"], ["nan"]):
        with pytest.raises(InputError, match="`params`"):
            costs_of(wrong, [])
    with pytest.raises(InputError, match="INPUT/OUTPUT"):
        costs_of([], ["1"])


@pytest.mark.parametrize("wrong", ["jugde=2/8", "Judge=2/8", "verifer=2/8"])
def test_the_price_of_a_role_that_does_not_exist_is_an_error_and_no_price_of_another(wrong):
    with pytest.raises(InputError, match=r"did you mean '(judge|verifier)'"):
        costs_of([], ["0.15/0.6", wrong])
    with pytest.raises(InputError, match="no role or engine is called"):
        costs_of([wrong], [])


def test_two_prices_of_one_role_are_an_error():
    with pytest.raises(InputError, match="two for judge: 1/2 and 2/8"):
        costs_of([], ["judge=1/2", "judge=2/8"])


def test_the_command(tmp_path):
    record(tmp_path / "a", [[0, 1]] * 12, language=["th", "sw"] * 6)
    record(tmp_path / "b", [[1, 1]] * 12, language=["th", "sw"] * 6)
    command = ("eval", tmp_path / "a", tmp_path / "b", "--params", "8e9")
    shown = nbest(*command, may_fail=False)
    for word in ("accuracy", "pass@2", "maj@2", "hope", "distinct", "FLOPs", "p (Holm)", "macro"):
        assert word in shown.stdout
    done = nbest(*command, "--json", "--by", "task")
    found = json.loads(done.stdout)
    assert found["changes"][0]["value"] == 1
    assert found["groups"][0]["cells"]["flops"]["value"] == 2 * 8e9 * 9
    wrong = nbest(*command, "--score", "nonsense")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: --score nonsense")


def test_run_takes_a_task(tmp_path):
    (tmp_path / "mgsm_th.tsv").write_text("สองบวกสอง?\t4\n", encoding="utf-8")
    spec = f"mgsm(path='{tmp_path}', languages=[th])"
    nbest("run", spec, "--engine", "fake", "--out", tmp_path / "run", may_fail=False)
    assert measured(tmp_path / "run").clusters == ["mgsm/0"]
