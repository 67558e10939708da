"""Any OpenAI-compatible server: vLLM, SGLang, llama.cpp, TGI, hosted APIs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import ClassVar

import msgspec

from nbest.accounting.open_calls import OpenCall, Pace, open_call, wants_precision
from nbest.engines.openai.adaptation import PoolRefused
from nbest.engines.openai.dialect import Dialect
from nbest.engines.openai.reply_logprobs import echoed_logprobs, prompt_logprobs
from nbest.engines.openai.response import completions, field_of_reasoning, has_logprobs, has_text
from nbest.engines.openai.server import Mode, OpenAIServer
from nbest.engines.openai.server_reply import ServerReply, parse_reply
from nbest.engines.openai.stream import CompletionStream
from nbest.engines.openai.tool_calls import call_ids
from nbest.engines.openai.usage import token_counts
from nbest.engines.prefix import PrefixStripper
from nbest.errors import CapabilityError, EngineError, EngineHttpError
from nbest.http_client import HttpClient
from nbest.protocols import Capabilities, OnDelta, ServerEnv, ServerFields, ServerModel, ServerUrl
from nbest.text.raw_prompt import raw_text
from nbest.types import Completion, Json, Logprobs, Prompt, Request, SamplingParams, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAI:
    """An OpenAI-compatible server. What it cannot do is learnt once and worked around.

    `openai:http://localhost:8000/v1`, or `openai(url="…", model="…", key_env="MY_KEY")`. Refused fields
    (min_p, seed, temperature, …) are left out with one warning, unless a client of the gateway set them;
    draws beyond what `n` gives come from more calls. An instance belongs to one event loop at a time; call
    `aclose` before another loop uses it.
    """

    is_open_to_clients: ClassVar[bool] = False

    url: ServerUrl
    """Base of the API, such as http://localhost:8000/v1; a bare host gets /v1."""
    model: ServerModel | None = None
    """None: the one model that the server serves."""
    key_env: ServerEnv | None = None
    """Environment variable with the API key. None: OPENAI_API_KEY, for OpenAI's own host and the one in
    OPENAI_BASE_URL only: a key goes nowhere that it was not meant for."""
    timeout_s: float = 600.0
    """Of one call, from connecting to the last byte."""
    mode: Mode = "chat"
    """completions: raw text to /completions, for base models."""
    extra: ServerFields = field(default_factory=dict[str, Json])
    """More body fields, such as {"chat_template_kwargs": {"enable_thinking": false}}."""
    _server: OpenAIServer = field(init=False, repr=False, compare=False)
    _pace: Pace = field(init=False, repr=False, compare=False, default_factory=Pace)

    def __post_init__(self) -> None:
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be more than 0, got {self.timeout_s:g}")
        http = HttpClient(self.url, key_env=self.key_env, timeout_s=self.timeout_s)
        server = OpenAIServer(http=http, model=self.model, mode=self.mode, extra=self.extra)
        object.__setattr__(self, "_server", server)

    @property
    def name(self) -> str:
        """`openai/MODEL@HOST`, and a digest of `mode` and `extra` where they are set.

        Without the model until `capabilities` has found it; a path is shown by its last part.
        """
        model = self._server.model or ""
        if model.startswith("/"):
            model = PurePath(model).stem
        name = f"openai/{model}" if model else "openai"
        name = f"{name}@{self._server.host}"
        if not self.extra and self.mode == "chat":
            return name
        settings = msgspec.json.encode([self.mode, self.extra], order="sorted")
        return f"{name}+{hashlib.sha256(settings).hexdigest()[:8]}"

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

        One draw is streamed to `on_delta`. Raises `EngineError`, and `CapabilityError` for a prefix that
        the server does not continue.
        """
        if request.prefix and not await self._server.can_continue():
            raise CapabilityError(
                f"{self._server.host} answers anew instead of continuing a prefix: use a server that continues"
                ' (vLLM, llama.cpp), or  mode="completions"  with a base model'
            )
        dialect = await self._server.dialect()
        if on_delta is None or request.n > 1:
            return await self._draw(request, dialect)
        stripper = PrefixStripper(on_delta, echo=request.prefix if dialect.echoes else "")
        drawn = await self._draw(request, dialect, stripper)
        if drawn[0].finish != "refused":  # its text is no answer
            stripper.emit_rest(drawn[0])
        return drawn

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        """Log-probabilities of the tokens of `text` as the answer; vLLM only. One prefill, no draw.

        Raises `CapabilityError` for other servers.
        """
        if (await self._server.dialect()).server != "vllm":
            raise CapabilityError(
                f"{self._server.host} does not score given texts: use vLLM or the llamacpp engine"
            )
        score = self._score_chat if self.mode == "chat" else self._score_text
        found = await score(prompt, text)
        if found is None:
            raise CapabilityError(f"{self._server.host} returned no log-probabilities of the prompt")
        return found

    async def aclose(self) -> None:
        """Closes the connections. May be called twice."""
        await self._server.aclose()

    async def _draw(
        self, request: Request, dialect: Dialect, on_delta: OnDelta | None = None
    ) -> list[Completion]:
        """One call, or several where a call gives fewer draws than `request.n`."""
        max_n = dialect.max_n(request)
        if max_n is not None and request.n > max_n:
            return await self._draw_parts(request, max_n, dialect)
        with open_call(request, self._pace) as call:
            reply = await self._reply(request, dialect, on_delta, call)
        if isinstance(reply, PoolRefused):
            return await self._draw_refused(request, reply.size, dialect)

        drawn = completions(reply, request.params, used_ids=call_ids(request.prompt))[: request.n]
        self._pace.learn(call.seconds, drawn, call.num_events)
        self._learn(request, dialect, reply, num_drawn=len(drawn))
        if request.prefix and dialect.echoes:
            drawn = [replace(c, text=c.text.removeprefix(request.prefix)) for c in drawn]
        return drawn

    async def _reply(
        self, request: Request, dialect: Dialect, on_delta: OnDelta | None, call: OpenCall
    ) -> ServerReply | PoolRefused:
        """The reply to one call, streamed or whole; `PoolRefused` where it is for too many draws.

        A draw that is likely to be cut is streamed, so that its tokens can be counted.
        """
        stream: CompletionStream | None = None
        is_counted = request.n == 1 and wants_precision()
        if on_delta is not None or is_counted or (request.n > 1 and dialect.streams_pools):
            used_ids = call_ids(request.prompt)
            stream = CompletionStream(on_delta, n=request.n, used_ids=used_ids, call=call)
        raw = await self._server.send(request, stream)
        if isinstance(raw, PoolRefused):
            return raw
        if stream is not None and not raw:
            return stream.reply()
        return parse_reply(raw)

    def _learn(self, request: Request, dialect: Dialect, reply: ServerReply, *, num_drawn: int) -> None:
        """What a good reply shows of the server."""
        if dialect.reasoning_field is None:
            dialect.reasoning_field = field_of_reasoning(reply)
        facts = dialect.facts.of(request)
        if num_drawn < request.n:
            dialect.learn_max_n(request, num_drawn, self._server.host)
        else:
            facts.learn_num_drawn(num_drawn)
        if request.params.logprobs is None:
            return
        if has_logprobs(reply):
            facts.num_alternatives = max(facts.num_alternatives, request.params.logprobs)
        elif has_text(reply):
            dialect.learn_no_logprobs(request, self._server.host)

    async def _draw_refused(self, request: Request, size: int, dialect: Dialect) -> list[Completion]:
        """In calls of `size` draws, which is remembered once the first of them has gone through."""
        rest = request.part(size, request.n - size)
        try:
            drawn = await self._draw_all(request.part(0, size), dialect)
        except EngineError as e:
            if isinstance(e, EngineHttpError) and not e.is_transient:
                raise  # it was not about the number of draws
            drawn = [Completion.failed(str(e))] * size
        else:
            dialect.learn_max_n(request, size, self._server.host)
        return drawn + await self._draw_parts(rest, size, dialect)

    async def _draw_parts(self, request: Request, size: int, dialect: Dialect) -> list[Completion]:
        """Calls of `size` draws each, at once. Raises only where every one fails."""
        parts = [request.part(i, min(size, request.n - i)) for i in range(0, request.n, size)]
        results = await asyncio.gather(*(self._draw_all(p, dialect) for p in parts), return_exceptions=True)
        failures = [r for r in results if isinstance(r, BaseException)]
        unexpected = [f for f in failures if not isinstance(f, EngineError)]
        if unexpected or len(failures) == len(results):
            raise (unexpected or failures)[0]

        drawn: list[Completion] = []
        for part, result in zip(parts, results, strict=True):
            if isinstance(result, BaseException):
                drawn += [Completion.failed(str(result))] * part.n
            else:
                drawn += result
        return drawn

    async def _draw_all(self, request: Request, dialect: Dialect) -> list[Completion]:
        """`_draw`, again for what a server that ignores n left out."""
        drawn = await self._draw(request, dialect)
        while len(drawn) < request.n:
            drawn += await self._draw(request.part(len(drawn), request.n - len(drawn)), dialect)
        return drawn

    async def _score_chat(self, prompt: Prompt, text: str) -> Logprobs | None:
        """From vLLM's `prompt_logprobs`; a second call counts the tokens before `text`."""
        params = SamplingParams(temperature=0.0, max_tokens=1)
        without_text = await self._server.body(Request(prompt=prompt, params=params))
        with_text = await self._server.body(Request(prompt=prompt, prefix=text, params=params))
        raws = await asyncio.gather(
            self._server.post(without_text, prompt),
            self._server.post({**with_text, "prompt_logprobs": 0}, prompt),
        )
        num_before = token_counts(parse_reply(raws[0]).usage).prompt
        if num_before is None:
            return None
        return prompt_logprobs(parse_reply(raws[1]), start=num_before)

    async def _score_text(self, prompt: Prompt, text: str) -> Logprobs | None:
        """From the echo of /completions."""
        params = SamplingParams(temperature=0.0, max_tokens=1, logprobs=0)
        body = await self._server.body(Request(prompt=prompt, prefix=text, params=params))
        start = len(raw_text(prompt))
        raw = await self._server.post({**body, "echo": True}, prompt)
        return echoed_logprobs(parse_reply(raw), start, start + len(text))
