"""Judges, fusion and cross-lingual MBR against llama.cpp's real HTTP server and real tokens.

The model is `nbest-mini`, which can neither judge nor embed well: that the protocol, parsing, repair, fallback,
splitting and accounting work is what is tested. Where a verdict is needed, the server is made to write
one, by a grammar.
"""

import asyncio
import socket
import subprocess
import sys
import time
import urllib.request
from importlib import resources
from pathlib import Path

import pytest

from nbest.context import Context
from nbest.datasets import read_prompts
from nbest.registry import load, parse
from nbest.run import ask
from nbest.types import Prompt

MINI = Path(str(resources.files("nbest"))) / "data" / "nbest-mini.gguf"
SERVER = Path(__file__).parents[1] / "servers" / "serve_llamacpp.py"
LANGUAGES = ["ar", "zh", "hi", "ja", "ru", "th"]


def served(*more):
    """The address of a server process, ready to answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, SERVER, str(MINI), str(port), *more], stdout=subprocess.DEVNULL
    )
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                break
        except OSError:
            assert process.poll() is None
            time.sleep(0.05)
    return process, f"http://127.0.0.1:{port}/v1"


@pytest.fixture(scope="module")
def url():
    process, address = served()
    yield address
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def embeddings_url():
    process, address = served("embeddings")
    yield address
    process.kill()
    process.wait()


def prompts() -> list[Prompt]:
    items = read_prompts(str(resources.files("nbest") / "data" / "prompts" / "mini.jsonl"))
    return [next(i.prompt for i in items if i.prompt.language == language) for language in LANGUAGES]


def server(url, **more):
    return load("engines", "openai")(url=url, **more)


def outcomes(strategy, engines, wanted=None):
    async def work():
        try:
            chosen = parse("strategies", strategy)
            return await asyncio.gather(*(ask(p, chosen, engines, seed=1) for p in wanted or prompts()))
        finally:
            for engine in engines.values():
                await engine.aclose()

    return asyncio.run(work())


def bound(url, grammar):
    """A judge that can write nothing but what the grammar allows."""
    return server(url, extra={"grammar": f"root ::= {grammar}"})


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """Short ones, as the context of the model is 1024 tokens: a user may replace them so too."""
    directory = tmp_path_factory.mktemp("templates") / "en"
    directory.mkdir()
    body = "{{prompt}}\n{{candidates}}\n"
    (directory / "chops.txt").write_text(f"{body}Number?\n\n--- repair ---\nNumber, please.\n")
    (directory / "pairwise.txt").write_text(f"{body}Grade?\n\n--- repair ---\nGrade, please.\n")
    (directory / "fuse.txt").write_text(f"{body}Answer?\n")
    return f"templates='{directory.parent}'"


POOL = "sampler=iid(n=3, temperature=1.2, max_tokens=60)"
"""Short candidates, for the same reason."""


def test_chops_with_a_judge_that_answers_in_the_right_form(url, templates):
    engines = {"policy": server(url), "judge": bound(url, '"[[" "2" "]]"')}
    found = outcomes(f"parallel({POOL}, selector=chops(max_tokens=40, {templates}))", engines)
    asked = [o for o in found if o.selection.details]
    assert asked
    for o in asked:
        assert not o.notes
        [only] = o.selection.details["rounds"]
        assert o.selection.winner.id == only["shown"][1]
        assert o.usage["judge"].calls == 1
        assert o.usage["judge"].prompt > 100


def test_chops_with_a_judge_that_cannot_repairs_once_then_falls_back(url, templates):
    found = outcomes(f"parallel({POOL}, selector=chops(max_tokens=40, {templates}))", {"policy": server(url)})
    asked = [o for o in found if "judge" in o.usage]
    assert asked
    for o in asked:
        assert o.usage["judge"].calls == 2
        assert o.usage["judge"].completion > 0
        assert "mbr chose instead" in o.notes[0]


def test_a_pool_longer_than_the_judges_context_is_judged_in_rounds(url, templates):
    engines = {"policy": server(url), "judge": bound(url, '"[[" "1" "]]"')}
    selector = f"chops(max_tokens=40, context_tokens=1800, {templates})"
    found = outcomes(f"parallel({POOL.replace('n=3', 'n=12')}, selector={selector})", engines)
    assert any(len(o.selection.details["rounds"]) > 2 for o in found)
    for o in found:
        assert not o.notes
        assert o.usage["judge"].calls == len(o.selection.details["rounds"])
        assert o.usage["judge"].prompt / o.usage["judge"].calls < 1024


@pytest.mark.parametrize(("selector", "calls"), [("judge_pairwise", 6), ("tournament", 4)])
def test_games_with_verdicts_from_real_tokens(url, templates, selector, calls):
    engines = {"policy": server(url), "judge": bound(url, '"[[" ("A>B" | "A=B" | "B>>A") "]]"')}
    found = outcomes(f"parallel({POOL}, selector={selector}(max_tokens=40, {templates}))", engines)
    assert not [n for o in found for n in o.notes]
    assert max(o.usage["judge"].calls for o in found if "judge" in o.usage) == calls


def test_a_judge_of_single_answers_by_the_log_probability_of_yes(url):
    engines = {"policy": server(url)}
    strategy = f"parallel({POOL}, selector=best(judge(mode=yes_no)))"
    for o in outcomes(strategy, engines):
        assert o.selection is not None
        assert o.usage["judge"].calls >= len({c.text for c in o.candidates})


def test_fusion_writes_a_new_candidate_or_says_why_not(url, templates):
    found = outcomes(
        f"parallel({POOL.replace('n=3', 'n=2')}, selector=fuse(max_tokens=120, {templates}))",
        {"policy": server(url)},
    )
    asked = [o for o in found if "fusor" in o.usage]
    assert asked
    for o in asked:
        assert o.usage["fusor"].calls == 1, o.notes
        [new] = [c for c in o.candidates if c.parents]
        assert o.selection.winner == new or "chose instead" in o.notes[0]


def test_xmbr_with_embeddings_and_evidence_in_a_pivot_language(url, embeddings_url):
    pool = "sampler=translated(sampler=iid(n=4, temperature=1.0, max_tokens=120), languages=[en])"
    selector = f"selector=xmbr(utility=embedding(url='{embeddings_url}'))"
    found = outcomes(f"parallel({pool}, {selector})", {"policy": server(url)})
    assert sum(o.usage["verifier"].calls for o in found if "verifier" in o.usage) > 0
    for o in found:
        assert o.selection is not None, o.error
        languages = {c.language for c in o.candidates}
        assert languages == {o.prompt.language, "en"}
        assert o.selection.winner.language == o.prompt.language


def test_embeddings_are_a_utility_on_real_vectors(embeddings_url):
    async def work():
        utility = parse("utilities", f"embedding(url='{embeddings_url}')")
        texts = ["答案：42", "الجواب: ٤٢", "答案：42"]
        prompt = prompts()[0]
        matrix = await utility(texts, texts, Context({}, prompt_id=prompt.id))
        if close := getattr(utility, "aclose", None):
            await close()
        return matrix

    matrix = asyncio.run(work())
    assert matrix.shape == (3, 3)
    assert matrix[0, 2] == pytest.approx(1, abs=1e-4)
    assert matrix[0, 1] < 0.9999
