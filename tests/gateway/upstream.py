"""An OpenAI-compatible server in a thread of its own, that says what a test tells it to say."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from upstream import Upstream


@dataclass
class Scripted(Upstream):
    """Choice i is `says[i]`, over all calls: a text, or the calls of functions as (name, arguments)."""

    says: tuple = ("四",)
    says_to: Callable | None = None
    """Body → what choice i of that call says, instead."""
    delay_s: float = 0.0
    """Before each reply."""
    num_prompt: int | None = None
    """How many calls are answered without that delay; None: each is delayed."""
    num_asked: int = 0

    def will(self, *says, **fields):
        """Forgets what was asked so far and answers with `says` from now on."""
        self.says, self.drawn, self.num_asked, self.num_cancelled = says or ("四",), 0, 0, 0
        self.delay_s, self.pause_s, self.fault, self.refuses, self.says_to = 0.0, 0.0, None, {}, None
        self.reasoning, self.num_prompt = None, None
        self.bodies.clear()
        for name, value in fields.items():
            setattr(self, name, value)

    def reaches(self, what, *, within_s, num=1):
        """Whether the count `what` is `num` by then."""
        ends = time.monotonic() + within_s
        while getattr(self, what) < num and time.monotonic() < ends:
            time.sleep(0.01)
        return getattr(self, what) >= num

    async def _generate(self, request):
        self.num_asked += 1
        is_prompt = self.num_prompt is not None and self.num_asked <= self.num_prompt
        try:
            await asyncio.sleep(0 if is_prompt else self.delay_s)
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise
        return await super()._generate(request)

    def _choice(self, body, i, *, is_chat):
        said = self.says_to(body)[i] if self.says_to else self.says[self.drawn % len(self.says)]
        self.calls = () if isinstance(said, str) else [{"name": n, "arguments": a} for n, a in said]
        self.texts = (said if isinstance(said, str) else "",)
        choice = super()._choice(body, i, is_chat=is_chat)
        for j, call in enumerate(choice.get("message", {}).get("tool_calls", ())):
            call["id"] = f"call_{self.drawn - 1}_{j}"
        if len(self.texts[0].split()) > (body.get("max_tokens") or 99):
            choice["finish_reason"] = "length"
        return choice

    def _num_prompt_tokens(self, body):
        return len(str(body.get("messages") or body["prompt"]).split())


@contextlib.contextmanager
def running(upstream):
    """`upstream`, while its thread runs."""
    loop, started, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def run():
        async with upstream:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
