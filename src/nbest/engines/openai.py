"""Any OpenAI-compatible server: vLLM, SGLang, llama.cpp, TGI, hosted APIs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from rapidfuzz import process

from nbest import wire
from nbest.engines.dialect import SERVERS, Dialect, refusals, without
from nbest.engines.parts import failed, part
from nbest.engines.upstream import RefusalError, Upstream
from nbest.errors import CapabilityError, EngineError, EngineHttpError, EngineProtocolError, InputError
from nbest.protocols import Capabilities
from nbest.types import Completion, Json, Logprobs, Message, Prompt, Request, SamplingParams, replace

_CLIENT_FAULTS = frozenset({400, 422, 501})
_NO_SUCH_PLACE = frozenset({404, 405, 501})
_MOST_SHOWN = 8
_PROBE = "violet 42, amber 17, cobalt 93"
"""A prefix that no model repeats in one token by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAI:
    """A server that speaks the OpenAI protocol; what it cannot do is learnt once and worked around.

    `openai:http://localhost:8000/v1`, or `openai(url="…", model="…", key_env="MY_KEY")`. Refused fields
    (min_p, seed, …) are left out with one warning; draws beyond what `n` gives come from more calls.
    An instance belongs to one event loop at a time; `aclose` it before another loop uses it.
    """

    url: str
    """Base of the API, such as http://localhost:8000/v1; a bare host gets /v1."""
    model: str | None = None
    """None: the one model that the server serves."""
    key_env: str | None = None
    """Environment variable with the API key. None: OPENAI_API_KEY, for OpenAI's own host and the one in
    OPENAI_BASE_URL only: a key goes nowhere that it was not meant for."""
    timeout_s: float = 600.0
    """Of one call, from connecting to the last byte."""
    mode: Literal["chat", "completions"] = "chat"
    """completions: raw text to /completions, for base models."""
    extra: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """More body fields, such as {"chat_template_kwargs": {"enable_thinking": false}}."""
    _live: _Live = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be more than 0, got {self.timeout_s:g}")
        upstream = Upstream(self.url, key_env=self.key_env, timeout_s=self.timeout_s)
        object.__setattr__(self, "_live", _Live(upstream=upstream, model=self.model))

    @property
    def name(self) -> str:
        """`openai/MODEL@HOST`; without the model before a server that chooses it was asked."""
        model = f"/{self._live.model}" if self._live.model else ""
        own = [self.mode, dict(self.extra)] if self.extra or self.mode != "chat" else None
        digest = f"+{hashlib.sha256(msgspec.json.encode(own, order='sorted')).hexdigest()[:8]}" if own else ""
        return f"openai{model}@{self._live.upstream.host}{digest}"

    async def capabilities(self) -> Capabilities:
        """Asks the server for its models once, however many callers there are.

        `prefix`, `min_p`, `seed` and `logprobs` hold until a call finds otherwise. Raises `InputError`
        for a model that is not served, with the nearest name, `UnreachableError`, or `EngineError`.
        """
        return (self._live.dialect or await self._live.met(self._meet)).capabilities()

    async def generate(self, request: Request) -> Sequence[Completion]:
        """`request.n` completions in order, or fewer from a server that has just shown that it ignores n.

        Raises `EngineError`, and `CapabilityError` for a prefix that the server does not continue.
        """
        dialect = self._live.dialect or await self._live.met(self._meet)
        if request.prefix and self.mode == "chat" and (dialect.continues is None or dialect.echoes is None):
            await self._live.continued(self._learn_continuation)
        if request.prefix and self.mode == "chat" and not dialect.continues:
            raise CapabilityError(
                f"{self._live.upstream.host} answers anew instead of continuing a prefix: use a server that"
                ' continues (vLLM, llama.cpp), or  mode="completions"  with a base model'
            )
        return await self._draw(request, dialect)

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        """Log-probabilities of the tokens of `text` as the answer; vLLM only. One prefill, no draw.

        Raises `CapabilityError` for other servers.
        """
        dialect = self._live.dialect or await self._live.met(self._meet)
        if dialect.server != "vllm":
            raise CapabilityError(
                f"{self._live.upstream.host} does not score given texts: use vLLM or the llamacpp engine"
            )
        found = await (self._score_chat if self.mode == "chat" else self._score_text)(prompt, text, dialect)
        if found is None:
            raise CapabilityError(f"{self._live.upstream.host} returned no log-probabilities of the prompt")
        return found

    async def aclose(self) -> None:
        """Closes the connections. May be called twice."""
        self._live.met.cancel()
        self._live.continued.cancel()
        await self._live.upstream.aclose()

    # ── drawing ─────────────────────────────────────────────────────────────────────────────────────

    async def _draw(self, request: Request, dialect: Dialect) -> list[Completion]:
        if dialect.max_n is not None and request.n > dialect.max_n:
            return await self._draw_parts(request, dialect.max_n, dialect)
        raw = await self._send(request, dialect)
        if raw is None:
            return await self._draw(request, dialect)
        drawn = wire.completions(raw, request.params)[: request.n]
        if len(drawn) < request.n:
            dialect.learn_max_n(len(drawn), self._live.upstream.host)
        if request.params.logprobs is not None and not any(c.logprobs for c in drawn):
            dialect.learn_no_logprobs(self._live.upstream.host)
        if request.prefix and dialect.echoes:
            drawn = [replace(c, text=c.text.removeprefix(request.prefix)) for c in drawn]
        return drawn

    async def _draw_parts(self, request: Request, size: int, dialect: Dialect) -> list[Completion]:
        """Calls of `size` draws each, at once. Raises only where every one fails."""
        starts = range(0, request.n, size)
        parts = [part(request, i, min(size, request.n - i)) for i in starts]
        results = await asyncio.gather(*(self._draw_all(p, dialect) for p in parts), return_exceptions=True)
        failures = [r for r in results if isinstance(r, BaseException)]
        hard = next((f for f in failures if not isinstance(f, EngineError)), None)
        if hard or len(failures) == len(results):
            raise hard or failures[0]
        drawn: list[Completion] = []
        for ask, result in zip(parts, results, strict=True):
            is_failed = isinstance(result, BaseException)
            drawn += [failed(str(result))] * ask.n if is_failed else result
        return drawn

    async def _draw_all(self, request: Request, dialect: Dialect) -> list[Completion]:
        """`_draw`, again for what a server that ignores n left out."""
        drawn = await self._draw(request, dialect)
        while len(drawn) < request.n:
            drawn += await self._draw(part(request, len(drawn), request.n - len(drawn)), dialect)
        return drawn

    async def _send(self, request: Request, dialect: Dialect) -> bytes | None:
        """The reply, with refused fields left out; None where n was refused (and `max_n` is known now)."""
        host, is_chat = self._live.upstream.host, self.mode == "chat"
        body = dialect.body(request, self._live.model or "", is_chat=is_chat) | dict(self.extra)
        dropped: set[str] = set()
        while True:
            try:
                raw = await self._post(
                    "/chat/completions" if is_chat else "/completions", body, request.prompt
                )
            except RefusalError as e:
                if e.status not in _CLIENT_FAULTS:
                    raise
                found, limit = refusals(e.body, body)
                found -= self.extra.keys()
                if "n" in found:
                    dialect.learn_max_n(limit if limit and limit < request.n else 1, host)
                    return None
                if found == {"top_logprobs"} and limit and limit < body["top_logprobs"]:
                    dialect.max_logprobs = body["top_logprobs"] = limit
                    continue
                if not found:
                    raise
                dropped |= found
                body = without(body, found)
            else:
                dialect.learn_refused(dropped, host)
                return raw

    async def _post(self, path: str, body: Mapping[str, Json], prompt: Prompt) -> bytes:
        try:
            encoded = msgspec.json.encode(body)
        except UnicodeEncodeError:
            raise EngineError(
                f"prompt {prompt.id!r} is not valid Unicode (it holds half a surrogate pair)"
            ) from None
        return await self._live.upstream.post(path, encoded)

    # ── getting to know the server ──────────────────────────────────────────────────────────────────

    async def _meet(self) -> Dialect:
        upstream = self._live.upstream
        try:
            served = wire.models(await upstream.get("/models"))
        except EngineHttpError as e:
            if e.status not in _NO_SUCH_PLACE:
                raise
            if self.model is None:
                raise InputError(
                    f"{upstream.url} lists no models ({e.status}): name one with  model=…"
                ) from None
            served = {self.model: None}
        except EngineProtocolError as e:
            raise EngineProtocolError(f"{upstream.url}/models: {e}; is url the API's base (…/v1)?") from None
        model = _choose(self.model, served, upstream.url)
        server = SERVERS.get((served[model] or "").lower())
        dialect = Dialect(server=server)
        if server:
            dialect.continues = True
        if server in {"vllm", "sglang"}:
            dialect.echoes = False
        self._live.model, self._live.dialect = model, dialect
        return dialect

    async def _learn_continuation(self) -> Dialect:
        """By prompt lengths, which need no able model: a turn that is closed and followed by a new
        header is longer than its text; and by whether a reply of one token begins with the prefix."""
        dialect = self._live.dialect or await self._live.met(self._meet)
        prefixes = [_PROBE] if dialect.continues else ["", _PROBE, f"{_PROBE}\n{_PROBE}"]
        ask = Prompt(id="nbest-probe", messages=(Message(role="user", content="Colours and numbers?"),))
        params = SamplingParams(temperature=0.0, max_tokens=1)
        raws = [
            await self._send(Request(prompt=ask, prefix=p, params=params), dialect) or b"" for p in prefixes
        ]
        at = len(prefixes) - 2 if len(prefixes) > 1 else 0
        dialect.echoes = wire.completions(raws[at], params)[0].text.startswith(_PROBE)
        if dialect.continues is None:
            none, one, two = (wire.prompt_tokens(raw) for raw in raws)
            dialect.continues = False
            if none is not None and one is not None and two is not None:
                dialect.continues = one - none < two - one
        return dialect

    # ── scoring given text ──────────────────────────────────────────────────────────────────────────

    async def _score_chat(self, prompt: Prompt, text: str, dialect: Dialect) -> Logprobs | None:
        params = SamplingParams(temperature=0.0, max_tokens=1)
        bare, full = (
            dialect.body(
                Request(prompt=prompt, prefix=p, params=params), self._live.model or "", is_chat=True
            )
            | dict(self.extra)
            for p in ("", text)
        )
        raws = await asyncio.gather(
            self._post("/chat/completions", bare, prompt),
            self._post("/chat/completions", full | {"prompt_logprobs": 0}, prompt),
        )
        num_before, found = wire.prompt_tokens(raws[0]), wire.prompt_logprobs(raws[1])
        if num_before is None or found is None:
            return None
        start = num_before - 1  # the first token of a prompt has no log-probability
        return Logprobs(tokens=found.tokens[start:], values=found.values[start:])

    async def _score_text(self, prompt: Prompt, text: str, dialect: Dialect) -> Logprobs | None:
        params = SamplingParams(temperature=0.0, max_tokens=1, logprobs=0)
        request = Request(prompt=prompt, prefix=text, params=params)
        body = dialect.body(request, self._live.model or "", is_chat=False) | {**self.extra, "echo": True}
        start = len(wire.raw_text(prompt))
        return wire.echoed_logprobs(await self._post("/completions", body, prompt), start, start + len(text))


