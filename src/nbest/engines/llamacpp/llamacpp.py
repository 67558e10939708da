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
from nbest.accounting.open_calls import OpenCall, Pace, open_call, wants_precision
from nbest.engines.llamacpp.deltas import streamed
from nbest.engines.llamacpp.logprobs import FIELDS, Drawn, drawn_logprobs, text_logprobs
from nbest.engines.llamacpp.params import client_fields
from nbest.engines.llamacpp.runtime import LlamaServer, ServerConfig, is_small
from nbest.engines.surrogates import well_formed
from nbest.errors import EngineError
from nbest.protocols import Capabilities, OnDelta, ServerPath
from nbest.types import Completion, Logprobs, Message, Prompt, Request, SamplingParams, replace

NUM_CONTEXT_DEFAULT = 4096
"""The most tokens per slot where `context` is None: memory grows with slots x context."""

_MAX_TEMPLATED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCpp:
    """A GGUF model in this process. Loads at first use; safe to call from many tasks at once.

    Temperature is applied before min-p, top-k and top-p, as in vLLM, so that both sample from the same
    distribution. A text that reaches the end of its slot's context is truncated, with finish "length".
    Raises `InputError` at first use where `model` is missing or no GGUF.
    """

    is_open_to_clients: ClassVar[bool] = False

    model: ServerPath | None = None
    """Path of a GGUF file; None is the tiny model that is packaged with nbest."""
    slots: int = 16
    """Sequences drawn at once, over all prompts; also the largest `n` of one call."""
    spare: int | None = None
    """Further slots that cache texts to be continued, so that a search need not compute its prefixes again.
    Each takes as much memory as a slot; None: as many as `slots` for a model file below 256 MB, else none."""
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
        if self.model is None:
            return "llamacpp/nbest-mini"
        return f"llamacpp/{Path(self.model).stem}"

    async def capabilities(self) -> Capabilities:
        await self._server()
        return Capabilities(max_n=self.slots, scores_text=True, names_stop=True, counts_cut=True)

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        """`request.n` draws. The prompt is computed once for those that run at the same time, and charged to the first."""
        if not 1 <= request.n <= self.slots:
            raise EngineError(f"n must be between 1 and {self.slots} (slots=), got {request.n}")
        server = await self._server()
        text = await self._prompt_text(server, request)
        is_continued = bool(request.prefix) or request.role != "policy"
        return await self._draw(server, text, request, is_continued=is_continued, on_delta=on_delta)

    async def _draw(
        self,
        server: LlamaServer,
        prompt_text: str,
        request: Request,
        *,
        is_continued: bool,
        on_delta: OnDelta | None = None,
    ) -> list[Completion]:
        """Waits for slots, and draws.

        A pool that begins may be drawn in two parts, so that half of its slots need not wait, empty, for the
        rest. One that continues a text is drawn at once: one slot holds its prefix.
        """
        n = request.n
        if self.deterministic:
            n = 1
        least = n
        if not is_continued:
            least = ceil(n / 2)
        num_slots = await server.slots.take(n, least=least, is_continued=is_continued)
        rest: asyncio.Future[list[Completion]] | None = None
        try:
            if num_slots < n:
                later = request.part(num_slots, n - num_slots)
                rest = asyncio.ensure_future(self._draw(server, prompt_text, later, is_continued=True))
                request = request.part(0, num_slots)
            drawn = await self._draw_in_slots(server, prompt_text, request, on_delta)
        except BaseException:
            if rest:
                rest.cancel()
                await asyncio.gather(rest, return_exceptions=True)
            raise
        finally:
            server.slots.give_back(num_slots)
        if rest is None:
            return drawn
        return [*drawn, *await rest]

    async def _draw_in_slots(
        self, server: LlamaServer, prompt_text: str, request: Request, on_delta: OnDelta | None
    ) -> list[Completion]:
        pace = self._live.pace
        with open_call(request, pace) as call:
            drawn = await self._choices(server, prompt_text, request, on_delta, call)
            completions = [
                Completion(
                    text=d.content,
                    finish="length" if d.stop_type == "limit" else "stop",
                    usage=d.usage(is_first=i == 0 or self.deterministic),
                    stopped_by=d.stopping_word or None,
                )
                for i, d in enumerate(drawn)
            ]
            pace.learn(call.seconds, completions, 0)
            num_top = request.params.logprobs
            if num_top is None:
                return completions

            call.num_drawn = sum(d.tokens_predicted for d in drawn)
            call.num_prompt, call.num_cached = drawn[0].tokens_evaluated, drawn[0].num_cached
            return [
                await _with_logprobs(server, prompt_text, c, d, num_top)
                for c, d in zip(completions, drawn, strict=True)
            ]

    async def _choices(
        self,
        server: LlamaServer,
        prompt_text: str,
        request: Request,
        on_delta: OnDelta | None,
        call: OpenCall,
    ) -> list[Drawn]:
        """`request.n` choices from llama.cpp: of one call, or of one call each where they must not depend on load."""
        body = {**_body(request.params), **client_fields(request, _SAMPLERS)}
        body |= {"prompt": prompt_text, "cache_prompt": not self.deterministic}
        if request.n == 1 and (on_delta or wants_precision()):
            return [await streamed(server, body, on_delta, call)]
        if self.deterministic or request.n == 1:
            return [
                await server.post("/completion", {**body, "seed": _seed(request.params, i)}, Drawn)
                for i in range(request.n)
            ]
        return await server.post("/completion", {**body, "n": request.n}, list[Drawn])

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        """Of the tokens that `text` has by itself, after the prompt; one short call for each."""
        server = await self._server()
        prompt_text = await self._prompt_text(server, Request(prompt=prompt))
        num_slots = await server.slots.take(1)
        try:
            return await text_logprobs(server, prompt_text, well_formed(text))
        finally:
            server.slots.give_back(num_slots)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._live.close)

    async def _prompt_text(self, server: LlamaServer, request: Request) -> str:
        """The messages in the model's own chat template, and the prefix of its answer."""
        body = {"messages": [_turn(m) for m in request.prompt.messages]}
        templated = self._live.templated
        key = msgspec.json.encode(body)
        if key not in templated:
            templated[key] = (await server.post("/apply-template", body, _Templated)).prompt
            if len(templated) > _MAX_TEMPLATED:
                del templated[next(iter(templated))]
        return templated[key] + well_formed(request.prefix)

    async def _server(self) -> LlamaServer:
        server = self._live.server or await asyncio.to_thread(self._live.start, self)
        if server.is_closed:
            raise EngineError(f"{self.name} is closed")
        return server

    def config(self) -> ServerConfig:
        """What llama.cpp is started with. Raises `InputError` where the file is no GGUF."""
        packaged = resources.files("nbest") / "data" / "nbest-mini.gguf"
        path = Path(self.model or str(packaged))
        trained = read_context_length(path) or NUM_CONTEXT_DEFAULT
        context = self.context or min(trained, NUM_CONTEXT_DEFAULT)
        spare = self.spare or 0
        if self.spare is None and is_small(path):
            spare = self.slots
        slots = self.slots
        if self.deterministic:
            slots, spare = 1, 0
        return ServerConfig(
            path=path,
            slots=slots,
            spare=spare,
            context=context,
            threads=self.threads,
            gpu_layers=self.gpu_layers,
        )


