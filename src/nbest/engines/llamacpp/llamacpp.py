"""Any GGUF model, in this process, through llama.cpp with continuous batching."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from nbest.accounting.gguf import read_context_length
from nbest.engines.llamacpp.deltas import heard
from nbest.engines.llamacpp.logprobs import FIELDS, Drawn, drawn_logprobs, text_logprobs
from nbest.engines.llamacpp.params import client_fields
from nbest.engines.llamacpp.runtime import LlamaServer, ServerConfig, is_small
from nbest.errors import EngineError
from nbest.protocols import Capabilities, OnDelta, ServerPath
from nbest.types import Completion, Logprobs, Message, Prompt, Request, SamplingParams

NUM_CONTEXT_DEFAULT = 4096
"""Tokens per slot at most, where nothing else is said: memory grows with slots x context."""

_NUM_OPENINGS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCpp:
    """A GGUF model in this process. Loads at first use; safe to call from many tasks at once.

    Temperature comes before min-p, top-k and top-p, as in vLLM, so that both draw alike. A text that
    reaches the end of its slot's context is cut there, with finish "length".
    Raises `InputError` at first use where `model` is missing or no GGUF.
    """

    is_open_to_clients: ClassVar[bool] = False

    model: ServerPath | None = None
    """Path of a GGUF file; None is the tiny model that is packaged with nbest."""
    slots: int = 16
    """Sequences that are drawn at once, over all prompts; also the largest `n` of one call."""
    spare: int | None = None
    """Further slots, for texts that wait to be continued: a search reads its prefixes from them instead of
    computing them again. Each takes as much memory as a slot; None: as many as `slots` for a model file
    below 256 MB, else none."""
    context: int | None = None
    """Tokens per sequence, prompt included, rounded up to 256; None: the model's own, at most 4096."""
    threads: int = 1
    """Of llama.cpp. More only helps where cores are idle and the model is not tiny."""
    gpu_layers: int = 0
    deterministic: bool = False
    """Same seed, same text at any load, for slower draws: docs/determinism.md."""
    _live: _Live = field(init=False, repr=False, compare=False, default_factory=lambda: _Live())  # noqa: PLW0108

    def __post_init__(self) -> None:
        for name in ("slots", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.spare is not None and self.spare < 0:
            raise ValueError(f"spare must not be negative, got {self.spare}")
        if self.context is not None and self.context < 2:  # noqa: PLR2004
            raise ValueError(f"context must be at least 2 tokens, got {self.context}")

    @property
    def name(self) -> str:
        return f"llamacpp/{Path(self.model).stem if self.model else 'nbest-mini'}"

    async def capabilities(self) -> Capabilities:
        await self._server()
        return Capabilities(max_n=self.slots, scores_text=True, names_stop=True)

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        """`request.n` draws. The prompt is read once for all that fit at once, and charged to their first."""
        if not 1 <= request.n <= self.slots:
            raise EngineError(f"n must be between 1 and {self.slots} (slots=), got {request.n}")
        server = await self._server()
        opening = await self._opening(server, request)
        goes_on = bool(request.prefix) or request.role != "policy"
        return await self._pool(server, opening, request, goes_on=goes_on, on_delta=on_delta)

    async def _pool(
        self,
        server: LlamaServer,
        opening: str,
        request: Request,
        *,
        goes_on: bool,
        on_delta: OnDelta | None = None,
    ) -> list[Completion]:
        """What begins may come in two parts, so that half of the places need not wait, empty, for the rest.
        What goes on comes at once: one slot holds its prefix."""
        n = 1 if self.deterministic else request.n
        num = await server.turns.take(n, least=n if goes_on else ceil(n / 2), goes_on=goes_on)
        rest: asyncio.Future[list[Completion]] | None = None
        try:
            if num < n:
                later = request.part(num, n - num)
                rest = asyncio.ensure_future(self._pool(server, opening, later, goes_on=True))
                request = request.part(0, num)
            drawn = await self._part(server, opening, request, on_delta)
        except BaseException:
            if rest:
                rest.cancel()
                await asyncio.gather(rest, return_exceptions=True)
            raise
        finally:
            server.turns.give_back(num)
        return [*drawn, *await rest] if rest else drawn

    async def _part(
        self, server: LlamaServer, opening: str, request: Request, on_delta: OnDelta | None
    ) -> list[Completion]:
        drawn = await self._drawn(server, opening, request, on_delta)
        logprobs: list[Logprobs | None] = [None] * len(drawn)
        if (k := request.params.logprobs) is not None:
            logprobs = [await drawn_logprobs(server, opening, d, k) for d in drawn]
        return [
            Completion(
                text=d.content,
                finish="length" if d.stop_type == "limit" else "stop",
                usage=d.usage(is_first=i == 0 or self.deterministic),
                logprobs=logprobs[i],
                stopped_by=d.stopping_word or None,
            )
            for i, d in enumerate(drawn)
        ]

    async def _drawn(
        self, server: LlamaServer, opening: str, request: Request, on_delta: OnDelta | None
    ) -> list[Drawn]:
        body = {**_body(request.params), **client_fields(request, _SAMPLERS)}
        body |= {"prompt": opening, "cache_prompt": not self.deterministic}
        if on_delta and request.n == 1:
            return [await heard(server, body, on_delta)]
        if self.deterministic or request.n == 1:
            return [
                await server.post("/completion", {**body, "seed": _seed(request.params, i)}, Drawn)
                for i in range(request.n)
            ]
        return await server.post("/completion", {**body, "n": request.n}, list[Drawn])

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        """Of the tokens that `text` has by itself, after the prompt; one short call for each."""
        server = await self._server()
        opening = await self._opening(server, Request(prompt=prompt))
        num_places = await server.turns.take(1)
        try:
            return await text_logprobs(server, opening, _sanitised(text))
        finally:
            server.turns.give_back(num_places)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._live.close)

    async def _opening(self, server: LlamaServer, request: Request) -> str:
        """What the model reads: the turns in its own chat template, and the prefix of its answer."""
        body = {"messages": [_turn(m) for m in request.prompt.messages]}
        known, key = self._live.openings, msgspec.json.encode(body)
        if key not in known:
            known[key] = (await server.post("/apply-template", body, _Templated)).prompt
            if len(known) > _NUM_OPENINGS:
                del known[next(iter(known))]
        return known[key] + _sanitised(request.prefix)

    async def _server(self) -> LlamaServer:
        server = self._live.server or await asyncio.to_thread(self._live.start, self)
        if server.is_closed:
            raise EngineError(f"{self.name} is closed")
        return server

    def config(self) -> ServerConfig:
        """What llama.cpp is started with. Raises `InputError` where the file is no GGUF."""
        path = (
            Path(self.model)
            if self.model
            else Path(str(resources.files("nbest") / "data" / "nbest-mini.gguf"))
        )
        trained = read_context_length(path)
        spare = self.spare if self.spare is not None else self.slots if is_small(path) else 0
        context = self.context or min(trained or NUM_CONTEXT_DEFAULT, NUM_CONTEXT_DEFAULT)
        return ServerConfig(
            path=path,
            slots=1 if self.deterministic else self.slots,
            spare=0 if self.deterministic else spare,
            context=context,
            threads=self.threads,
            gpu_layers=self.gpu_layers,
        )


