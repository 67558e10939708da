"""The shipped worker in a process of its own, with a module that plays COMET there."""

import asyncio
import sys

import numpy as np
import pytest

from nbest import registry
from nbest.context import Context
from nbest.errors import EngineError, EngineProtocolError, EngineTimeoutError, InputError, SpecError
from nbest.scoring.comet_quality import CometQuality
from nbest.selection.mbr import Mbr
from nbest.selection.xmbr import Xmbr
from nbest.types import Budget, Candidate, Message, Prompt
from nbest.utilities.comet import Comet

COMET = """
print("noise on standard output, as COMET makes it")
def download_model(name):
    print("downloading", name)
    if name == "gated": raise PermissionError("accept the licence of " + name)
    return "/models/" + name
class Model:
    def predict(self, rows, batch_size, gpus, progress_bar, num_workers):
        if any(r["mt"] == "boom" for r in rows): raise RuntimeError("out of memory")
        if any(r["mt"] == "die" for r in rows):
            import os, sys; print("Segmentation fault", file=sys.stderr, flush=True); os._exit(139)
        def score(r):
            known = set(r.get("ref", r["src"]))
            return len(known & set(r["mt"])) / max(1, len(known | set(r["mt"])))
        return {"scores": [score(r) for r in rows], "system_score": 0}
def load_from_checkpoint(path): return Model()
"""
PROMPT = Prompt(
    id="p", messages=(Message(role="user", content="Übersetze ins Deutsche:\n红苹果"),), language="de"
)


@pytest.fixture(autouse=True)
def comet(tmp_path, monkeypatch):
    (tmp_path / "comet.py").write_text(COMET, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def jaccard(a, b):
    return len(set(a) & set(b)) / len(set(a) | set(b))


async def test_every_pair_is_scored():
    ctx = Context({})
    hypotheses, references = ["红苹果", "绿苹果", "红苹果"], ["苹果", "红色"]
    matrix = await Comet(python=sys.executable)(hypotheses, references, ctx)
    assert np.allclose(matrix, [[jaccard(h, r) for r in references] for h in hypotheses])
    assert ctx.meter.usage["verifier"].calls == 1
    assert (await Comet(python=sys.executable)([], ["x"], ctx)).shape == (0, 1)


async def test_the_source_comes_from_the_prompt():
    utility = Comet(python=sys.executable, source_after=":\n").for_prompt(PROMPT)
    assert utility.source == "红苹果"
    assert Comet(python=sys.executable).for_prompt(PROMPT).source == PROMPT.text
    pool = [Candidate(id=i, text=t) for i, t in enumerate(["abc", "abd", "xyz"])]
    for selector in (Mbr(utility=utility), Xmbr(utility=utility)):
        assert (await selector(PROMPT, pool, Context({}))).winner.id == 0


async def test_quality_needs_no_reference():
    pool = [Candidate(id=0, text="红苹果"), Candidate(id=1, text="", error="x"), Candidate(id=2, text="红")]
    scorer = CometQuality(python=sys.executable, source_after=":\n")
    scores = await scorer(PROMPT, pool, Context({}))
    assert [s.value for s in scores] == [1.0, None, pytest.approx(1 / 3)]
    assert list(await scorer(PROMPT, [], Context({}))) == []


async def test_prompts_share_one_worker_and_its_answers_do_not_mix():
    utility = Comet(python=sys.executable)
    texts = ["ab", "bc", "cd", "de"]
    matrices = await asyncio.gather(*(utility([t], texts, Context({})) for t in texts))
    assert np.allclose(np.vstack(matrices), [[jaccard(h, r) for r in texts] for h in texts])


async def test_a_fault_is_said_and_the_worker_goes_on():
    utility = Comet(python=sys.executable)
    with pytest.raises(EngineError, match="out of memory"):
        await utility(["boom"], ["x"], Context({}))
    assert (await utility(["x"], ["x"], Context({}))).tolist() == [[1.0]]


async def test_a_worker_that_dies_is_started_again():
    utility = Comet(python=sys.executable)
    with pytest.raises(EngineError, match=r"ended with 139: .*Segmentation fault"):
        await utility(["die"], ["x"], Context({}))
    assert (await utility(["x"], ["x"], Context({}))).tolist() == [[1.0]]


async def test_a_model_that_cannot_be_loaded_is_said():
    with pytest.raises(EngineError, match="accept the licence of gated"):
        await Comet(python=sys.executable, model="gated")(["x"], ["x"], Context({}))


async def test_an_environment_without_comet_is_said(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(EngineError, match="No module named 'comet'"):
        await Comet(python=sys.executable)(["x"], ["x"], Context({}))


async def test_a_command_that_is_not_there():
    with pytest.raises(InputError, match="does not start"):
        await Comet(command="/nowhere/python worker.py")(["x"], ["x"], Context({}))


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('hello', flush=True); input()", "no line of JSON"),
        ("print('{}', flush=True); input()", "must begin with"),
        ('print(\'{"ready": true}\', flush=True); input(); print(\'{"id": 1, "scores": []}\')', "1 scores"),
        ("print('{\"ready\": true}', flush=True); input(); print('7')", "no line of JSON"),
        ("raise SystemExit(3)", "ended with 3"),
    ],
)
async def test_a_worker_that_speaks_otherwise(tmp_path, program, said):
    script = tmp_path / "worker.py"
    script.write_text(program, encoding="utf-8")
    with pytest.raises(EngineError, match=said):
        await Comet(command=f"{sys.executable} {script}")(["x"], ["x"], Context({}))


