"""Does nbest keep the embedded engine busy? The same draws through nbest and straight from xllamacpp.

    python benchmarks/throughput.py [--prompts 200] [--rounds 6] [--model x.gguf] [--slots 16]

A: `parallel(hedged(n=8))` over all prompts through `nbest.run`. B: the very same requests (texts, seeds,
parameters) handed to `xllamacpp.Server.handle_chat_completions` by a thread pool. A and B alternate.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import xllamacpp

from nbest import registry
from nbest.accounting.meter import total
from nbest.context import Context
from nbest.run import run_all
from nbest.types import Message, Prompt

MINI = Path(str(resources.files("nbest"))) / "data" / "nbest-mini.gguf"
QUESTIONS = [
    "Tom has {a} apples and buys {b} more. How many apples does he have?",
    "У Анны {a} яблок, она купила ещё {b}. Сколько яблок у неё?",
    "小明有{a}个苹果，又买了{b}个。一共有几个苹果？",
    "لدى سارة {a} تفاحات واشترت {b} أخرى. كم تفاحة لديها؟",
    "राम के पास {a} सेब हैं और वह {b} और खरीदता है। कुल कितने सेब?",
]


class Row:
    def __init__(self, i):
        text = QUESTIONS[i % len(QUESTIONS)].format(a=2 + i % 90, b=3 + i // 7)
        self.prompt = Prompt(id=str(i), messages=(Message(role="user", content=text),))


class Direct:
    """What one would write without nbest."""

    def __init__(self, model, slots, context):
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_parallel = slots
        params.n_ctx = slots * context
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_ram_mib = 0
        params.verbosity = -1
        self.server = xllamacpp.Server(params)
        self.workers = ThreadPoolExecutor(slots)

    def draw(self, request):
        p = request.params
        answer = self.server.handle_chat_completions(
            {
                "messages": [{"role": m.role, "content": m.content} for m in request.prompt.messages],
                "n": request.n,
                "max_tokens": p.max_tokens,
                "temperature": p.temperature,
                "top_k": p.top_k,
                "top_p": p.top_p,
                "min_p": p.min_p,
                "seed": p.seed or 0,
                "samplers": ["temperature", "min_p", "top_k", "top_p"],
            }
        )
        return [c["message"]["content"] for c in answer["choices"]]

    def run(self, requests):
        return [text for texts in self.workers.map(self.draw, requests) for text in texts]


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--prompts", type=int, default=200)
    ask.add_argument("--rounds", type=int, default=6)
    ask.add_argument("--model", type=Path, default=MINI)
    ask.add_argument("--slots", type=int, default=16)
    ask.add_argument("--max-tokens", type=int, default=128)
    ask.add_argument("--selector", default="first")
    args = ask.parse_args()

    engine = registry.load("engines", "llamacpp")(model=str(args.model), slots=args.slots, context=512)
    spec = f"parallel(sampler=hedged(n=8,max_tokens={args.max_tokens}),selector={args.selector})"
    strategy = registry.parse("strategies", spec)
    rows = [Row(i) for i in range(args.prompts)]
    requests = [
        r
        for row in rows
        for r in strategy.sampler(row.prompt, Context({}, prompt_id=row.prompt.id).random("sample"))
    ]
    direct = Direct(args.model, args.slots, 512)

    async def through_nbest(some):
        outcomes = []
        await run_all(
            some, lambda row: ask(row.prompt, strategy, {"policy": engine}), on_outcome=outcomes.append
        )
        assert not any(c.error for o in outcomes for c in o.candidates)
        return outcomes

    async def rounds():
        await through_nbest(rows[:20])
        direct.run(requests[:40])
        found = []
        for i in range(args.rounds):
            started, cpu = time.perf_counter(), time.process_time()
            outcomes = await through_nbest(rows)
            a_s, a_cpu = time.perf_counter() - started, time.process_time() - cpu
            started, cpu = time.perf_counter(), time.process_time()
            texts = await asyncio.to_thread(direct.run, requests)
            b_s, b_cpu = time.perf_counter() - started, time.process_time() - cpu
            tokens = sum(total(o.usage).completion for o in outcomes)
            pool = {c.text for o in outcomes for c in o.candidates}
            same = sum(t in pool for t in texts) / len(texts)
            found.append((b_s / a_s, b_cpu / a_cpu))
            print(
                f"round {i + 1}: nbest {tokens / a_s:7.0f} tokens/s ({a_cpu / a_s:.2f} cores) · direct"
                f" {tokens / b_s:7.0f} ({b_cpu / b_s:.2f} cores) · ratio {b_s / a_s:.2f}"
                f" · {tokens} tokens, {same:.1%} of the texts alike",
                flush=True,
            )
        await engine.aclose()
        return found

    found = asyncio.run(rounds())
    for what, ratios in zip(("tokens/s", "tokens per CPU second"), zip(*found, strict=True), strict=True):
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        print(
            f"{what}, nbest / direct: median {middle:.2f}, from {low:.2f} to {high:.2f}, {len(ratios)} rounds"
        )
    print(f"{spec}, slots={args.slots}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0 if statistics.median(r for r, _ in found) >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
