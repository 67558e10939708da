"""Runs of the fake engine in other tools' formats; their own readers read them where they are installed."""

import asyncio
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nbest.datasets import Item
from nbest.errors import InputError, MissingExtraError, RecordsError
from nbest.evaluate.runs import measured
from nbest.export.lm_eval_sample import sample
from nbest.export.source import grade, shown, source_of
from nbest.export.targets import export
from nbest.records import RunWriter, read_outcomes
from nbest.session import Session
from nbest.types import Candidate, Message, Outcome, Prompt, Selection, Usage, replace

QUESTIONS = {
    "ar": "كم يساوي ٢ + ٢؟",
    "zh": "2 + 2 等于几？",
    "hi": "२ + २ कितना होता है?",
    "th": "2 + 2 เท่ากับเท่าไร",
}
SAMPLE_KEYS = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash",
}  # fmt: skip
RESULT_KEYS = {
    "results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config",
    "git_hash", "date", "task_hashes", "model_source", "model_name", "model_name_sanitized",
    "system_instruction", "system_instruction_sha", "fewshot_as_multiturn", "chat_template",
    "chat_template_sha", "total_evaluation_time_seconds",
}  # fmt: skip


def ask(id_, language, text, **rest):
    return Prompt(id=id_, language=language, messages=(Message(role="user", content=text),), **rest)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four scripts from the fake engine, some draws failing; a right answer; a prompt without any; a fusion."""
    path = tmp_path_factory.mktemp("runs") / "first"
    session = Session(
        engine="fake(error_rate=0.3)", strategy="parallel(sampler=iid(n=4), selector=vote)", seed=3
    )
    gold = {"ar": {"answer": "٤"}, "zh": {"answer": "4"}, "hi": {"reference": "चार"}, "th": {}}
    items = [Item(ask(k, k, text, task="sums"), gold[k]) for k, text in QUESTIONS.items()]
    with RunWriter(path, session.config) as writer:
        asyncio.run(session.run(items, out=writer, concurrency=1))
        right = Candidate(id=0, text="คำตอบ: 4", usage=Usage(prompt=9, cached=4, completion=3, calls=1))
        failed = Candidate(id=1, text="", finish="error", error="no answer within 5 s")
        rest = {
            "strategy": "s",
            "seed": 3,
            "usage": {"policy": right.usage, "judge": Usage(prompt=2, calls=1)},
        }
        writer.append(
            Outcome(
                prompt=Prompt(
                    id="right",
                    language="th",
                    task="sums",
                    messages=(
                        Message(role="developer", content="ตอบสั้น ๆ"),
                        Message(role="user", content="2 + 2?"),
                    ),
                ),
                selection=Selection(winner=right, weights={0: 1.0}, scores={0: 0.5}),
                candidates=(right, failed),
                gold={"answer": "4"},
                **rest,
            )
        )
        writer.append(
            Outcome(
                prompt=ask("none", "th", "3 + 3?"),
                selection=None,
                candidates=(failed,),
                stopped="error",
                error="every draw failed",
                gold={"answer": "6"},
                **rest,
            )
        )
        fused = Candidate(id=2, text="融合", parents=(0,), finish="length")
        writer.append(
            Outcome(
                prompt=ask("fused", None, "写点什么"),
                selection=Selection(winner=fused, weights={0: 1.0}),
                candidates=(right, failed),
                **rest,
            )
        )
    return path


def test_steps_of_a_search_are_no_responses():
    step = Candidate(id=0, text="二加二\n", finish="step")
    wrong = Candidate(id=1, text="二加二\n答案：5", parents=(0,))
    right = Candidate(id=2, text="二加二\n答案：4", parents=(0,))
    searched = Outcome(
        prompt=ask("zh", "zh", QUESTIONS["zh"]), strategy="beam", seed=0, usage={},
        selection=Selection(winner=right, weights={2: 1.0}), candidates=(step, wrong, right),
    )  # fmt: skip
    line = sample(searched, doc_id=0, graded=None)
    assert line["resps"] == [[wrong.text, right.text]]
    assert (line["nbest"]["winner"], line["nbest"]["errors"]) == (1, [None, None])
    unfinished = replace(searched, selection=Selection(winner=step, weights={0: 1.0}), candidates=(step,))
    assert sample(unfinished, doc_id=0, graded=None)["resps"] == [[step.text]]


def lm_eval(run, out):
    """The results, and the samples of each task."""
    results, *samples = map(Path, export(run, "lm-eval", out))
    read = {
        f.name.removeprefix("samples_").rpartition("_")[0]: [
            json.loads(line) for line in f.read_text(encoding="utf-8").splitlines()
        ]
        for f in samples
    }
    return json.loads(results.read_text(encoding="utf-8")), read


def inspect(run, out):
    """The log, and its text."""
    (file,) = export(run, "inspect", out)
    text = Path(file).read_text(encoding="utf-8")
    return json.loads(text), text


def test_lm_eval_samples_have_the_harness_fields_and_every_candidate(run, tmp_path):
    results, samples = lm_eval(run, tmp_path)
    outcomes = {o.prompt.id: o for o in read_outcomes(run)}
    assert set(samples) == {"sums_ar", "sums_zh", "sums_hi", "sums_th", "prompts_th", "prompts"}
    for task, rows in samples.items():
        assert [row["doc_id"] for row in rows] == list(range(len(rows)))
        for row in rows:
            outcome = outcomes[row["doc"]["id"]]
            assert set(row) == SAMPLE_KEYS | set(row["metrics"]) | {"nbest"}
            assert row["resps"] == [[c.text for c in outcome.candidates]]
            assert row["filtered_resps"] == [outcome.text or ""]
            assert row["nbest"]["errors"] == [c.error for c in outcome.candidates]
            asked = row["arguments"]["gen_args_0"]["arg_0"]
            assert outcome.prompt.text in asked
            assert row["prompt_hash"] == hashlib.sha256(asked.encode()).hexdigest()
            doc = json.dumps(row["doc"], indent=2, ensure_ascii=False)
            assert row["doc_hash"] == hashlib.sha256(doc.encode()).hexdigest()
        assert results["n-samples"][task] == {"original": len(rows), "effective": len(rows)}
    assert set(results) == RESULT_KEYS | {"nbest"}


def test_lm_eval_scores_stand_where_the_row_has_gold(run, tmp_path):
    results, samples = lm_eval(run, tmp_path)
    metrics = {row["doc"]["id"]: row["metrics"] for rows in samples.values() for row in rows}
    assert metrics["zh"] == ["acc", "oracle"]
    assert metrics["hi"] == ["chrf", "oracle"]
    assert metrics["th"] == metrics["fused"] == []
    th = results["results"]["sums_th"]
    assert (th["acc,nbest"], th["acc_stderr,nbest"], th["sample_len"]) == (1.0, "N/A", 2)
    assert results["results"]["prompts_th"]["acc,nbest"] == 0
    assert [row["nbest"]["winner"] for row in samples["prompts"]] == [None]
    assert samples["sums_th"][0]["target"] == ""


def test_the_same_run_gives_the_same_files(run, tmp_path):
    for to in ("lm-eval", "inspect"):
        once = [Path(f).read_bytes() for f in export(run, to, tmp_path / "a")]
        again = [Path(f).read_bytes() for f in export(run, to, tmp_path / "b")]
        assert once == again


def test_inspect_samples_have_the_choice_the_pool_and_the_usage(run, tmp_path):
    log, text = inspect(run, tmp_path)
    assert (log["version"], log["status"], log["eval"]["model"]) == (2, "success", "fake")
    assert text.index('"results":{') < text.index('"samples":[')
    for question in QUESTIONS.values():
        assert question in text
    samples = {s["id"]: s for s in log["samples"]}
    right = samples["right"]
    assert [m["role"] for m in right["messages"]] == ["system", "user", "assistant"]
    assert right["output"]["choices"][0]["message"]["content"] == "คำตอบ: 4"
    assert right["scores"]["accuracy"]["value"] == "C"
    assert right["role_usage"]["policy"] == {
        "input_tokens": 5, "input_tokens_cache_read": 4, "output_tokens": 3, "total_tokens": 12,
    }  # fmt: skip
    assert right["metadata"]["candidates"][1]["error"] == "no answer within 5 s"
    assert right["metadata"]["selection"]["weights"] == {"0": 1.0}
    assert samples["fused"]["output"]["choices"][0]["stop_reason"] == "max_tokens"
    assert samples["fused"]["metadata"]["selection"]["winner"]["parents"] == [0]
    assert samples["none"]["error"]["message"] == "every draw failed"
    assert samples["none"]["output"]["choices"] == []
    assert "scores" not in samples["th"]


def test_inspect_results_are_means_of_the_scored(run, tmp_path):
    log, _ = inspect(run, tmp_path / "log.json")
    results = log["results"]
    assert (results["total_samples"], results["completed_samples"]) == (7, 6)
    accuracy, chrf = results["scores"]
    assert (accuracy["name"], accuracy["scored_samples"], accuracy["unscored_samples"]) == ("accuracy", 4, 3)
    assert accuracy["metrics"]["language_th"] == {"name": "th", "group": "language", "value": 0.5}
    assert (chrf["name"], chrf["scored_samples"]) == ("chrf", 1)


def test_grades_are_those_of_nbest_eval(run):
    found = measured(run, scorer="oracle")
    values, known = found.columns["score"]
    expected = {i: v for i, v, k in zip(found.ids, values.tolist(), known, strict=True) if k}
    grades = {o.prompt.id: grade(o) for o in read_outcomes(run)}
    assert {i: g.value for i, g in grades.items() if g and g.metric == "accuracy"} == expected


READER = """
import json, sys
from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries
header = read_eval_log(sys.argv[1], header_only=True)
log = read_eval_log(sys.argv[1])
print(json.dumps({
    "status": header.status,
    "scores": [s.name for s in header.results.scores],
    "samples": {s.id: [s.input[-1].text, s.output.completion, len(s.metadata["candidates"])] for s in log.samples},
    "errors": [s.id for s in log.samples if s.error],
    "summaries": len(read_eval_log_sample_summaries(sys.argv[1])),
}))
"""


@pytest.mark.skipif(not importlib.util.find_spec("inspect_ai"), reason="inspect_ai is not installed")
def test_inspect_ai_reads_the_log(run, tmp_path):
    (file,) = export(run, "inspect", tmp_path)
    done = subprocess.run([sys.executable, "-c", READER, file], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["status"], found["scores"]) == ("success", ["accuracy", "chrf"])
    assert (found["errors"], found["summaries"]) == (["none"], 7)
    for o in read_outcomes(run):
        assert found["samples"][o.prompt.id] == [o.prompt.text, o.text or "", len(o.candidates)]


def test_wandb_gets_config_metrics_and_a_table(run, monkeypatch):
    """With a stand-in for the package; the real one is in the test below."""
    got = {}

    class Run(SimpleNamespace):
        url, dir = None, "files"

        def __enter__(self):
            return self

        def __exit__(self, *_):
            got["finished"] = True

        def log(self, values):
            got.update(values)

    def init(**given):
        got.update(given)
        return Run(summary=got.setdefault("summary", {}))

    package = SimpleNamespace(
        init=init,
        Settings=SimpleNamespace,
        Table=lambda columns, data: [dict(zip(columns, row, strict=True)) for row in data],
        Error=type("Error", (Exception,), {}),
    )
    monkeypatch.setitem(sys.modules, "wandb", package)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    assert export(run, "wandb", None) == ["files"]
    assert (got["project"], got["name"], got["finished"]) == ("nbest", "first", True)
    assert got["config"]["engine"] == {"policy": "fake(error_rate=0.3)"}
    assert got["summary"]["usage/judge/prompt"] == 6
    assert got["summary"]["th/candidates"] > 0
    assert [row["prompt"] for row in got["winners"]][:4] == list(QUESTIONS.values())

    def refuse(**_):
        raise package.Error("not logged in")

    package.init = refuse
    with pytest.raises(InputError, match="wandb: not logged in"):
        export(run, "wandb", None)


@pytest.mark.skipif(not importlib.util.find_spec("wandb"), reason="wandb is not installed")
def test_wandb_itself_writes_an_offline_run(run, tmp_path):
    logged(run, "wandb", tmp_path, WANDB_MODE="offline", WANDB_SILENT="true")
    (table,) = tmp_path.rglob("winners*.table.json")
    assert json.loads(table.read_text(encoding="utf-8"))["data"][0][3] == QUESTIONS["ar"]


@pytest.mark.skipif(not importlib.util.find_spec("mlflow"), reason="mlflow is not installed")
def test_mlflow_itself_keeps_params_metrics_and_a_table(run, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    logged(run, "mlflow", tmp_path, MLFLOW_TRACKING_URI=uri)
    reader = (
        "import json, mlflow; mlflow.set_experiment('nbest'); r = mlflow.search_runs(experiment_names=['nbest'], output_format='list')[0];"
        "t = mlflow.load_table('winners.json', run_ids=[r.info.run_id]);"
        "print(json.dumps([r.data.params, r.data.metrics, list(t['prompt'])]))"
    )
    params, metrics, prompts = json.loads(
        python("-c", reader, cwd=tmp_path, MLFLOW_TRACKING_URI=uri).splitlines()[-1]
    )
    assert params["engine.policy"] == "fake(error_rate=0.3)"
    assert metrics["usage/judge/prompt"] == 6
    assert prompts[:4] == list(QUESTIONS.values())


def logged(run, to, cwd, **env):
    return python("-m", "nbest", "export", str(run), "--to", to, cwd=cwd, **env)


def python(*args, cwd, **env):
    done = subprocess.run(
        [sys.executable, *args], cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("to", ["wandb", "mlflow"])
def test_a_missing_tracker_is_named_with_its_install_line(run, to, monkeypatch):
    monkeypatch.setitem(sys.modules, to, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'nbest\[{to}\]'"):
        export(run, to, None)


@pytest.mark.parametrize(
    ("to", "out", "message"),
    [
        ("inspekt", "x", "did you mean 'inspect'"),
        ("csv", "x", "unknown format 'csv'.*Known: inspect, lm-eval, mlflow, wandb"),
        ("lm-eval", None, "name the directory as `out`"),
        ("wandb", "x", "`out` has no meaning for wandb"),
        ("inspect", "x.eval", "written as JSON"),
        ("inspect", "taken", "is a file"),
        ("inspect", "folder.json", "is a directory"),
        ("lm-eval", "taken", "is a file"),
        ("lm-eval", "taken/below", "cannot be written"),
        ("inspect", "taken/below.json", "cannot be written"),
    ],
)
def test_mistakes_are_named(run, tmp_path, to, out, message):
    (tmp_path / "taken").write_text("")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(InputError, match=message):
        export(run, to, out and tmp_path / out)


def test_what_is_no_run_or_an_empty_one_is_refused(tmp_path):
    with pytest.raises(RecordsError, match="no run directory"):
        export(tmp_path, "inspect", tmp_path / "log")
    RunWriter(tmp_path / "empty", {}).close()
    with pytest.raises(InputError, match="holds no outcome"):
        export(tmp_path / "empty", "inspect", tmp_path / "log")


def test_settings_lose_directories_and_what_a_url_may_hide():
    config = {
        "engine": {"policy": "openai(url='https://me:secret@host/v1?key=secret', model='Qwen/Qwen3')"},
        "pools": "/home/me/runs/first",
        "judge": ["llamacpp(path='/home/me/model.gguf')", 3, None],
    }
    assert shown(config) == {
        "engine": {"policy": "openai(url='https://host/v1', model='Qwen/Qwen3')"},
        "pools": "first",
        "judge": ["llamacpp(path='model.gguf')", 3, None],
    }


@pytest.mark.parametrize(
    ("engine", "model"),
    [
        ("openai(url='http://h/v1', model='Qwen/Qwen3')", "openai/Qwen/Qwen3"),
        ("llamacpp(model='/m/tiny.gguf')", "llamacpp/tiny"),
        ("llamacpp", "llamacpp"),
    ],
)
def test_the_model_is_named_as_far_as_the_run_knows_it(tmp_path, engine, model):
    prompt = ask("q", None, "?")
    with RunWriter(tmp_path / "r", {"engine": {"policy": engine}}) as writer:
        writer.append(Outcome(prompt=prompt, strategy="s", seed=0, selection=None, candidates=(), usage={}))
    assert source_of(tmp_path / "r").model == model
    assert len(lm_eval(tmp_path / "r", tmp_path / "lm")[1]) == 1
