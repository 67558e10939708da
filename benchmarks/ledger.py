"""Whether what is metered is what servers count.

    python benchmarks/ledger.py                          the embedded engine, and llama.cpp's own server
    python benchmarks/ledger.py --vllm http://HOST/v1    a vLLM server as well, which serves nothing else meanwhile
    python benchmarks/ledger.py --records                bytes of a record of 30 steps, before and after

Uncut: 24 strategies × 20 budgets, one prompt each, metered tokens against the server's own counters. Cut: draws that a
quorum or a deadline cancels, the estimate against what the slots of the server had drawn when it was told, and
against its counters two seconds later.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nbest import registry
from nbest.accounting.meter import Meter, total
from nbest.context import Context
from nbest.engines.llamacpp.llamacpp import LlamaCpp
from nbest.engines.openai.openai import OpenAI
from nbest.own_texts import with_own_texts
from nbest.run import ask
from nbest.types import (
    Budget,
    Candidate,
    Logprobs,
    Message,
    Outcome,
    Overrides,
    Prompt,
    Request,
    SamplingParams,
    Usage,
)

ROOT = Path(__file__).parents[1]
QUESTIONS = (
    ("en", "Tom has 3 apples and buys 4 more. How many apples does he have?"),
    ("ja", "りんごが3個あり、4個買いました。全部で何個ですか？"),
    ("ar", "لدى سامي ٣ تفاحات واشترى ٤ أخرى. كم تفاحة لديه؟"),
    ("hi", "राम के पास 3 सेब हैं और वह 4 और खरीदता है। कुल कितने सेब हैं?"),
    ("ru", "У Тома 3 яблока, он купил ещё 4. Сколько у него яблок?"),
    ("th", "ทอมมีแอปเปิล 3 ผล และซื้อเพิ่มอีก 4 ผล เขามีกี่ผล"),
)
STRATEGIES = (
    "vote(n=4)",
    "parallel(sampler=greedy, selector=first)",
    "parallel(sampler=ladder(n=4), selector=random)",
    "parallel(sampler=hedged(n=4), selector=mbr)",
    "best(logprob, n=4)",
    "best(self_certainty, n=3)",
    "likelihood(n=4)",
    "best(judge, n=3)",
    "judge_pairwise(n=3)",
    "tournament(n=3)",
    "chops(n=3)",
    "fuse(n=3)",
    "guard(selector=vote, n=4)",
    "vote(weight=logprob, n=4)",
    "revise(sequential=3, parallel=2)",
    "rsa(sampler=iid(n=4), subset=2, steps=2)",
    "self_refine",
    "budget_forcing",
    "beam(n=4, verifier=logprob)",
    "beam(n=4, width=2, lookahead=1, verifier=logprob)",
    "dvts(n=4, verifier=logprob)",
    "rebase(n=4, verifier=logprob)",
    "particles(n=4, verifier=logprob)",
    "abmcts(n=3, verifier=logprob)",
)
BUDGETS = (
    Budget(),
    *(Budget(samples=n) for n in (1, 2, 3, 4, 5, 6, 8, 12, 16)),
    *(Budget(tokens=n) for n in (16, 32, 64, 96, 128, 192, 256, 384, 512, 1024)),
)


class Counters(NamedTuple):
    """What a server has computed since it was started."""

    prompt: int
    completion: int

    def since(self, before: Counters) -> Counters:
        return Counters(self.prompt - before.prompt, self.completion - before.completion)


class Server(NamedTuple):
    """An engine, and how to ask the server behind it for its own counts."""

    name: str
    engine: Any
    counters: Callable[[], Counters]
    counts_cached: bool
    """Whether its counter of prompt tokens counts those from its cache as well."""
    drawn_in_slots: Callable[[], int] | None = None
    """Tokens of the draws under way, where the server says it."""


def metrics(url: str, headers: Mapping[str, str] = {}) -> dict[str, float]:
    request = urllib.request.Request(url, headers=dict(headers))
    with urllib.request.urlopen(request, timeout=30) as reply:
        text = reply.read().decode()
    found: dict[str, float] = {}
    for name, value in re.findall(r"^([a-z_:]+)(?:\{[^\n]*\})? (\S+)$", text, re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def of_llamacpp(found: Mapping[str, float]) -> Counters:
    return Counters(
        round(found["llamacpp:prompt_tokens_total"]), round(found["llamacpp:tokens_predicted_total"])
    )


def of_vllm(found: Mapping[str, float]) -> Counters:
    return Counters(round(found["vllm:prompt_tokens_total"]), round(found["vllm:generation_tokens_total"]))


async def embedded() -> Server:
    engine = LlamaCpp()
    await engine.capabilities()
    live = engine._live.server  # noqa: SLF001 (its own counters)
    assert live is not None
    url = f"http://{live._host}:{live._port}/metrics"  # noqa: SLF001
    headers = {"Authorization": f"Bearer {live._key}"}  # noqa: SLF001
    return Server(
        "embedded llama.cpp", engine, lambda: of_llamacpp(metrics(url, headers)), counts_cached=False
    )


def llamacpp_server(port: int) -> Server:
    base = f"http://127.0.0.1:{port}"

    def drawn_in_slots() -> int:
        with urllib.request.urlopen(f"{base}/slots", timeout=30) as reply:
            slots = msgspec.json.decode(reply.read())
        return sum(s["next_token"][0]["n_decoded"] for s in slots if s["is_processing"])

    return Server(
        "llama.cpp server",
        OpenAI(url=f"{base}/v1"),
        lambda: of_llamacpp(metrics(f"{base}/metrics")),
        counts_cached=False,
        drawn_in_slots=drawn_in_slots,
    )


def vllm_server(url: str) -> Server:
    base = url.removesuffix("/v1")
    return Server("vLLM", OpenAI(url=url), lambda: of_vllm(metrics(f"{base}/metrics")), counts_cached=True)


def metered(usage: Usage, server: Server) -> Counters:
    num_prompt = usage.prompt if server.counts_cached else usage.prompt - usage.cached
    return Counters(num_prompt, usage.completion)


async def uncut(server: Server, strategies: tuple[str, ...] = STRATEGIES) -> tuple[int, int, list[str]]:
    """Runs, tokens, and the runs whose metered tokens are not the server's."""
    await ask(
        prompt_of(0), registry.parse("strategies", "vote(n=2)"), {"policy": server.engine}
    )  # its probes
    num_runs = num_tokens = 0
    wrong: list[str] = []
    for spec in strategies:
        strategy = registry.parse("strategies", spec)
        for i, budget in enumerate(BUDGETS):
            before = server.counters()
            outcome = await ask(prompt_of(i), strategy, {"policy": server.engine}, seed=i, budget=budget)
            counted = server.counters().since(before)
            ours = metered(total(outcome.usage), server)
            num_runs += 1
            num_tokens += sum(counted)
            if ours != counted:
                wrong.append(f"{spec} {budget}: metered {tuple(ours)}, counted {tuple(counted)}")
    return num_runs, num_tokens, wrong