async def test_the_deadline_holds_and_a_late_answer_is_not_the_next_ones(tmp_path):
    script = tmp_path / "slow.py"
    script.write_text(
        "import json, sys, time\nprint('{\"ready\": true}', flush=True)\n"
        "for line in sys.stdin:\n r = json.loads(line)\n time.sleep(r['rows'][0]['mt'] == 'slow')\n"
        " print(json.dumps({'id': r['id'], 'scores': [float(len(r['rows'][0]['mt']))]}), flush=True)\n",
        encoding="utf-8",
    )
    utility = Comet(command=f"{sys.executable} {script}")
    assert (await utility(["abc"], ["x"], Context({}))).tolist() == [[3.0]]
    with pytest.raises(EngineTimeoutError):
        await utility(["slow"], ["x"], Context({}, budget=Budget(seconds=0.2)))
    assert (await utility(["ab"], ["x"], Context({}))).tolist() == [[2.0]]


async def test_at_the_deadline_candidates_have_no_quality():
    ctx = Context({}, budget=Budget(seconds=0.2))
    silent = f"{sys.executable} -c 'import sys; sys.stdin.read()'"
    found = await CometQuality(command=silent)(PROMPT, [Candidate(id=0, text="红苹果")], ctx)
    assert [s.value for s in found] == [None]
    assert ctx.stopped == "deadline"
    assert "before the deadline" in ctx.notes[0]


@pytest.mark.parametrize("selector", [Mbr, Xmbr])
async def test_at_the_deadline_the_first_candidate_is_the_answer(selector):
    ctx = Context({}, budget=Budget(seconds=0.2))
    silent = f"{sys.executable} -c 'import sys; sys.stdin.read()'"
    pool = [
        Candidate(id=0, text="", error="down"),
        Candidate(id=1, text="roter Apfel", language="de"),
        Candidate(id=2, text="grüner Apfel", language="de"),
    ]
    found = await selector(utility=Comet(command=silent))(PROMPT, pool, ctx)
    assert found.winner.id == 1
    assert found.scores == {}
    assert ctx.stopped == "deadline"
    assert ctx.notes[0].startswith("no utilities, so the first candidate was chosen: ")


@pytest.mark.parametrize("selector", [Mbr, Xmbr])
async def test_a_utility_that_fails_loses_no_answer(selector):
    gone = f"{sys.executable} -c 'raise SystemExit(3)'"
    pool = [Candidate(id=0, text="", error="down")]
    pool += [Candidate(id=i, text=t, language="de") for i, t in enumerate(["苹果", "الجواب", "яблоко"], 1)]
    ctx = Context({})
    selection = await selector(utility=Comet(command=gone))(PROMPT, pool, ctx)
    assert selection.winner.id == 1
    assert ctx.stopped == "error"
    assert "ended with 3" in ctx.notes[0]


async def test_over_http(reward_server):
    from aiohttp import web

    async with reward_server() as server:
        scores = [0.25, 0.5]
        server.answer_with = lambda: web.json_response({"scores": scores})
        url = f"{server.url}/comet"
        assert (await Comet(url=url)(["a", "b"], ["r"], Context({}))).tolist() == [[0.25], [0.5]]
        assert server.calls[0][1] == {
            "rows": [{"src": "", "mt": "a", "ref": "r"}, {"src": "", "mt": "b", "ref": "r"}]
        }
        scores.pop()
        with pytest.raises(EngineProtocolError, match="2 scores, got 1"):
            await Comet(url=url)(["a", "b"], ["r"], Context({}))


async def test_the_shipped_worker_serves_http(unused_tcp_port):
    from importlib.resources import files

    script = files("nbest.scoring").joinpath("comet_worker.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), "--port", str(unused_tcp_port), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            try:
                (await asyncio.open_connection("127.0.0.1", unused_tcp_port))[1].close()
                break
            except OSError:
                await asyncio.sleep(0.05)
        utility = Comet(url=f"http://127.0.0.1:{unused_tcp_port}/")
        assert (await utility(["ab"], ["bc"], Context({}))).tolist() == [[1 / 3]]
        with pytest.raises(EngineError, match="out of memory"):
            await utility(["boom"], ["bc"], Context({}))
    finally:
        process.kill()
        await process.wait()


def test_where_it_runs_must_be_said():
    with pytest.raises(SpecError, match="its own environment"):
        registry.parse("utilities", "comet")
    with pytest.raises(SpecError, match="its own environment"):
        registry.parse("scorers", "comet_quality(python='p', url='http://h')")
