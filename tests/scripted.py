"""The engine and the prompt of tests: an engine that says what a test wants, and writes down what it was asked."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from nbest.protocols import Capabilities
from nbest.types import Completion, Message, Prompt, ReasoningDelta, Request, Usage


def prompt_of(text: str, language: str | None = None, **more) -> Prompt:
    """A prompt of one turn."""
    return Prompt(**{"id": "p"} | more, messages=(Message(role="user", content=text),), language=language)


PROMPT = prompt_of("7 + 5 = ?", "en")


@dataclass(eq=False)
class Scripted:
    """Answers a request with `script(request)`, or what a subclass makes of it in `say`.

    That is a text, a completion or an exception, for every draw; or a list of them, one for each draw.
    """

    script: Callable[[Request], object] | None = None
    requests: list[Request] = field(default_factory=list, kw_only=True)
    name: str = field(default="scripted", kw_only=True)
    max_n: int | None = field(default=None, kw_only=True)
    delay_s: float = field(default=0.0, kw_only=True)
    num_cancelled: int = field(default=0, init=False)
    """Calls that were cancelled while they waited."""

    async def capabilities(self) -> Capabilities:
        return Capabilities(max_n=self.max_n)

    async def generate(self, request: Request, on_delta=None) -> list[Completion]:
        self.requests.append(request)
        said = self.say(request)
        await self.wait(self.delay_s)
        draws = said if isinstance(said, list) else [said] * request.n
        return [self._drawn(draw, on_delta) for draw in draws]

    async def wait(self, seconds: float) -> None:
        """A pause in which a call may be cancelled."""
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise

    async def aclose(self) -> None:
        pass

    def say(self, request: Request) -> object:
        return self.script(request)

    def usage(self, text: str) -> Usage:
        """Of a draw that is given as a text."""
        return Usage(prompt=100, completion=len(text), calls=1)

    def _drawn(self, draw: object, on_delta) -> Completion:
        if isinstance(draw, Exception):
            raise draw
        completion = draw if isinstance(draw, Completion) else Completion(text=draw, usage=self.usage(draw))
        if on_delta and completion.reasoning:
            on_delta(ReasoningDelta(text=completion.reasoning))
        if on_delta:
            on_delta(completion.text)
        return completion
