"""A deterministic engine without a model, for tests and dry runs."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from random import Random
from typing import ClassVar

from nbest.engines.fake_judge import judged_text, judged_token
from nbest.errors import EngineError
from nbest.protocols import Capabilities, OnDelta
from nbest.types import Completion, Finish, Logprobs, Prompt, Request, Usage, replace

LINES = (
    ("Step by step: {a} + {b} = {c}", "Answer: {c}"),
    ("خطوة خطوة: {a} + {b} = {c}", "الجواب: {c}"),
    ("一步一步：{a} + {b} = {c}", "答案：{c}"),
    ("चरण: {a} + {b} = {c}", "उत्तर: {c}"),
    ("順番に：{a} + {b} = {c}", "答え：{c}"),
    ("По шагам: {a} + {b} = {c}", "Ответ: {c}"),
    ("ทีละขั้น {a} + {b} = {c}", "คำตอบ: {c}"),
)
_DELTA = re.compile(r"\S{1,4}\s*|\s+")
_FAILURE = "the fake engine was told to fail here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fake:
    """Texts that depend on (prompt, prefix, seed, temperature) only; one token is one character.

    Failures depend on the seed as well, so they fall on the same draws in every run. Asked to judge, to check steps or
    to fuse with one of our templates, it replies in the form that the template asks for, in the language of its
    instructions, and likes texts by `fake_judge.merit`.
    """

    is_open_to_clients: ClassVar[bool] = False

    latency_s: float = 0.0
    error_rate: float = 0.0
    """Share of draws that raise `EngineError`."""
    hang_rate: float = 0.0
    """Share of draws that never return."""
    garbage_rate: float = 0.0
    """Share of draws that are no text a person would read."""
    max_n: int | None = None
    has_logprobs: bool = True

    @property
    def name(self) -> str:
        return "fake"

    async def capabilities(self) -> Capabilities:
        return Capabilities(max_n=self.max_n, logprobs=self.has_logprobs, scores_text=True, names_stop=True)

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        await asyncio.sleep(self.latency_s)
        drawn: list[Completion] = []
        for i in range(request.n):
            completion = self._draw(request, i)
            if completion is None:
                await asyncio.Event().wait()  # until it is cancelled
            else:
                drawn.append(completion)

        if on_delta and request.n == 1:
            for delta in _DELTA.findall(drawn[0].text):
                on_delta(delta)
                await asyncio.sleep(0)
        return drawn

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        rng = _rng(prompt, text)
        return Logprobs(tokens=tuple(text), values=tuple(log(rng.uniform(0.01, 1)) for _ in text))

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def _draw(self, request: Request, i: int) -> Completion | None:
        """One completion; None for a draw that hangs."""
        params = request.params
        seed = None
        if params.temperature > 0:
            seed = (params.seed or 0) + i
        rng = _rng(request.prompt, request.prefix, seed, params.temperature)
        fate = rng.random()
        if fate < self.error_rate:
            if request.n == 1:
                raise EngineError(_FAILURE)
            return Completion.failed(_FAILURE)
        if fate < self.error_rate + self.hang_rate:
            return None

        if fate < self.error_rate + self.hang_rate + self.garbage_rate:
            return self._finished(request, _garbage(rng), rng, is_first=i == 0)

        token = judged_token(request) if self.has_logprobs else None
        if token is not None:
            prompt_tokens = _prompt_tokens(request)
            return replace(token, usage=replace(token.usage, prompt=prompt_tokens))
        text = judged_text(request, rng) or _answer(request, rng)
        return self._finished(request, text, rng, is_first=i == 0)

    def _finished(self, request: Request, text: str, rng: Random, *, is_first: bool) -> Completion:
        """The completion that `text` is under the request's stop strings and token limit."""
        params = request.params
        finish: Finish = "stop"
        stopped_by = None
        ends = [(text.find(stop), stop) for stop in params.stop if stop and stop in text]
        if ends:
            at, stopped_by = min(ends)
            text = text[:at]
        if len(text) > params.max_tokens:
            text, finish, stopped_by = text[: params.max_tokens], "length", None

        logprobs = None
        if params.logprobs is not None and self.has_logprobs:
            logprobs = _logprobs(text, rng, has_alternatives=params.logprobs > 0)
        usage = Usage(completion=len(text))
        if is_first:
            usage += Usage(prompt=_prompt_tokens(request), calls=1)
        return Completion(text=text, finish=finish, usage=usage, logprobs=logprobs, stopped_by=stopped_by)


def _logprobs(text: str, rng: Random, *, has_alternatives: bool) -> Logprobs:
    values = tuple(log(rng.uniform(0.05, 1)) for _ in text)
    top: tuple[dict[str, float], ...] = ()
    if has_alternatives:
        top = tuple({char: value} for char, value in zip(text, values, strict=True))
    return Logprobs(tokens=tuple(text), values=values, top=top)


def _answer(request: Request, rng: Random) -> str:
    """A sum in two lines, right in two of three draws; behind the first line, the second."""
    a, b, slip = rng.randrange(10), rng.randrange(10), rng.choice((0, 0, 1))
    lines = rng.choice(LINES)[min(1, request.prefix.count("\n")) :]
    return "\n".join(lines).format(a=a, b=b, c=a + b + slip)


def _garbage(rng: Random) -> str:
    return "".join(chr(rng.randrange(0x20, 0xD000)) for _ in range(rng.randrange(40)))


def _prompt_tokens(request: Request) -> int:
    return sum(len(m.content) for m in request.prompt.messages) + len(request.prefix)


def _rng(prompt: Prompt, *rest: object) -> Random:
    key = repr((prompt.id, [(m.role, m.content) for m in prompt.messages], *rest))
    return Random(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest())  # noqa: S311
