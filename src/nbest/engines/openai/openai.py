"""Any OpenAI-compatible server: vLLM, SGLang, llama.cpp, TGI, hosted APIs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import ClassVar

import msgspec

from nbest.engines.openai.dialect import Dialect
from nbest.engines.openai.request import raw_text
from nbest.engines.openai.response import (
    completions,
    echoed_logprobs,
    prompt_logprobs,
    prompt_tokens,
    thoughts_name,
)
from nbest.engines.openai.server import Mode, OpenAIServer
from nbest.engines.openai.stream import Chunks
from nbest.engines.prefix import PrefixStripper
from nbest.errors import CapabilityError, EngineError
from nbest.http_client import HttpClient
from nbest.protocols import Capabilities, OnDelta, ServerEnv, ServerUrl
from nbest.types import Completion, Json, Logprobs, Prompt, Request, SamplingParams, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAI:
    """A server that speaks the OpenAI protocol; what it cannot do is learnt once and worked around.

    `openai:http://localhost:8000/v1`, or `openai(url="…", model="…", key_env="MY_KEY")`. Refused fields
    (min_p, seed, …) are left out with one warning, unless a client has sent them; draws beyond what `n` gives come from more calls.
    An instance belongs to one event loop at a time; `aclose` it before another loop uses it.
    """

    is_open_to_clients: ClassVar[bool] = False

    url: ServerUrl
    """Base of the API, such as http://localhost:8000/v1; a bare host gets /v1."""
    model: str | None = None
    """None: the one model that the server serves."""
    key_env: ServerEnv | None = None
    """Environment variable with the API key. None: OPENAI_API_KEY, for OpenAI's own host and the one in
    OPENAI_BASE_URL only: a key goes nowhere that it was not meant for."""
    timeout_s: float = 600.0
    """Of one call, from connecting to the last byte."""
    mode: Mode = "chat"
    """completions: raw text to /completions, for base models."""
    extra: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """More body fields, such as {"chat_template_kwargs": {"enable_thinking": false}}."""
    _server: OpenAIServer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be more than 0, got {self.timeout_s:g}")
        http = HttpClient(self.url, key_env=self.key_env, timeout_s=self.timeout_s)
        server = OpenAIServer(http=http, model=self.model, mode=self.mode, extra=self.extra)
        object.__setattr__(self, "_server", server)

    @property
    def name(self) -> str:
        """`openai/MODEL@HOST`, and a digest of `mode` and `extra` where they are set.

        Without the model before a server that chooses it was asked; a path is shown by its last part.
        """
        model = self._server.model or ""
        shown = f"/{PurePath(model).stem if model.startswith('/') else model}" if model else ""
        own = [self.mode, self.extra] if self.extra or self.mode != "chat" else None
        digest = f"+{hashlib.sha256(msgspec.json.encode(own, order='sorted')).hexdigest()[:8]}" if own else ""
        return f"openai{shown}@{self._server.host}{digest}"

    async def capabilities(self) -> Capabilities:
        """Asks the server for its models once, however many callers there are.

        `prefix`, `min_p`, `seed` and `logprobs` hold until a call finds otherwise. Raises `InputError`
        for a model that is not served, with the nearest name, `UnreachableError`, or `EngineError`.
        """
        return (await self._server.dialect()).capabilities()

    async def served(self) -> list[str]:
        """Names of the models at that address. Raises `EngineError`."""
        return await self._server.served()

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        """`request.n` completions in order, or fewer from a server that has just shown that it ignores n.

        Raises `EngineError`, and `CapabilityError` for a prefix that the server does not continue.
        """
        if request.prefix and not await self._server.can_continue():
            raise CapabilityError(
                f"{self._server.host} answers anew instead of continuing a prefix: use a server that continues"
                ' (vLLM, llama.cpp), or  mode="completions"  with a base model'
            )
        dialect = await self._server.dialect()
        if on_delta is None or request.n > 1:
            return await self._draw(request, dialect)
        voice = PrefixStripper(on_delta, echo=request.prefix if dialect.echoes else "")
        drawn = await self._draw(request, dialect, voice)
        if drawn[0].finish != "refused":  # its text is no answer
            voice.say_the_rest(drawn[0])
        return drawn

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        """Log-probabilities of the tokens of `text` as the answer; vLLM only. One prefill, no draw.

        Raises `CapabilityError` for other servers.
        """
        if (await self._server.dialect()).server != "vllm":
            raise CapabilityError(
                f"{self._server.host} does not score given texts: use vLLM or the llamacpp engine"
            )
        found = await (self._score_chat if self.mode == "chat" else self._score_text)(prompt, text)
        if found is None:
            raise CapabilityError(f"{self._server.host} returned no log-probabilities of the prompt")
        return found

    async def aclose(self) -> None:
        """Closes the connections. May be called twice."""
        await self._server.aclose()

    async def _draw(
        self, request: Request, dialect: Dialect, on_delta: OnDelta | None = None
    ) -> list[Completion]:
        if dialect.max_n is not None and request.n > dialect.max_n:
            return await self._draw_parts(request, dialect.max_n, dialect)
        is_streamed = on_delta is not None or (request.n > 1 and dialect.streams_pools)
        chunks = Chunks(on_delta, n=request.n) if is_streamed else None
        raw = await self._server.send(request, chunks)
        if raw is None:
            return await self._draw(request, dialect)
        if chunks and not raw:
            drawn = chunks.completions(request.params)
        else:
            drawn = completions(raw, request.params)[: request.n]
        if dialect.thoughts is None and any(d.reasoning for d in drawn):
            dialect.thoughts = chunks.thoughts_name if chunks and not raw else thoughts_name(raw)
        if len(drawn) < request.n:
            dialect.learn_max_n(len(drawn), self._server.host)
        if request.params.logprobs is not None and not any(c.logprobs for c in drawn):
            dialect.learn_no_logprobs(self._server.host)
        if request.prefix and dialect.echoes:
            drawn = [replace(c, text=c.text.removeprefix(request.prefix)) for c in drawn]
        return drawn

    async def _draw_parts(self, request: Request, size: int, dialect: Dialect) -> list[Completion]:
        """Calls of `size` draws each, at once. Raises only where every one fails."""
        parts = [request.part(i, min(size, request.n - i)) for i in range(0, request.n, size)]
        results = await asyncio.gather(*(self._draw_all(p, dialect) for p in parts), return_exceptions=True)
        failures = [r for r in results if isinstance(r, BaseException)]
        unexpected = [f for f in failures if not isinstance(f, EngineError)]
        if unexpected or len(failures) == len(results):
            raise (unexpected or failures)[0]
        drawn: list[Completion] = []
        for asked, result in zip(parts, results, strict=True):
            is_failed = isinstance(result, BaseException)
            drawn += [Completion.failed(str(result))] * asked.n if is_failed else result
        return drawn

    async def _draw_all(self, request: Request, dialect: Dialect) -> list[Completion]:
        """`_draw`, again for what a server that ignores n left out."""
        drawn = await self._draw(request, dialect)
        while len(drawn) < request.n:
            drawn += await self._draw(request.part(len(drawn), request.n - len(drawn)), dialect)
        return drawn

    async def _score_chat(self, prompt: Prompt, text: str) -> Logprobs | None:
        params = SamplingParams(temperature=0.0, max_tokens=1)
        bare, full = [
            await self._server.body(Request(prompt=prompt, prefix=p, params=params)) for p in ("", text)
        ]
        raws = await asyncio.gather(
            self._server.post(bare, prompt), self._server.post({**full, "prompt_logprobs": 0}, prompt)
        )
        num_before, found = prompt_tokens(raws[0]), prompt_logprobs(raws[1])
        if num_before is None or found is None:
            return None
        start = num_before - 1  # the first token of a prompt has no log-probability
        return Logprobs(tokens=found.tokens[start:], values=found.values[start:])

    async def _score_text(self, prompt: Prompt, text: str) -> Logprobs | None:
        params = SamplingParams(temperature=0.0, max_tokens=1, logprobs=0)
        body = await self._server.body(Request(prompt=prompt, prefix=text, params=params))
        start = len(raw_text(prompt))
        raw = await self._server.post({**body, "echo": True}, prompt)
        return echoed_logprobs(raw, start, start + len(text))
