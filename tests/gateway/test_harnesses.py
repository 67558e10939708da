"""The recipe of docs/gateway-harnesses.md, with the files and commands that the page shows: run by make test-clients."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from gateway.process import serving
from nbest.records import read_outcomes

pytestmark = pytest.mark.skipif(
    "NBEST_CLIENTS" not in os.environ, reason="needs harnesses: make test-clients"
)

PAGE = Path(__file__).parents[2] / "docs" / "gateway-harnesses.md"
FILE = re.compile(r"^`(\S+)`[^\n]*:\n\n```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMANDS = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
NUM_PROBLEMS = 39
"""Three, in each language."""
EXPECTED = {("one", 1): NUM_PROBLEMS, ("vote8", 8): NUM_PROBLEMS}


class Recipe:
    """A folder with the page's files, before a gateway that records."""

    def __init__(self, folder):
        self.folder = folder
        page = PAGE.read_text(encoding="utf-8")
        for name, text in FILE.findall(page):
            (folder / name).write_text(text, encoding="utf-8")
        problems, self.serve, *self.harnesses = COMMANDS.findall(page)
        self.shell(problems)

    def run(self, harness, base):
        """The page's commands for a harness, on some of the problems."""
        (block,) = [b for b in self.harnesses if harness in b]
        lines = block.replace("http://127.0.0.1:8080/v1", base).splitlines()
        more = f" --limit {NUM_PROBLEMS}" + (" --log-format json" if harness == "inspect" else "")
        self.shell("\n".join(line + more if line.startswith(harness) else line for line in lines))

    def shell(self, commands):
        installed = Path(os.environ["NBEST_CLIENTS"]) / "python" / "bin"
        path = os.pathsep.join([str(Path(sys.executable).parent), str(installed), os.environ["PATH"]])
        offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(self.folder / "hf")}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env=os.environ | {"PATH": path} | offline,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def answered(self):
        """Strategy and number of candidates of each answer, by the gateway's log."""
        lines = (self.folder / "gateway.log").read_text().splitlines()
        requests = [json.loads(line) for line in lines if '"event":"request"' in line]
        assert {r["status"] for r in requests} == {200}
        return Counter((r["strategy"], r["candidates"]) for r in requests)

    def recorded(self):
        """The last outcome of every prompt: of equal requests with equal seeds there is one."""
        (run,) = (self.folder / "record").iterdir()
        return list(read_outcomes(run))


@pytest.fixture
def recipe(tmp_path):
    return Recipe(tmp_path)


def test_lm_evaluation_harness(recipe):
    flags = recipe.serve.split()[2:-2]
    with serving(recipe.folder, *flags, "--record", recipe.folder / "record", cwd=recipe.folder) as base:
        recipe.run("lm_eval", base)
    for name in ("one", "vote8"):
        (results,) = recipe.folder.glob(f"lm-eval/*@{name}/results_*.json")
        (samples,) = recipe.folder.glob(f"lm-eval/*@{name}/samples_*.jsonl")
        rows = [json.loads(line) for line in samples.read_text().splitlines()]
        assert len(rows) == NUM_PROBLEMS
        assert all(row["resps"][0][0] for row in rows)
        measured = json.loads(results.read_text())["results"]["mini"]["acc,none"]
        assert measured == pytest.approx(sum(row["acc"] for row in rows) / NUM_PROBLEMS)
        assert measured > 0.2
    assert recipe.answered() == EXPECTED
    recorded = recipe.recorded()
    drawn = {(len(o.candidates), c.params.temperature > 0) for o in recorded for c in o.candidates}
    assert drawn == {(1, False), (8, True)}
    params = {c.params for outcome in recorded for c in outcome.candidates}
    assert {(p.max_tokens, p.stop) for p in params} == {(256, ("\n\n",))}
    assert {outcome.seed for outcome in recorded} == {1234}
    assert "Difference(" in recipe.shell("python difference.py")


def test_inspect_ai(recipe):
    flags = recipe.serve.split()[2:-2]
    with serving(recipe.folder, *flags, "--record", recipe.folder / "record", cwd=recipe.folder) as base:
        recipe.run("inspect", base)
    logs = [json.loads(file.read_text()) for file in sorted(recipe.folder.glob("logs/*.json"))]
    assert [log["eval"]["model"].rpartition("@")[2] for log in logs] == ["one", "vote8"]
    for log in logs:
        assert (log["status"], log["results"]["completed_samples"]) == ("success", NUM_PROBLEMS)
        assert log["results"]["scores"][0]["metrics"]["accuracy"]["value"] > 0.2
    assert recipe.answered() == EXPECTED
    spent = Counter()
    for outcome in recipe.recorded():
        spent[len(outcome.candidates)] += outcome.usage["policy"].completion
    told = [next(iter(log["stats"]["model_usage"].values()))["output_tokens"] for log in logs]
    assert told == [spent[1], spent[8]]
