"""A gateway under mixed load with faults, for minutes or a night; then it must hold what it held after the first minute.

    python benchmarks/gateway/soak.py [--seconds 600] [--clients 32] [--folder .venv-peers]

Before the gateway stand two upstream servers with faults (`flaky_upstream.py`), one of which is killed every 20 s and started again 3 s
later. Clients ask all three APIs, streamed and not, with several strategies, and send requests that are wrong; a tenth of
them goes away in the middle. The configuration is read again every 15 s, and every fourth time it is half a file.
The exit code is 0 where every request was answered, or ended by its client; where memory, descriptors, tasks and threads
are as after the first minute; and where the gateway's count of what was spent is within 2 % of the upstreams' own.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from flaky_upstream import Count
from load import QUESTIONS, cpu_s, rss_mb
from systems import HERE, Stand, free_port

from nbest.serve.keys import new_key

WARM_UP_S = 60.0
SETTLE_S = 12.0
"""Until idle connections to upstreams are closed, and logs are written."""
DEADLINE_S = 5
KILL_EVERY_S, DOWN_S = 20.0, 3.0
RELOAD_EVERY_S = 15.0
MAX_RSS_GROWTH = 1.2
MAX_MORE = {"descriptors": 8, "tasks": 4, "threads": 4}
MAX_COST_ERROR = 0.02
PRICE = {"prompt": 1.0, "completion": 4.0}
CLIENT, CLIENT_TABLE = new_key("soak")
OPERATOR, OPERATOR_TABLE = new_key("operator", table="operators")
PRESETS = {
    "vote": "parallel(sampler=iid(n=5),selector=vote)",
    "calls": "parallel(sampler=iid(n=4),selector=vote,quorum=3)",
    "hedged": "parallel(sampler=hedged(n=4),selector=chops)",
    "single": "parallel(sampler=greedy,selector=first)",
}
WRONG = (
    ({"model": "no-such-model"}, {404}),
    ({"messages": "text"}, {400}),
    ({"n": 1000}, {400}),
    ({"temperature": "warm"}, {400}),
    ({"nbest": {"strategy": "judge_pairwise(n=1000)"}}, {400}),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": 5}}}},
        {400},
    ),
)
SERVED = {200, 429, 502, 503, 504}
"""What faults of upstreams may come to."""


@dataclass
class Held:
    """What a process holds when nobody asks anything."""

    rss_mb: float
    descriptors: int
    threads: int
    tasks: int


class Soak:
    def __init__(self, stand, clients):
        self._stand = stand
        self._num_clients = clients
        self._random = random.Random(0)
        self._counts = [stand.home / f"count-{i}" for i in range(2)]
        self._ports = [free_port(), free_port()]
        self._servers = []
        self._config = stand.home / "soak.toml"
        self.ends = collections.Counter()
        """How requests ended."""
        self.lost = []
        """Requests that were not answered as they should be."""

    async def start(self):
        for path in self._counts:
            path.unlink(missing_ok=True)
        for i in range(2):
            self._servers.append(await self._start_upstream(i))
        self._write_config(0)
        command = [sys.executable, "-m", "nbest", "serve", "--config", str(self._config), "--port", "{port}"]
        self.gateway = await self._stand.start("soak", command, path="/ready", timeout_s=60)
        self.base = f"http://127.0.0.1:{self.gateway.port}"

    async def run(self, seconds):
        """Load for so long; ends with the last answer."""
        ends = time.monotonic() + seconds
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S + 20)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            disturbing = [asyncio.ensure_future(self._kill(ends)), asyncio.ensure_future(self._reload(ends))]
            await asyncio.gather(
                *(self._client(session, ends) for _ in range(self._num_clients)), *disturbing
            )

    async def held(self):
        """After a rest."""
        await asyncio.sleep(SETTLE_S)
        state = await self.activity()
        process = Path(f"/proc/{self.gateway.pid}")
        return Held(
            rss_mb=rss_mb(self.gateway.pid),
            descriptors=len(list((process / "fd").iterdir())),
            threads=len(list((process / "task").iterdir())),
            tasks=state["tasks"],
        )

    async def activity(self):
        headers = {"Authorization": f"Bearer {OPERATOR}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.base}/admin/activity", headers=headers) as reply,
        ):
            return await reply.json()

    def drawn(self):
        """What the upstream servers have counted."""
        total = collections.Counter()
        for path in self._counts:
            total.update(Count(path).read())
        return total

    async def _client(self, session, ends):
        while time.monotonic() < ends:
            path, body, expected = self._request()
            leaves_after_s = self._random.uniform(0.005, 0.2) if self._random.random() < 0.1 else None
            try:
                async with asyncio.timeout(leaves_after_s):
                    end = await self._asked(session, path, body, expected)
            except TimeoutError:
                end = "left" if leaves_after_s is not None else "lost"
                if end == "lost":
                    self.lost.append(f"{path} {body} no answer")
            except aiohttp.ClientError as e:
                end = "lost"
                self.lost.append(f"{path} {body} {e!r}")
            self.ends[end] += 1

    def _request(self):
        """Path, body, and the statuses that it may get."""
        asked = f"({self._random.random()}) {self._random.choice(QUESTIONS)}"
        model = self._random.choice(("fake", *(f"fake@{name}" for name in PRESETS)))
        body = {"model": model, "stream": self._random.random() < 0.3}
        if self._random.random() < 0.1:
            return "/v1/responses", {**body, "input": asked}, SERVED
        body["messages"] = [{"role": "user", "content": asked}]
        if self._random.random() < 0.08:
            more, expected = self._random.choice(WRONG)
            return "/v1/chat/completions", {**body, **more}, expected
        if self._random.random() < 0.1:
            body["nbest"] = {"candidates": True}
        return "/v1/chat/completions", body, SERVED

    async def _asked(self, session, path, body, expected):
        headers = {"Authorization": f"Bearer {CLIENT}"}
        async with session.post(self.base + path, json=body, headers=headers) as reply:
            raw = await reply.read()
        if reply.status not in expected or (reply.status == 200 and not is_whole(path, body, raw)):
            self.lost.append(f"{path} {body} {reply.status} {raw[-200:]!r}")
            return "lost"
        return str(reply.status)

    async def _kill(self, ends):
        i = 0
        while time.monotonic() + KILL_EVERY_S < ends:
            await asyncio.sleep(KILL_EVERY_S - DOWN_S)
            self._stand.kill(self._servers[i])
            self.ends["upstream killed"] += 1
            await asyncio.sleep(DOWN_S)
            self._servers[i] = await self._start_upstream(i)
            i = 1 - i

    async def _reload(self, ends):
        number = 0
        while time.monotonic() + RELOAD_EVERY_S < ends:
            await asyncio.sleep(RELOAD_EVERY_S)
            number += 1
            self._write_config(number, is_cut=number % 4 == 0)
            os.kill(self.gateway.pid, signal.SIGHUP)
            self.ends["reload"] += 1

    async def _start_upstream(self, i):
        command = [sys.executable, str(HERE / "flaky_upstream.py"), "--port", str(self._ports[i])]
        command += ["--count", str(self._counts[i])]
        return await self._stand.start(f"flaky-{i}", command, path="/v1/models", port=self._ports[i])

    def _write_config(self, number, *, is_cut=False):
        engines = ",".join(f'openai(url="http://127.0.0.1:{port}/v1",model=fake)' for port in self._ports)
        lines = [f"engine = 'retry(engine=balance(engines=[{engines}],sticky=true))'"]
        lines += [f'strategy = "{PRESETS["vote"]}"']
        lines += ["[serve]", f"deadline = {DEADLINE_S}", "concurrency = 200", "[serve.prices.policy]"]
        lines += [f"{name} = {price}" for name, price in PRICE.items()]
        lines += ["[presets]", *(f'{name} = "{spec}"' for name, spec in PRESETS.items())]
        lines += [f'new{number} = "{PRESETS["vote"]}"', OPERATOR_TABLE, CLIENT_TABLE, "# end"]
        text = "\n".join(lines)
        if is_cut:
            text = text[: text.index("[[serve.keys]]")]
        self._config.write_text(text, encoding="utf-8")


def is_whole(path, body, raw):
    """Whether a reply with the status 200 is one to its end, an error at the end of a stream included."""
    if not body["stream"]:
        return "error" not in json.loads(raw) or path == "/v1/responses"
    if path == "/v1/responses":
        return b"response.completed" in raw or b"response.failed" in raw or b"event: error" in raw
    return raw.endswith(b"data: [DONE]\n\n") or b'"error"' in raw


def problems(first, last, error, lost):
    """What is not as it should be."""
    found = [f"lost: {what}" for what in lost[:5]]
    if last.rss_mb > first.rss_mb * MAX_RSS_GROWTH:
        found.append(f"memory grew from {first.rss_mb:.0f} to {last.rss_mb:.0f} MB")
    for name, most in MAX_MORE.items():
        before, after = getattr(first, name), getattr(last, name)
        if after > before + most:
            found.append(f"{name} grew from {before} to {after}")
    if abs(error) > MAX_COST_ERROR:
        found.append(f"the gateway counts {error:+.2%} of what the upstreams count")
    return found


def money(num_prompt, num_completion):
    return (num_prompt * PRICE["prompt"] + num_completion * PRICE["completion"]) / 1e6


async def measure(args):
    with Stand(args.folder) as stand:
        soak = Soak(stand, args.clients)
        await soak.start()
        await soak.run(min(WARM_UP_S, args.seconds / 2))
        first = await soak.held()
        print(f"after the first minute: {first}", flush=True)
        await soak.run(args.seconds)
        last = await soak.held()
        print(f"after {args.seconds:g} s more: {last}")

        drawn, state = soak.drawn(), await soak.activity()
        (row,) = (r for r in state["by_key"] if r["name"] == "soak")
        expected = money(
            drawn["prompt"] + drawn["broken_prompt"], drawn["completion"] + drawn["broken_completion"]
        )
        error = row["cost"] / expected - 1
        print("requests:", dict(soak.ends))
        print("upstreams:", dict(drawn))
        print(f"gateway: {row}")
        print(f"cost: {row['cost']:.4f} metered, {expected:.4f} counted by the upstreams: {error:+.2%}")
        print(
            f"CPU of the gateway: {cpu_s(soak.gateway.pid):.0f} s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )
        found = problems(first, last, error, soak.lost)
    for problem in found:
        print("FAILED:", problem)
    return 1 if found else 0


def seconds(text):
    """90, 10m or 8h."""
    units = {"s": 1, "m": 60, "h": 3600}
    return float(text[:-1]) * units[text[-1]] if text[-1] in units else float(text)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seconds", type=seconds, default=600, help="such as 90, 10m or 8h")
    ask.add_argument("--clients", type=int, default=32)
    ask.add_argument("--folder", type=Path, default=Path(".venv-peers"), help="for logs")
    sys.exit(asyncio.run(measure(ask.parse_args())))


if __name__ == "__main__":
    main()
