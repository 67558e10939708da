"""What stands between a client's request and its outcome, without anything of HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager

from nbest import registry, run
from nbest.errors import CapabilityError, MissingEngineError, NbestError
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api.reply import Reply
from nbest.serve.api_errors import ApiError, of_outcome, server_error
from nbest.serve.jobs import Job, make_job
from nbest.serve.observability.tracing import RequestSpan
from nbest.serve.observer import GatewayObserver
from nbest.serve.outcome_reply import reply_of
from nbest.serve.redaction import Redaction
from nbest.serve.strategy_choice import Strategies
from nbest.serve.unchosen import with_fallback
from nbest.serve.upstreams import Upstreams
from nbest.settings.gateway import Key, ServeSettings
from nbest.types import Json, Outcome

log = logging.getLogger("nbest.serve")


class Gateway:
    """Engines and strategies under one configuration; a new configuration is a new gateway."""

    def __init__(self, settings: ServeSettings) -> None:
        """Raises `SpecError` for an engine or a strategy that does not exist."""
        self.settings = settings
        self.upstreams = Upstreams(settings.engines())
        self.strategies = Strategies(settings)
        strategies = (self.strategies.default, *self.strategies.presets.values())
        self.redact = Redaction([*self.upstreams.engines.values(), *strategies])
        """Takes addresses and the like out of what clients get."""
        self._num_held = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @property
    def config(self) -> dict[str, Json]:
        """What decides the outcomes, for records: specs name variables that hold keys, never keys."""
        strategies = self.strategies
        return {
            "engine": {name: registry.spec_of(e) for name, e in sorted(self.upstreams.engines.items())},
            "strategy": registry.spec_of(strategies.default),
            "presets": {name: registry.spec_of(s) for name, s in sorted(strategies.presets.items())},
        }

    async def start(self) -> None:
        """Asks every engine what it can do. Raises `NbestError` where one does not answer."""
        await self.upstreams.start()

    async def aclose(self) -> None:
        """Closes the engines."""
        await self.upstreams.aclose()

    @contextmanager
    def hold(self) -> Generator[None]:
        """Around the work on one request."""
        self._num_held += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._num_held -= 1
            if not self._num_held:
                self._unused.set()

    async def retire(self) -> None:
        """Closes the engines once no request is under way any more."""
        await self._unused.wait()
        await self.aclose()

    async def job(self, request: GatewayRequest, *, request_id: str, key: Key) -> Job:
        """What to do for a request. Raises `ApiError` before anything is spent."""
        choice = self.strategies.choose(request, self.upstreams.models)
        return await make_job(request, choice, request_id=request_id, key=key, settings=self.settings)

    async def outcome(self, job: Job, observer: GatewayObserver, span: RequestSpan | None = None) -> Outcome:
        """Carries out the job; spans of its calls are below `span`. Raises `ApiError` where there is no answer at all."""
        engines = self.upstreams.for_model(job.model)
        if span:
            engines = span.engines(engines)
        try:
            outcome = await run.ask(
                job.prompt,
                job.strategy,
                engines,
                seed=job.seed,
                budget=job.budget,
                observer=observer,
                one_call_per_draw=job.request.nbest.has_deadline,
            )
        except NbestError as e:
            raise self._impossible(job, e) from None

        if outcome.selection is None:
            outcome = with_fallback(outcome, job.strategy, has_emitted=observer.has_emitted)
        if outcome.selection is None:
            raise of_outcome(outcome, observer.errors, redact=self.redact)
        observer.on_chosen()
        return outcome

    async def reply(self, job: Job, outcome: Outcome) -> Reply:
        """The outcome as its client gets it."""
        serve = self.settings.serve
        return await reply_of(job, outcome, sizes=serve.sizes, prices=serve.prices, redact=self.redact)

    def _impossible(self, job: Job, error: NbestError) -> ApiError:
        """Of a job that these engines cannot do: a fault of the request (400) or of the configuration (500)."""
        if job.is_clients_strategy or _needs_features(job, error):
            return ApiError(400, self.redact(str(error)))
        log.error("the strategy %s cannot be carried out: %s", job.label, error)
        message = (
            f"the server's strategy {job.label!r} cannot be carried out: its log says why (request {job.id})"
        )
        return server_error(500, message, "configuration")


def _needs_features(job: Job, error: NbestError) -> bool:
    """Whether an engine may lack something that the request asks for, such as tools, images or log-probabilities."""
    if isinstance(error, MissingEngineError) or not isinstance(error, CapabilityError):
        return False
    request = job.request
    has_parts = any(m.parts or m.fields for m in request.messages)
    return bool(request.overrides.body) or request.overrides.logprobs is not None or has_parts