class _Live:
    """What an engine holds once it runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.server: LlamaServer | None = None
        self.openings: dict[bytes, str] = {}
        """Prompts in the chat template: each step of a search has the same one."""

    def start(self, engine: LlamaCpp) -> LlamaServer:
        with self._lock:
            if self.server is None:
                self.server = LlamaServer(engine.config())
            return self.server

    def close(self) -> None:
        with self._lock:
            if self.server is not None:
                self.server.close()


class _Templated(msgspec.Struct):
    prompt: str


_SAMPLERS = ["temperature", "min_p", "top_k", "top_p"]


def _body(p: SamplingParams) -> dict[str, Any]:
    return {
        "n_predict": p.max_tokens,
        "temperature": p.temperature,
        "top_k": p.top_k,
        "top_p": p.top_p,
        "min_p": p.min_p,
        "samplers": _SAMPLERS,
        "seed": _seed(p, 0),
        "stop": [_sanitised(s) for s in p.stop if s],
        "n_probs": 0 if p.logprobs is None else max(1, p.logprobs),
        "return_tokens": p.logprobs is not None,
        "response_fields": FIELDS,
    }


def _seed(p: SamplingParams, i: int) -> int:
    """Of draw i, in 32 bits; the largest number means a random one to llama.cpp."""
    return -1 if p.seed is None else (p.seed + i) % (2**32 - 1)


def _turn(message: Message) -> Mapping[str, str]:
    return {"role": message.role, "content": _sanitised(message.content)}


def _sanitised(text: str) -> str:
    """Lone surrogates have no UTF-8: U+FFFD in their place; pairs become their character."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
