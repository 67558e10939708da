"""Does a search keep an engine as busy as plain sampling does? Beam search against the same number of draws.

    python benchmarks/search_utilisation.py [--pairs 5] [--prompts 100] [--slots 16]
    python benchmarks/search_utilisation.py --url http://localhost:8000/v1 --metrics http://localhost:8000/metrics

`plain` draws N whole answers a prompt; `beam` is `tree(beam(n=N, width=4))` against a verifier that asks no
model; `beam+prm` has a token PRM, whose calls are counted; `one by one` is `beam` with a single prompt under
way, which is how search-and-learn's loop goes; `same calls` sends the calls of the last `beam` again, all at once and
without a search: what the server makes of such calls at best. The sides alternate in one process on one engine, all
prompts at once unless said otherwise: the engine's slots (or `--in-flight`) bound what is in flight, alike for all.
Only tokens that were drawn for answers count in tokens/s, never a verifier's. "with a core" leaves out the time
that the engine's thread spent waiting for a core that other processes had: what an idle machine would show.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import time
import urllib.request
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from nbest import registry
from nbest.accounting.meter import total
from nbest.datasets import read_prompts
from nbest.engines.layers.layer import Layer
from nbest.run import ask, run_all
from nbest.types import Candidate, Outcome, Usage

DRAWS = "temperature=0.8,max_tokens={max_tokens}"
SIDES = {
    "plain": "parallel(sampler=iid(n={n},{draws}),selector=first)",
    "beam": "tree(search=beam(n={n},width={width}),verifier={verifier},"
    "boundary={boundary},step_tokens={step_tokens},{draws})",
    "beam+prm": "tree(search=beam(n={n},width={width}),verifier=token_prm(every=false),"
    "boundary={boundary},step_tokens={step_tokens},{draws})",
}
SIDES["one by one"] = SIDES["same calls"] = SIDES["beam"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording(Layer):
    """Remembers what it was asked."""

    requests: list = field(default_factory=list)

    async def generate(self, request, on_delta=None):
        self.requests.append(request)
        return await self.engine.generate(request, on_delta)


class Sums:
    """What one side did in one round."""

    def __init__(self, outcomes, seconds, cpu_s, waited, found):
        errors = {c.error for o in outcomes for c in o.candidates if c.error}
        assert not errors, errors
        policy = [o.usage.get("policy") for o in outcomes]
        verifier = [u for o in outcomes if (u := o.usage.get("verifier"))]
        self.seconds, self.cpu_s, self.with_a_core_s = seconds, cpu_s, seconds - waited
        self.tokens = sum(u.completion for u in policy)
        self.calls, self.verifier_calls = (sum(u.calls for u in side) for side in (policy, verifier))
        self.prompt = sum(total(o.usage).prompt for o in outcomes)
        self.cached = sum(total(o.usage).cached for o in outcomes)
        self.hits, self.queries = found
        self.answers = sum(c.finish == "stop" for o in outcomes for c in o.candidates)

    def line(self):
        parts = [
            f"{self.tokens / self.seconds:7.0f} tokens/s",
            *([] if self.queries else [f"{self.tokens / self.with_a_core_s:7.0f} with a core"]),
            *([] if self.queries else [f"{self.tokens / self.cpu_s:7.0f} per CPU second"]),
            f"{self.seconds:6.1f} s",
            f"{self.tokens} tokens in {self.calls} calls and {self.answers} answers",
            f"prompt tokens {self.prompt}"
            + ("" if self.queries else f", {self.prompt - self.cached} computed"),
        ]
        if self.verifier_calls:
            parts.append(f"{self.verifier_calls} verifier calls")
        if self.queries:
            parts.append(f"client {self.cpu_s:.1f} s of CPU")
            parts.append(f"prefix cache {self.hits / self.queries:.1%} of {self.queries:.0f}")
        return " · ".join(parts)


def threads():
    """Seconds that each thread of this process but its first ran, and waited for a core; on Linux."""
    found = {}
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            ran, waited, _ = path.read_text().split()
            found[path.parent.name] = (int(ran) / 1e9, int(waited) / 1e9)
    found.pop(str(os.getpid()), None)
    return found


def waited_s(before, after):
    """How long the busiest thread, which is the engine's, could run and had no core."""
    spent = [[a - b for a, b in zip(after[t], before.get(t, (0, 0)), strict=True)] for t in after]
    return max(spent, default=(0.0, 0.0))[1]


def prefix_cache(url):
    """Tokens that vLLM found in its prefix cache, and those it looked for, since it started."""
    if not url:
        return 0.0, 0.0
    text = urllib.request.urlopen(url, timeout=10).read().decode()
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return tuple(
        sum(float(value) for name, _, value in rows if name.startswith(f"vllm:prefix_cache_{what}_total"))
        for what in ("hits", "queries")
    )