class AtTheCut:
    """An observer that asks the server what it has drawn, at the moment that it is told of the first cut."""

    wants_deltas = False

    def __init__(self, drawn_in_slots: Callable[[], int] | None) -> None:
        self.meter = Meter()
        self.estimated = Usage()
        self.drawn: int | None = None
        self._drawn_in_slots = drawn_in_slots

    def on_completions(self, *_: object) -> None: ...

    def on_error(self, *_: object) -> None: ...

    def on_delta(self, *_: object) -> None: ...

    def on_cut(self, request: Request, usage: Usage) -> None:
        if self._drawn_in_slots is not None and self.drawn is None:
            self.drawn = self._drawn_in_slots()
        self.estimated += usage


async def cut(server: Server, end_of_text: int, *, by_deadline: bool, seed: int) -> str:
    """Six long draws that are cancelled by a quorum of one short draw, or at a deadline."""
    observer = AtTheCut(server.drawn_in_slots)
    long = Overrides(body={"logit_bias": {str(end_of_text): -100}})
    prompt = Prompt(
        id=str(seed), messages=(Message(role="user", content=QUESTIONS[seed % 6][1]),), overrides=long
    )
    budget = Budget(seconds=0.2 + 0.05 * seed) if by_deadline else None
    ctx = Context({"policy": server.engine}, seed=seed, prompt_id=prompt.id, budget=budget, observer=observer)
    before = server.counters()
    requests = [
        Request(prompt=prompt, n=1, params=SamplingParams(max_tokens=40 + 20 * seed, seed=seed)),
        Request(prompt=prompt, n=6, params=SamplingParams(max_tokens=900, seed=100 + seed)),
    ]
    await ctx.sample(requests, quorum=7 if by_deadline else 1)
    await asyncio.sleep(2.5)
    counted = server.counters().since(before)
    returned = total(ctx.meter.usage).completion - observer.estimated.completion
    drawn = (
        ""
        if observer.drawn is None
        else f"{observer.drawn:7d} {observer.estimated.completion / max(1, observer.drawn) - 1:+8.1%}"
    )
    return f"{observer.estimated.completion:9d} {drawn:16} {counted.completion - returned:14d}"