class _Once:
    """One run of an async function for all who ask meanwhile; a failure reaches all, and is forgotten."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Dialect] | None = None

    async def __call__(self, ask: Callable[[], Coroutine[Any, Any, Dialect]]) -> Dialect:
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.create_task(ask())
            self._task.add_done_callback(lambda t: t.cancelled() or t.exception())
        return await asyncio.shield(self._task)

    def cancel(self) -> None:
        if self._task is not None and not self._task.get_loop().is_closed():
            self._task.cancel()


@dataclass(slots=True, eq=False, repr=False)
class _Live:
    """What changes behind a frozen `OpenAI`."""

    upstream: Upstream
    model: str | None
    dialect: Dialect | None = None
    met: _Once = field(default_factory=_Once)
    continued: _Once = field(default_factory=_Once)


def _choose(model: str | None, served: Mapping[str, Any], url: str) -> str:
    """The model to ask. Raises `InputError` with what is served."""
    if model is not None and model in served:
        return model
    shown = ", ".join(list(served)[:_MOST_SHOWN]) + (" …" if len(served) > _MOST_SHOWN else "")
    if model is not None:
        near = process.extractOne(model, list(served), score_cutoff=50)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise InputError(f"{url} does not serve {model!r}{hint} Served: {shown or 'nothing'}")
    if len(served) != 1:
        raise InputError(
            f"{url} serves {len(served)} models: name one with  model=…  of: {shown or 'nothing'}"
        )
    return next(iter(served))
