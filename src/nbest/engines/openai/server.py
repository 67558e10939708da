"""One OpenAI-compatible server behind an engine: its connections, its model, and what was learnt of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from nbest.accounting.open_calls import wants_precision
from nbest.engines.openai.adaptation import Adaptation, PoolRefused
from nbest.engines.openai.dialect import Dialect
from nbest.engines.openai.request import own_fields
from nbest.engines.openai.response import completions
from nbest.engines.openai.server_reply import ServerReply, models, parse_reply
from nbest.engines.openai.server_rules import OWNERS
from nbest.engines.openai.stream import CompletionStream
from nbest.engines.openai.usage import token_counts
from nbest.errors import EngineError, EngineHttpError, EngineProtocolError, InputError
from nbest.http_client import HttpClient
from nbest.http_errors import UpstreamStatusError
from nbest.http_replies import MAX_REPLY_BYTES
from nbest.suggestions import did_you_mean, listed
from nbest.types import Json, Message, Prompt, Request, SamplingParams

_CLIENT_FAULTS = frozenset({400, 422, 501})
_NO_SUCH_PLACE = frozenset({404, 405, 501})
_MAX_SHOWN = 8
_MIN_REPLY_BYTES = 16 * 2**20
_BYTES_PER_TOKEN = 4096
"""Of a reply: a stream has an event for each token, to which some servers add what their filters found."""
_BYTES_PER_ALTERNATIVE = 512
_PROBE = "violet 42, amber 17, cobalt 93"
"""A prefix that no model repeats in one token by chance."""

Mode = Literal["chat", "completions"]


class Once:
    """One run of an async function for all who call meanwhile. A failure reaches all, and the next call runs it again."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Dialect] | None = None

    async def __call__(self, run: Callable[[], Coroutine[Any, Any, Dialect]]) -> Dialect:
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.create_task(run())
            self._task.add_done_callback(lambda t: t.cancelled() or t.exception())
        return await asyncio.shield(self._task)  # a caller that is cancelled leaves it to the others

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
    _meeting: Once = field(default_factory=Once)
    _trying: Once = field(default_factory=Once)

    @property
    def host(self) -> str:
        return self.http.host

    async def dialect(self) -> Dialect:
        """Asks the server for its models, once. Raises `InputError` for a model that is not served."""
        return self._dialect or await self._meeting(self._meet)

    async def served(self) -> list[str]:
        """Models that the server lists now. Raises `EngineError`."""
        return list(models(await self.http.get("/models")))

    async def can_continue(self) -> bool:
        """Whether the server continues an assistant prefix; tried with up to three calls of one token."""
        dialect = await self.dialect()
        if self.mode == "completions":
            return True
        if dialect.continues is None or dialect.echoes is None:
            await self._trying(self._try_continuation)
        return dialect.continues is True

    async def send(self, request: Request, stream: CompletionStream | None = None) -> bytes | PoolRefused:
        """The reply, with refused fields left out; `PoolRefused` where the server refuses as many draws at once.

        With `stream` a streamed reply is requested, which it takes; then the result is b"".
        """
        adaptation = Adaptation(
            dialect=await self.dialect(),
            request=request,
            body=await self._body_to_count(request, stream),
            own={*self.extra, *own_fields(request)},
        )
        while True:
            try:
                raw = await self.post(adaptation.body, request.prompt, stream, max_bytes=_max_bytes(request))
            except UpstreamStatusError as e:
                if e.status not in _CLIENT_FAULTS:
                    raise
                changed = adaptation.change(e)
                if isinstance(changed, PoolRefused):
                    return changed
                if not changed:
                    raise
            else:
                adaptation.learn(self.host)
                return raw

    async def _body_to_count(self, request: Request, stream: CompletionStream | None) -> dict[str, Json]:
        """`body`; of a streamed draw that is likely to be cut, with what makes the server count as it draws."""
        body = await self.body(request, is_streamed=stream is not None)
        if request.n == 1 and "stream" in body and wants_precision():
            body |= (await self.dialect()).rules.count_flags
        return body

    async def body(self, request: Request, *, is_streamed: bool = False) -> dict[str, Json]:
        """What to send for `request`, in the server's dialect, with the user's own fields on top."""
        dialect = await self.dialect()
        is_chat = self.mode == "chat"
        body = dialect.body(request, self.model or "", is_chat=is_chat, is_streamed=is_streamed)
        return {**body, **self.extra}

    async def post(
        self,
        body: Mapping[str, Json],
        prompt: Prompt,
        stream: CompletionStream | None = None,
        *,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> bytes:
        """The reply to `body`, as `HttpClient.post` gives it.

        Raises `EngineError`, also for a lone half of a surrogate pair, which JSON cannot hold.
        """
        try:
            encoded = msgspec.json.encode(body)
        except UnicodeEncodeError:
            raise EngineError(
                f"prompt {prompt.id!r} is not valid Unicode (it holds half a surrogate pair)"
            ) from None
        path = "/chat/completions" if self.mode == "chat" else "/completions"
        return await self.http.post(path, encoded, stream, max_bytes=max_bytes)

    async def aclose(self) -> None:
        """Closes the connections; what was learnt stays."""
        self._meeting.cancel()
        self._trying.cancel()
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
        owner = (served[self.model] or "").lower()
        self._dialect = Dialect.of_server(OWNERS.get(owner))
        return self._dialect

    async def _try_continuation(self) -> Dialect:
        """By prompt lengths, which need no able model: a turn that is closed and followed by a new
        header is longer than its text; and by whether a reply of one token begins with the prefix."""
        dialect = await self.dialect()
        prompt = Prompt(id="nbest-probe", messages=(Message(role="user", content="Colours and numbers?"),))
        params = SamplingParams(temperature=0.0, max_tokens=1)

        async def reply_to(prefix: str) -> ServerReply:
            raw = await self.send(Request(prompt=prompt, prefix=prefix, params=params))
            assert not isinstance(raw, PoolRefused)  # n is 1
            return parse_reply(raw)

        one = await reply_to(_PROBE)
        dialect.echoes = completions(one, params)[0].text.startswith(_PROBE)
        if dialect.continues is None:
            none = await reply_to("")
            two = await reply_to(f"{_PROBE}\n{_PROBE}")
            nums = [token_counts(reply.usage).prompt for reply in (none, one, two)]
            dialect.continues = _grows_by_its_text(*nums)
        return dialect


def _max_bytes(request: Request) -> int:
    """The largest reply that is read: what the tokens asked for may take."""
    num_tokens = request.n * request.params.max_tokens
    alternatives = request.params.logprobs or 0
    num_bytes = num_tokens * (_BYTES_PER_TOKEN + alternatives * _BYTES_PER_ALTERNATIVE)
    return min(max(num_bytes, _MIN_REPLY_BYTES), MAX_REPLY_BYTES)


def _grows_by_its_text(none: int | None, one: int | None, two: int | None) -> bool:
    """Whether a prompt with a prefix is longer by less than a second text of the same length makes it."""
    if none is None or one is None or two is None:
        return False
    return one - none < two - one


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