def prompt_of(i: int) -> Prompt:
    language, question = QUESTIONS[i % len(QUESTIONS)]
    return Prompt(id=f"q{i}", messages=(Message(role="user", content=question),), language=language)


async def measure(server: Server, *, end_of_text: int | None) -> bool:
    started = time.monotonic()
    num_runs, num_tokens, wrong = await uncut(server)
    print(
        f"{server.name}: {num_runs} runs, {num_tokens} tokens, {len(wrong)} runs differ ({time.monotonic() - started:.0f} s)"
    )
    for line in wrong:
        print(f"  {line}")
    if end_of_text is not None:
        print("  cut by          estimated   drawn    error   drawn in the end")
        for by_deadline in (False, True):
            for seed in range(5):
                row = await cut(server, end_of_text, by_deadline=by_deadline, seed=seed)
                print(f"  {'a deadline' if by_deadline else 'a quorum':14} {row}")
    await server.engine.aclose()
    return not wrong


def records() -> None:
    """30 steps, 16 draws a round of which 4 are kept, of 60 characters and 20 tokens each."""
    for name, num_top in (("texts alone", None), ("with log-probabilities", 0), ("with 20 alternatives", 20)):
        pool: list[Candidate] = []
        parents: list[Candidate | None] = [None]
        for depth in range(30):
            round_: list[Candidate] = []
            for k in range(16):
                parent = parents[k % len(parents)]
                round_.append(_step(len(pool) + k, parent, depth, k, num_top))
            pool += round_
            parents = list(round_[:4])
        outcome = Outcome(
            prompt=prompt_of(0), strategy="beam", seed=0, selection=None, candidates=tuple(pool), usage={}
        )
        before = len(msgspec.json.encode(outcome))
        after = len(msgspec.json.encode(with_own_texts(outcome)))
        print(f"a record of 30 steps, {name}: {before / 1e3:.0f} kB before, {after / 1e3:.0f} kB now")


def _step(id_: int, parent: Candidate | None, depth: int, k: int, num_top: int | None) -> Candidate:
    own = f"Step {depth}.{k}: ".ljust(59, "x") + "\n"
    text = own if parent is None else parent.text + own
    logprobs = None
    if num_top is not None:
        tops = tuple({f"t{i}": -1.25 - i for i in range(num_top)} for _ in range(20)) if num_top else ()
        logprobs = Logprobs(tokens=("abc",) * 20, values=(-1.2345678,) * 20, top=tops)
        if parent is not None and parent.logprobs is not None:
            before = parent.logprobs
            logprobs = Logprobs(
                tokens=before.tokens + logprobs.tokens,
                values=before.values + logprobs.values,
                top=(*before.top, *logprobs.top),
            )
    parents = () if parent is None else (parent.id,)
    return Candidate(id=id_, text=text, finish="step", parents=parents, logprobs=logprobs)


async def main(args: argparse.Namespace) -> int:
    is_good = await measure(await embedded(), end_of_text=args.end_of_text)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, str(ROOT / "tests/servers/serve_llamacpp.py")]
    process = subprocess.Popen(  # noqa: ASYNC220
        [*command, str(ROOT / "src/nbest/data/nbest-mini.gguf"), str(port)], stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            try:
                metrics(f"http://127.0.0.1:{port}/metrics")
                break
            except OSError:
                await asyncio.sleep(0.1)
        is_good &= await measure(llamacpp_server(port), end_of_text=args.end_of_text)
    finally:
        process.terminate()
        process.wait()
    if args.vllm:
        is_good &= await measure(vllm_server(args.vllm), end_of_text=args.end_of_text)
    return 0 if is_good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vllm", help="base URL of a vLLM server")
    parser.add_argument("--records", action="store_true")
    parser.add_argument("--end-of-text", type=int, default=1, help="id of the token that ends a text")
    given = parser.parse_args()
    if given.records:
        records()
    else:
        sys.exit(asyncio.run(main(given)))