async def measure(args, engine, items, report):
    fields = {
        "n": args.n,
        "width": args.width,
        "verifier": args.verifier,
        "boundary": args.boundary,
        "step_tokens": args.step_tokens,
    }
    draws = DRAWS.format(max_tokens=args.max_tokens)
    strategies = {
        name: registry.parse("strategies", SIDES[name].format(draws=draws, **fields)) for name in args.sides
    }
    beam = Recording(engine=engine)

    async def again(requests):
        drawn = await asyncio.gather(*(engine.generate(r) for r in requests))
        return [
            Outcome(
                prompt=r.prompt,
                strategy="same calls",
                seed=0,
                selection=None,
                candidates=tuple(Candidate(id=i, text=c.text, finish=c.finish) for i, c in enumerate(cs)),
                usage={r.role: sum((c.usage for c in cs), Usage())},
            )
            for r, cs in zip(requests, drawn, strict=True)
        ]

    async def side(name, some, seed):
        outcomes = []
        before = await asyncio.to_thread(prefix_cache, args.metrics)
        then, started, cpu = threads(), time.perf_counter(), time.process_time()
        if name == "same calls":
            outcomes += await again(beam.requests)
        else:
            beam.requests.clear()
            await run_all(
                some,
                lambda item: ask(item.prompt, strategies[name], {"policy": beam}, seed=seed, gold=item.gold),
                concurrency=1 if name == "one by one" else args.concurrency,
                on_outcome=outcomes.append,
            )
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        waited = 0.0 if args.url else waited_s(then, threads())
        after = await asyncio.to_thread(prefix_cache, args.metrics)
        found = [b - a for a, b in zip(before, after, strict=True)]
        return Sums(outcomes, seconds, cpu_s, waited, found)

    for name in args.sides:  # what is made once, such as the problems that word_steps compares with
        await side(name, items if name == args.sides[1] else items[:4], 999)
    rounds = []
    for i in range(args.pairs):
        sums = {name: await side(name, items, i) for name in args.sides}
        for name, s in sums.items():
            report(f"round {i + 1} {name:10} {s.line()}")
        rounds.append(sums)
    await engine.aclose()
    return rounds


def ratios(rounds, name, base, what):
    found = [what(r[name]) / what(r[base]) for r in rounds]
    return f"median {statistics.median(found):.2f}, from {min(found):.2f} to {max(found):.2f}"


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--url", help="an OpenAI server instead of the embedded engine")
    ask.add_argument("--model", help="GGUF file, or the server's name of its model")
    ask.add_argument("--metrics", help="where vLLM counts its prefix cache's hits")
    ask.add_argument("--prompts", type=int, default=100)
    ask.add_argument("--pairs", type=int, default=5)
    ask.add_argument("--slots", type=int, default=16)
    ask.add_argument("--in-flight", type=int, help="sequences at once on a server")
    ask.add_argument("--concurrency", type=int, default=10_000, help="prompts at once")
    ask.add_argument("--n", type=int, default=16)
    ask.add_argument("--width", type=int, default=4)
    ask.add_argument("--max-tokens", type=int, default=256)
    ask.add_argument("--boundary", default="newline", help="what ends a step; tokens: --step-tokens alone")
    ask.add_argument("--step-tokens", type=int, default=64)
    ask.add_argument("--verifier", default="noisy_oracle(auc=1.0,prefix=word_steps)", help="of the beam")
    ask.add_argument("--sides", nargs="+", default=list(SIDES), choices=list(SIDES))
    args = ask.parse_args()

    if args.url:
        engine = registry.load("engines", "openai")(url=args.url, model=args.model)
        if args.in_flight:
            engine = registry.load("engines", "limit")(engine=engine, max_in_flight=args.in_flight)
    else:
        engine = registry.load("engines", "llamacpp")(model=args.model, slots=args.slots, context=512)
    items = read_prompts(str(resources.files("nbest") / "data" / "prompts" / "mini.jsonl"))
    rounds = asyncio.run(measure(args, engine, items[: args.prompts], lambda line: print(line, flush=True)))
    for name in args.sides[1:]:
        base = "beam" if name in {"one by one", "same calls"} else args.sides[0]
        print(f"tokens/s, {name} / {base}: {ratios(rounds, name, base, lambda s: s.tokens / s.seconds)}")
        if not args.url:
            with_a_core = ratios(rounds, name, base, lambda s: s.tokens / s.with_a_core_s)
            print(f"… not counting the time without a core: {with_a_core}")
            per_cpu = ratios(rounds, name, base, lambda s: s.tokens / s.cpu_s)
            print(f"… per CPU second of the whole process: {per_cpu}")
    print(f"{args}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
