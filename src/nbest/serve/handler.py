"""The life of one request for an answer: read, admitted, answered in one piece or as a stream, reported."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import msgspec
from aiohttp import web

from nbest.http_client import request_id
from nbest.serve.api.bad_request import BadRequestError
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api.routes import APIS, Api
from nbest.serve.api_errors import ApiError, server_error
from nbest.serve.gateway import Gateway
from nbest.serve.http_responses import json_response
from nbest.serve.jobs import Job
from nbest.serve.observer import GatewayObserver
from nbest.serve.redaction import Redact
from nbest.serve.request_context import RequestContext
from nbest.serve.service import Service
from nbest.serve.streaming import HEADERS, Stream
from nbest.text.language import identify
from nbest.types import Outcome

log = logging.getLogger("nbest.serve")
_CLOSED_BY_CLIENT = 499
BODY_S = 60.0
"""Within which a request's body must be there."""
_PROGRESS_WITH_CANDIDATES = ("events", "reasoning")


class RequestHandler:
    """Answers the POST requests of the three APIs."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle(self, http_request: web.Request) -> web.StreamResponse:
        """Answers one request, and notifies the sinks when it is over. Raises `ApiError`."""
        api = APIS[http_request.path]
        context = RequestContext(id=f"{api.id_prefix}{uuid4().hex}", endpoint=http_request.path)
        request_id.set(context.id)  # servers get it with every call
        tracing = self._service.tracing
        if tracing:
            headers = {name.lower(): value for name, value in http_request.headers.items()}
            context.span = tracing.start(http_request.path, headers)

        async with self._reported(context):
            return await self._answer(http_request, api, context)

    @asynccontextmanager
    async def _reported(self, context: RequestContext) -> AsyncGenerator[None]:
        """Around a request: notes how it ended, charges its key, and notifies the sinks."""
        started = time.monotonic()
        self._service.begin(context)
        try:
            yield
        except ApiError as e:
            context.fail(e.status, e, e.outcome)
            raise
        except (asyncio.CancelledError, ConnectionError) as e:
            context.fail(_CLOSED_BY_CLIENT, e)
            raise
        except Exception as e:
            context.fail(500, e)
            log.exception("request %s failed", context.id)
            raise server_error(500, f"the gateway failed: its log says why (request {context.id})") from None
        finally:
            context.seconds, context.ended_at = time.monotonic() - started, time.time()
            self._service.key_limits.charge(context.key, context.observer.num_tokens)
            prices = self._service.gateway.settings.serve.prices
            self._service.allowances.settle(context, prices)
            # After the reply, which is sent in this turn of the loop: a thread that wakes up would delay it.
            asyncio.get_running_loop().call_soon(self._service.notify, context)

    async def _answer(
        self, http_request: web.Request, api: Api, context: RequestContext
    ) -> web.StreamResponse:
        context.key = self._service.keys.who(http_request.headers)
        if http_request.content_type != "application/json":
            raise ApiError(415, "send JSON, with  Content-Type: application/json")
        gateway = self._service.gateway_for(http_request.path)
        limits = self._service.key_limits

        with limits.hold(context.key), gateway.hold():
            request = await _read(http_request, api)
            job = context.job = await gateway.job(request, request_id=context.id, key=context.key)
            await self._service.allowances.admit(context, job, gateway.settings.serve.prices)
            with limits.reserved(context.key, job.most_usage.prompt + job.most_usage.completion):
                return await self._reply(http_request, api, gateway, context, job)

    async def _reply(
        self, http_request: web.Request, api: Api, gateway: Gateway, context: RequestContext, job: Job
    ) -> web.StreamResponse:
        options = job.request.nbest
        if options.candidates or options.progress in _PROGRESS_WITH_CANDIDATES:
            await asyncio.to_thread(identify, "x", min_words=0)  # the first call loads the model

        async with AsyncExitStack() as place:  # kept until the reply is sent
            if job.request.stream:
                return await self._stream(http_request, api, gateway, context, place)
            context.outcome = await self._outcome(gateway, job, context, place)
            response = json_response(api.reply(await gateway.reply(job, context.outcome)))
            response.headers["X-Request-Id"] = context.id
            return response

    async def _stream(
        self,
        http_request: web.Request,
        api: Api,
        gateway: Gateway,
        context: RequestContext,
        place: AsyncExitStack,
    ) -> web.StreamResponse:
        job = context.job
        assert job
        response = web.StreamResponse(headers={**HEADERS, "X-Request-Id": context.id})
        stream = _stream_of(http_request, response, api, job)
        context.observer = _stream_observer(stream, job.request, gateway.redact)
        try:
            work = self._outcome(gateway, job, context, place)
            context.outcome = await stream.run(work, lambda outcome: gateway.reply(job, outcome))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as e:
            if not response.prepared:
                raise
            # The client has got the error in the stream already.
            if isinstance(e, ApiError):
                context.fail(e.status, e, e.outcome)
            else:
                context.fail(500, e)
                log.exception("request %s failed", context.id)
        await stream.end()
        return response

    async def _outcome(
        self, gateway: Gateway, job: Job, context: RequestContext, place: AsyncExitStack
    ) -> Outcome:
        job = await self._admitted(job, place)
        with self._service.admission.stoppable():
            return await gateway.outcome(job, context.observer, context.span)

    async def _admitted(self, job: Job, place: AsyncExitStack) -> Job:
        """Waits for a place until the job's deadline; returns the job with the time that is left."""
        came = time.monotonic()
        try:
            async with asyncio.timeout(job.budget.seconds):
                await place.enter_async_context(self._service.admission.hold())
        except TimeoutError:
            message = "the request waited for a place until its deadline"
            raise server_error(504, message, "deadline") from None

        if job.budget.seconds is None:
            return job
        left_s = max(0.0, job.budget.seconds - (time.monotonic() - came))
        return dataclasses.replace(job, budget=msgspec.structs.replace(job.budget, seconds=left_s))


async def _read(http_request: web.Request, api: Api) -> GatewayRequest:
    """The request's body, read within `BODY_S`. Raises `ApiError`."""
    max_bytes = http_request.client_max_size
    if (http_request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(BODY_S):
            raw = await http_request.read()
        return api.read(raw)
    except TimeoutError:
        raise ApiError(408, f"the request's body was not there within {BODY_S:g} s") from None
    except BadRequestError as e:
        raise ApiError(400, str(e), param=e.param) from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(max_bytes) from None
    except web.RequestPayloadError:
        raise ApiError(400, "the request's body is cut") from None


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(413, f"the request is too large: a body may have {max_bytes} bytes")


def _stream_of(http_request: web.Request, response: web.StreamResponse, api: Api, job: Job) -> Stream:
    request = job.request
    writer = api.writer(
        id=job.id,
        model=request.model,
        created=job.created,
        include_usage=request.include_usage,
        progress=request.nbest.progress,
        echo=request.echo,
    )
    return Stream(http_request, response, writer, request.nbest.progress)


def _stream_observer(stream: Stream, request: GatewayRequest, redact: Redact) -> GatewayObserver:
    """An observer that feeds the stream; deltas are of use only where one answer is sent."""
    return GatewayObserver(
        stream.put,
        wants_deltas=request.n == 1,
        wants_candidates=request.nbest.progress in _PROGRESS_WITH_CANDIDATES,
        redact=redact,
    )
