"""What nbest itself costs per candidate: the openai engine against a server that answers at once.

    python benchmarks/orchestration.py [--prompts 400] [--n 8] [--rounds 5]

The server is a process of its own, so its work is not counted; CPU time is that of this process. Three
depths: bare aiohttp calls, the engine alone, and whole outcomes of `parallel(hedged(n))`.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import time

import aiohttp
from aiohttp import web

from nbest import registry
from nbest.run import ask, run_all
from nbest.types import Message, Prompt, Request, SamplingParams

TEXT = "Tom has 3 apples and buys 4 more: 3 + 4 = 7.\nAnswer: 7"


def serve(pipe):
    async def models(_):
        return web.json_response({"object": "list", "data": [{"id": "instant", "object": "model"}]})

    async def chat(request):
        n = (await request.json()).get("n", 1)
        message = {"role": "assistant", "content": TEXT}
        choices = [{"index": i, "message": message, "finish_reason": "stop"} for i in range(n)]
        usage = {"prompt_tokens": 20, "completion_tokens": 18 * n, "total_tokens": 20 + 18 * n}
        return web.json_response(
            {"id": "x", "object": "chat.completion", "model": "instant", "choices": choices, "usage": usage}
        )

    async def start():
        app = web.Application()
        app.router.add_get("/v1/models", models)
        app.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(start())


class Row:
    def __init__(self, i):
        text = f"Tom has {i} apples and buys 4 more. How many?"
        self.prompt = Prompt(id=str(i), messages=(Message(role="user", content=text),))


async def measure(url, num_prompts, n, rounds, selector):
    rows = [Row(i) for i in range(num_prompts)]
    strategy = registry.parse("strategies", f"parallel(sampler=hedged(n={n}),selector={selector})")
    engine = registry.load("engines", "openai")(url=url, model="instant")
    limit = asyncio.Semaphore(64)

    async def bare(row, session):
        for k in (1, n - 1):
            body = {"model": "instant", "n": k, "messages": [{"role": "user", "content": row.prompt.text}]}
            async with limit, session.post(f"{url}/chat/completions", json=body) as reply:
                json.loads(await reply.read())

    async def through_aiohttp():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*[bare(row, session) for row in rows])

    async def one(row):
        async with limit:
            for k in (1, n - 1):
                await engine.generate(Request(prompt=row.prompt, n=k, params=SamplingParams(seed=1)))

    async def through_engine():
        await asyncio.gather(*[one(row) for row in rows])

    async def through_nbest():
        outcomes = []
        await run_all(
            rows, lambda row: ask(row.prompt, strategy, {"policy": engine}), on_outcome=outcomes.append
        )
        assert all(len(o.candidates) == n and not o.error for o in outcomes)

    await through_nbest()
    cpu_us = {"bare aiohttp": [], "openai engine": [], f"nbest, {selector}": []}
    wall_us = {name: [] for name in cpu_us}
    for _ in range(rounds):
        for name, work in zip(cpu_us, (through_aiohttp, through_engine, through_nbest), strict=True):
            started, cpu = time.perf_counter(), time.process_time()
            await work()
            cpu_us[name].append((time.process_time() - cpu) / (num_prompts * n) * 1e6)
            wall_us[name].append((time.perf_counter() - started) / (num_prompts * n) * 1e6)
    await engine.aclose()
    for name, values in cpu_us.items():
        print(
            f"{name:14} {statistics.median(values):6.0f} µs CPU per candidate, from {min(values):.0f} to"
            f" {max(values):.0f}; {statistics.median(wall_us[name]):.0f} µs wall"
        )


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--prompts", type=int, default=400)
    ask.add_argument("--n", type=int, default=8)
    ask.add_argument("--rounds", type=int, default=5)
    ask.add_argument("--selector", default="first")
    args = ask.parse_args()
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}/v1"
        asyncio.run(measure(url, args.prompts, args.n, args.rounds, args.selector))
    finally:
        server.terminate()
        server.join()
    print(f"n={args.n}, {args.prompts} prompts, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