async def _with_logprobs(
    server: LlamaServer, prompt_text: str, completion: Completion, drawn: Drawn, num_top: int
) -> Completion:
    """The completion with its log-probabilities, and with what further calls for them cost."""
    logprobs, hidden = await drawn_logprobs(server, prompt_text, drawn, num_top)
    return replace(completion, logprobs=logprobs, hidden=hidden)


class _Live:
    """What an engine holds once it runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.server: LlamaServer | None = None
        self.pace = Pace()
        self.templated: dict[bytes, str] = {}
        """Prompts in the chat template by their messages: each step of a search has the same one."""

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
    num_probs = 0
    if p.logprobs is not None:
        num_probs = max(1, p.logprobs)
    return {
        "n_predict": p.max_tokens,
        "temperature": p.temperature,
        "top_k": p.top_k,
        "top_p": p.top_p,
        "min_p": p.min_p,
        "samplers": _SAMPLERS,
        "seed": _seed(p, 0),
        "stop": [well_formed(s) for s in p.stop if s],
        "n_probs": num_probs,
        "return_tokens": p.logprobs is not None,
        "response_fields": FIELDS,
    }


def _seed(p: SamplingParams, i: int) -> int:
    """Of draw i, in 32 bits; the largest number means a random one to llama.cpp."""
    if p.seed is None:
        return -1
    return (p.seed + i) % (2**32 - 1)


def _turn(message: Message) -> Mapping[str, str]:
    return {"role": message.role, "content": well_formed(message.content)}
