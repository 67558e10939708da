"""`nbest judge` killed again and again buys no verdict twice: the server counts."""

import asyncio
import json
import random
import signal

from judges import SECTION
from nbest.arena.judged_games import read_verdicts
from nbest.records import RunWriter
from nbest.types import Candidate, Message, Outcome, Prompt, Selection
from processes import Nbest
from upstream import Upstream

NUM_PROMPTS = 60
CONCURRENCY = 2
NUM_KILLS = 5


class SlowJudge(Upstream):
    """Notes which pair each call is about as it arrives, and answers a little later."""

    async def _generate(self, request):
        asked = (await request.json())["messages"][0]["content"]
        self.arrivals.append(tuple(m["text"] for m in SECTION.finditer(asked)))
        await asyncio.sleep(0.01)
        return await super()._generate(request)


def record(path, name):
    with RunWriter(path, {}) as writer:
        for i in range(NUM_PROMPTS):
            prompt = Prompt(id=str(i), messages=(Message(role="user", content=f"कितने? {i}"),), language="hi")
            winner = Candidate(id=0, text=f"{name} {i}")
            writer.append(
                Outcome(
                    prompt=prompt,
                    strategy="s",
                    seed=0,
                    selection=Selection(winner=winner, weights={0: 1.0}),
                    candidates=(winner,),
                    usage={},
                )
            )


def recorded(store):
    if not (store / "manifest.json").exists():
        return set()
    return {v.texts for v in read_verdicts(store)}


async def test_no_verdict_is_bought_twice(tmp_path):
    record(tmp_path / "a", "a")
    record(tmp_path / "b", "b")
    store = tmp_path / "verdicts"
    async with SlowJudge(texts=("Gut. [[A>B]]", "ठीक [[B>A]]")) as server:
        server.arrivals = []
        runs = ("judge", tmp_path / "a", tmp_path / "b", "--out", store)
        judge = (*runs, "--engine", f"openai:{server.url}", "--concurrency", CONCURRENCY)
        rng, kills, said = random.Random(2), 0, ""
        while True:
            known, before = recorded(store), len(server.arrivals)
            process = Nbest(tmp_path, *judge)
            if kills < NUM_KILLS:
                # At most 20 calls a life: there is always something left to be killed at.
                wanted = before + rng.randint(1, 20)
                while len(server.arrivals) < wanted and process.is_running:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
                await asyncio.sleep(rng.uniform(0, 0.02))
                await asyncio.to_thread(process.kill)
            code, said, wrong = await asyncio.to_thread(process.wait)
            assert not known & set(server.arrivals[before:])
            if code == 0:
                break
            assert code == -signal.SIGKILL, wrong
            kills += 1
        num_calls = len(server.arrivals)
        code, out, wrong = await asyncio.to_thread(Nbest(tmp_path, *runs, "--json").wait)
        assert code == 0, wrong
        again = await asyncio.to_thread(Nbest(tmp_path, *judge, "--json").wait)
        assert again[1] == out
        assert len(server.arrivals) == num_calls

    assert kills == NUM_KILLS
    assert 2 * NUM_PROMPTS <= num_calls <= 2 * NUM_PROMPTS + kills * CONCURRENCY
    rates = json.loads(out)
    assert rates["judge"]["num_games"] == rates["judge"]["usage"]["calls"] == 2 * NUM_PROMPTS
    assert rates["judge"]["num_null"] == 0
    assert "hi" in rates["systems"][1]["by_language"]
    assert "against a, %" in said
