"""One OpenAI-compatible server as an engine meets it: asked once what it is, then talked to in its dialect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from nbest.engines.openai.dialect import SERVERS, Dialect, capped, num_alternatives, refusals, without
from nbest.engines.openai.request import own_fields
from nbest.engines.openai.response import completions, models, prompt_tokens
from nbest.engines.openai.stream import Chunks
from nbest.errors import EngineError, EngineHttpError, EngineProtocolError, InputError
from nbest.http_client import HttpClient, UpstreamStatusError
from nbest.suggestions import did_you_mean, listed
from nbest.types import Json, Message, Prompt, Request, SamplingParams

_CLIENT_FAULTS = frozenset({400, 422, 501})
_NO_SUCH_PLACE = frozenset({404, 405, 501})
_MAX_SHOWN = 8
_PROBE = "violet 42, amber 17, cobalt 93"
"""A prefix that no model repeats in one token by chance."""

Mode = Literal["chat", "completions"]


class Once:
    """One run of an async function for all who ask meanwhile; a failure reaches all, and is forgotten."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Dialect] | None = None

    async def __call__(self, ask: Callable[[], Coroutine[Any, Any, Dialect]]) -> Dialect:
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.create_task(ask())
            self._task.add_done_callback(lambda t: t.cancelled() or t.exception())
        return await asyncio.shield(self._task)  # who is cancelled does not take the answer from the others

    def cancel(self) -> None:
        if self._task is not None and not self._task.get_loop().is_closed():
            self._task.cancel()


@dataclass(slots=True, eq=False, repr=False)
class OpenAIServer:
    """What changes behind a frozen engine: connections, the model, and what was learnt."""

    http: HttpClient
    model: str | None
    mode: Mode
    extra: Mapping[str, Json]
    _dialect: Dialect | None = None
    _met: Once = field(default_factory=Once)
    _tried: Once = field(default_factory=Once)

    @property
    def host(self) -> str:
        return self.http.host

    async def dialect(self) -> Dialect:
        """Asks the server for its models, once. Raises `InputError` for a model that is not served."""
        return self._dialect or await self._met(self._meet)

    async def served(self) -> list[str]:
        """Models that the server lists now. Raises `EngineError`."""
        return list(models(await self.http.get("/models")))

    async def can_continue(self) -> bool:
        """Whether the server continues an assistant prefix; tried with up to three calls of one token."""
        dialect = await self.dialect()
        if self.mode == "completions":
            return True
        if dialect.continues is None or dialect.echoes is None:
            await self._tried(self._try_continuation)
        return dialect.continues is True

    async def send(self, request: Request, chunks: Chunks | None = None) -> bytes | None:
        """The reply, with refused fields left out; None where n was refused (and `max_n` is known now).

        With `chunks` it is asked for as a stream, which they take; then the reply is b"".
        """
        dialect, body = await self.dialect(), await self.body(request, is_streamed=chunks is not None)
        own = {*self.extra, *own_fields(request)}
        dropped: set[str] = set()
        while True:
            try:
                raw = await self.post(body, request.prompt, chunks)
            except UpstreamStatusError as e:
                if e.status not in _CLIENT_FAULTS:
                    raise
                if dialect.learn_thoughts_refused(e.body, body):
                    body = dialect.with_thoughts(body)
                    continue
                found, limit = refusals(e.body, body)
                found -= own
                if "n" in found:
                    dialect.learn_max_n(limit if limit and limit < request.n else 1, self.host)
                    return None
                if found & {"logprobs", "top_logprobs"} and limit and limit < num_alternatives(body):
                    dialect.max_logprobs = limit
                    body = capped(body, limit)
                    continue
                if not found:
                    raise
                dropped |= found
                body = without(body, found)
            else:
                dialect.learn_refused(dropped, self.host)
                return raw

    async def body(self, request: Request, *, is_streamed: bool = False) -> dict[str, Json]:
        """What to send for `request`, in the server's dialect, with the user's own fields on top."""
        dialect = await self.dialect()
        said = dialect.body(request, self.model or "", is_chat=self.mode == "chat", is_streamed=is_streamed)
        return {**said, **self.extra}

    async def post(self, body: Mapping[str, Json], prompt: Prompt, chunks: Chunks | None = None) -> bytes:
        """The reply to `body`, as `HttpClient.post` gives it. Raises `EngineError` for half a surrogate pair, which JSON cannot say."""
        try:
            encoded = msgspec.json.encode(body)
        except UnicodeEncodeError:
            raise EngineError(
                f"prompt {prompt.id!r} is not valid Unicode (it holds half a surrogate pair)"
            ) from None
        return await self.http.post(
            "/chat/completions" if self.mode == "chat" else "/completions", encoded, chunks
        )

    async def aclose(self) -> None:
        """Closes the connections; what was learnt stays."""
        self._met.cancel()
        self._tried.cancel()
        await self.http.aclose()

    async def _meet(self) -> Dialect:
        url = self.http.url
        try:
            served = models(await self.http.get("/models"))
        except EngineHttpError as e:
            if e.status not in _NO_SUCH_PLACE:
                raise
            if self.model is None:
                raise InputError(f"{url} lists no models ({e.status}): name one with  model=…") from None
            served = {self.model: None}
        except EngineProtocolError as e:
            raise EngineProtocolError(f"{url}/models: {e}; is url the API's base (…/v1)?") from None
        self.model = _choose(self.model, served, url)
        server = SERVERS.get((served[self.model] or "").lower())
        self._dialect = Dialect(
            server=server,
            continues=True if server else None,
            echoes=False if server in {"vllm", "sglang"} else None,
        )
        return self._dialect

    async def _try_continuation(self) -> Dialect:
        """By prompt lengths, which need no able model: a turn that is closed and followed by a new
        header is longer than its text; and by whether a reply of one token begins with the prefix."""
        dialect = await self.dialect()
        prefixes = [_PROBE] if dialect.continues else [_PROBE, "", f"{_PROBE}\n{_PROBE}"]
        ask = Prompt(id="nbest-probe", messages=(Message(role="user", content="Colours and numbers?"),))
        params = SamplingParams(temperature=0.0, max_tokens=1)
        raws = [
            await self.send(Request(prompt=ask, prefix=p, params=params)) or b""  # n is 1: never refused
            for p in prefixes
        ]
        dialect.echoes = completions(raws[0], params)[0].text.startswith(_PROBE)
        if dialect.continues is None:
            one, none, two = (prompt_tokens(raw) for raw in raws)
            dialect.continues = False
            if none is not None and one is not None and two is not None:
                dialect.continues = one - none < two - one
        return dialect


def _choose(model: str | None, served: Mapping[str, Any], url: str) -> str:
    """The model to ask. Raises `InputError` with what is served."""
    if model is not None and model in served:
        return model
    if model is not None:
        hint = did_you_mean(model, served, label="Served", num_shown=_MAX_SHOWN)
        raise InputError(f"{url} does not serve {model!r}{hint}")
    if len(served) != 1:
        shown = listed(served, num_shown=_MAX_SHOWN)
        raise InputError(f"{url} serves {len(served)} models: name one with  model=…  of: {shown}")
    return next(iter(served))
