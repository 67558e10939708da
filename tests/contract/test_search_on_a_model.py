"""Search over steps on the embedded model and on a real server, in four scripts: the machinery is tested, not the quality."""

import asyncio
import socket
import subprocess
import sys
import time
import urllib.request
from importlib import resources
from pathlib import Path

import pytest

from nbest.datasets import read_prompts
from nbest.engines.llamacpp.llamacpp import LlamaCpp
from nbest.engines.openai.openai import OpenAI
from nbest.registry import parse
from nbest.run import ask

LANGUAGES = ["ar", "ja", "th", "en"]
DATA = Path(str(resources.files("nbest"))) / "data"
SERVER = Path(__file__).parents[1] / "servers" / "serve_llamacpp.py"
ITEMS = {i.prompt.id: i for i in read_prompts(str(DATA / "prompts" / "mini.jsonl"))}
SEARCHES = [
    "beam(n=4, width=2)",
    "beam(n=4, width=2, lookahead=1)",
    "dvts(n=4, width=2)",
    "rebase(n=4)",
    "dora(n=4)",
    "particles(n=4)",
    "abmcts(n=4)",
]


@pytest.fixture(scope="module")
def engine():
    made = LlamaCpp(slots=4, context=1024)
    yield made
    asyncio.run(made.aclose())


@pytest.fixture(scope="module")
def url():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, SERVER, str(DATA / "nbest-mini.gguf"), str(port)], stdout=subprocess.DEVNULL
    )
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                break
        except OSError:
            assert process.poll() is None
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/v1"
    process.kill()
    process.wait()


async def solved(engine, spec):
    strategy = parse("strategies", spec)
    items = [ITEMS[f"p0003-{language}"] for language in LANGUAGES]
    return await asyncio.gather(*(ask(i.prompt, strategy, {"policy": engine}, gold=i.gold) for i in items))


def check_steps(outcomes):
    for outcome in outcomes:
        assert outcome.stopped == "done"
        assert outcome.selection.winner.finish == "stop"
        for c in outcome.candidates:
            before = outcome.candidates[c.parents[0]].text if c.parents else ""
            assert c.text.startswith(before)
            own = c.text[len(before) :]
            # A step is one line, whatever the script, and its line end is part of it.
            assert own.count("\n") == (c.finish == "step")
            assert c.finish != "step" or own.endswith("\n")
        assert any(c.finish == "step" for c in outcome.candidates)


@pytest.mark.parametrize("search", SEARCHES)
def test_steps_are_lines_in_every_script(search, engine):
    spec = f"tree(search={search}, verifier=noisy_oracle(prefix=oracle_rollouts(k=1)), max_tokens=300)"
    check_steps(asyncio.run(solved(engine, spec)))


def test_the_prefix_is_read_from_the_cache(engine):
    """One prompt at a time: with more prompts than slots, llama.cpp forgets between rounds."""
    item = ITEMS["p0003-th"]
    strategy = parse("strategies", "tree(search=beam(n=4, width=4), verifier=logprob, max_tokens=300)")
    outcome = asyncio.run(ask(item.prompt, strategy, {"policy": engine}))
    later = [c.usage for c in outcome.candidates if c.parents and c.usage.calls]
    assert sum(u.cached for u in later) > 0.5 * sum(u.prompt for u in later)


def test_a_server_that_does_not_say_what_ended_a_text(url):
    async def work():
        engine = OpenAI(url=url)
        try:
            return await solved(
                engine,
                "tree(search=beam(n=2, width=2), verifier=noisy_oracle(prefix=oracle_rollouts(k=1)), max_tokens=300)",
            )
        finally:
            await engine.aclose()

    outcomes = asyncio.run(work())
    for outcome in outcomes:
        assert outcome.selection is not None
        assert outcome.selection.winner.finish == "stop"
