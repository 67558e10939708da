"""What stands between a client's request and its outcome, and nothing of HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import msgspec

from nbest import constraints, registry, run
from nbest.engines.layers import Breaker, Failover, Hedge, Limit, Retry
from nbest.engines.openai.openai import OpenAI
from nbest.errors import EngineError, NbestError
from nbest.protocols import Engine, Strategy
from nbest.serve.api.bad_request import shortened
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api.reply import Reply
from nbest.serve.api_errors import ApiError, of_outcome
from nbest.serve.jobs import Job, reply_of
from nbest.serve.observability.tracing import RequestSpan
from nbest.serve.observer import GatewayObserver
from nbest.serve.policies import open_strategy
from nbest.settings.gateway import Key, ServeSettings
from nbest.strategies.parallel import Parallel
from nbest.strategies.pool_size import pool_size, with_n
from nbest.strategies.revise import Revise
from nbest.strategies.rsa import Rsa
from nbest.strategies.self_refine import SelfRefine
from nbest.strategies.tree import Tree
from nbest.suggestions import nearest
from nbest.types import Budget, Candidate, Json, Outcome, Prompt, Selection

_AT = "@"
_OF_ANSWERS = Parallel | Tree | Revise | SelfRefine | Rsa
"""Strategies of which every finished candidate is an answer to the prompt as it was asked."""


class Gateway:
    """Engines, the server's strategy and presets, under one configuration."""

    def __init__(self, settings: ServeSettings) -> None:
        """Raises `SpecError` for what the configuration gets wrong."""
        self.settings = settings
        self.engines: dict[str, Engine] = {n: guarded(e) for n, e in settings.engines().items()}
        self.default: Strategy = registry.parse("strategies", settings.strategy_spec)
        self.presets: dict[str, Strategy] = {
            name: registry.parse("strategies", spec) for name, spec in settings.presets.items()
        }
        self.models: tuple[str, ...] = ()
        self._engine_by_model: dict[str, Engine] = {}
        self._num_held = 0
        self._free = asyncio.Event()
        self._free.set()

    @contextmanager
    def hold(self) -> Generator[None]:
        """Around the work on one request."""
        self._num_held += 1
        self._free.clear()
        try:
            yield
        finally:
            self._num_held -= 1
            if not self._num_held:
                self._free.set()

    async def retire(self) -> None:
        """Closes the engines once nobody is answered any more."""
        await self._free.wait()
        await self.aclose()

    async def start(self) -> None:
        """Asks every engine what it can do. Raises `NbestError` where one does not answer."""
        policy = self.engines["policy"]
        server = unlayered(policy)
        if isinstance(server, OpenAI) and server.model is None:
            servers = [s for s in leaves(policy) if isinstance(s, OpenAI)]
            self.models = tuple(await _served(servers))
            if len(self.models) > 1 and len(servers) == 1:
                self._engine_by_model = {
                    m: guarded(Retry(engine=replace(server, model=m))) for m in self.models
                }
        else:
            self.models = (model_name(server),)
        for name, engine in self.engines.items():
            if not (name == "policy" and self._engine_by_model):
                # A server that is still waited for is asked each time, whatever a circuit breaker thinks of it.
                await (engine.engine if isinstance(engine, Breaker) else engine).capabilities()

    @property
    def config(self) -> dict[str, Json]:
        """What decides the outcomes, for records: specs name variables that hold keys, never keys."""
        return {
            "engine": {name: registry.spec_of(e) for name, e in sorted(self.engines.items())},
            "strategy": registry.spec_of(self.default),
            "presets": {name: registry.spec_of(s) for name, s in sorted(self.presets.items())},
        }

    @property
    def all_engines(self) -> tuple[Engine, ...]:
        """By any name, those of a server's single models included."""
        return (*self.engines.values(), *self._engine_by_model.values())

    @property
    def is_given_up(self) -> bool:
        """Whether nothing is asked for now, because all that answers failed too often."""
        policies = self._engine_by_model.values() or (self.engines["policy"],)
        return all(map(_is_given_up, policies))

    async def aclose(self) -> None:
        """Closes the engines."""
        for engine in self.all_engines:
            await engine.aclose()

    def rows(self) -> list[dict[str, Json]]:
        """What GET /v1/models lists: the upstream's models, and each with each preset."""
        rows: list[dict[str, Json]] = [
            {"id": m, "nbest": {"strategy": registry.spec_of(self.default)}} for m in self.models
        ]
        rows += [
            {"id": f"{m}{_AT}{name}", "nbest": {"strategy": registry.spec_of(strategy), "preset": name}}
            for m in self.models
            for name, strategy in self.presets.items()
        ]
        return rows

    def job(self, ask: GatewayRequest, *, id_: str, key: Key) -> Job:
        """What to do. Raises `ApiError` before anything is spent."""
        serve = self.settings.serve
        model, strategy, label = self._policy(ask)
        n = max(ask.n, ask.nbest.n or 0)
        most = min(serve.max_n, key.max_n or serve.max_n)
        try:
            size = pool_size(strategy)  # None where parameters multiply, as in revise: it gives what it has
            if ask.nbest.n or (size is not None and n > size):
                strategy = with_n(strategy, n)
            prompt = Prompt(
                id=id_ if ask.seed is None else f"seeded-{_digest(ask)}",
                messages=ask.messages,
                language=ask.nbest.language,
                task=ask.nbest.task,
                overrides=ask.overrides,
            )
        except NbestError as e:
            raise ApiError(400, str(e), param="n") from None
        try:
            constraints.check(prompt)
        except NbestError as e:
            raise ApiError(400, str(e), param=str(e).partition(" ")[0]) from None
        if (size := pool_size(strategy)) is not None and size > most:
            raise ApiError(400, f"n: a pool of {size} is above the limit of {most}", param="n")
        return Job(
            ask=ask,
            id=id_,
            model=model,
            prompt=prompt,
            strategy=strategy,
            label=label,
            seed=self.settings.seed if ask.seed is None else ask.seed,
            budget=self._budget(ask),
            created=int(time.time()),
        )

    async def outcome(self, job: Job, observer: GatewayObserver, span: RequestSpan | None = None) -> Outcome:
        """Carries the job out; the calls that it takes are below `span`. Raises `ApiError` where there is no answer at all."""
        engine = self._engine_by_model.get(job.model)
        engines = self.engines if engine is None else {**self.engines, "policy": engine}
        if span:
            engines = span.engines(engines)
        try:
            found = await run.ask(
                job.prompt,
                job.strategy,
                engines,
                seed=job.seed,
                budget=job.budget,
                observer=observer,
                one_call_per_draw=job.ask.nbest.has_deadline,
            )
        except NbestError as e:
            raise ApiError(400, str(e)) from None
        if found.selection is None:
            found = _with_the_best_there_is(found, job.strategy, has_emitted=observer.has_emitted)
        if found.selection is None:
            raise of_outcome(found, observer.errors)
        observer.chose()
        return found

    def reply(self, job: Job, outcome: Outcome) -> Reply:
        """The outcome as its client gets it."""
        serve = self.settings.serve
        return reply_of(job, outcome, sizes=serve.sizes, prices=serve.prices)

    def _policy(self, ask: GatewayRequest) -> tuple[str, Strategy, str]:
        """The upstream's model, the strategy, and what it is called. Raises `ApiError`."""
        named = [m for m in self.models if f"{ask.model}{_AT}".startswith(f"{m}{_AT}")]
        model = max(named, key=len, default="")  # a name may hold an @ of its own
        unknown, at, spec = ask.model.removeprefix(model).partition(_AT)
        if not at and unknown in self.presets:
            model, spec = self.models[0], unknown
        elif not model:
            model = shortened(unknown)
            near = nearest(model, [*self.models, *self.presets])
            hint = f"; did you mean {near!r}?" if near else ":"
            raise ApiError(
                404,
                f"the model {model!r} is not served{hint} GET /v1/models lists the names",
                param="model",
                code="model_not_found",
            )
        spec = ask.nbest.strategy or spec
        if at and not spec:
            raise ApiError(400, f"the model {ask.model!r} names no strategy behind its @", param="model")
        if not spec:
            return model, self.default, registry.name_of(type(self.default))
        if spec in self.presets:
            return model, self.presets[spec], spec
        if not self.settings.serve.strategies_by_clients:
            known = ", ".join(self.presets) or "none"
            raise ApiError(
                400, f"strategy {shortened(spec)!r} is no preset; this server has: {known}", param="strategy"
            )
        try:
            strategy = open_strategy(spec, max_n=self.settings.serve.max_n)
        except NbestError as e:
            raise ApiError(400, str(e), param="strategy") from None
        return model, strategy, registry.name_of(type(strategy))

    def _budget(self, ask: GatewayRequest) -> Budget:
        """The least of what the server, its configuration and the client allow."""
        serve, ours, theirs = self.settings.serve, self.settings.budget, ask.nbest.budget or Budget()
        return Budget(
            samples=_least(ours.samples, theirs.samples),
            tokens=_least(ours.tokens, theirs.tokens, serve.token_limit),
            seconds=_least(
                ours.seconds, theirs.seconds, ask.nbest.deadline or serve.default_deadline, serve.max_deadline
            ),
        )


def guarded(engine: Engine) -> Engine:
    """An engine over the network gets a circuit breaker, where it has none; `failover` has its own."""
    inner: Any = engine
    while isinstance(inner, Retry | Limit | Hedge):
        inner = inner.engine
    return Breaker(engine=engine) if inner is not engine and isinstance(inner, OpenAI) else engine


def within(engine: Any) -> Iterator[Any]:
    """An engine, and those in it, in the order in which they are asked."""
    yield engine
    for inner in _inner(engine):
        yield from within(inner)


def leaves(engine: Any) -> list[Any]:
    """The engines within all layers, in the order in which they are asked."""
    return [e for e in within(engine) if not _inner(e)]


def unlayered(engine: Any) -> Any:
    """The engine within all layers; of several, the first."""
    return leaves(engine)[0]


def model_name(engine: Any) -> str:
    """What clients call the model of an engine."""
    model = getattr(engine, "model", None)
    if isinstance(model, str):
        return PurePath(model).stem if model.endswith(".gguf") else model
    return engine.name.rpartition("/")[2]


def _inner(engine: Any) -> Sequence[Any]:
    """What is asked by a layer."""
    one = getattr(engine, "engine", None)
    return getattr(engine, "engines", () if one is None else (one,))


def _is_given_up(engine: Any) -> bool:
    """Whether every way to an answer is behind an open circuit breaker; `failover` asks for all it has."""
    if isinstance(engine, Breaker) and engine.state == "open":
        return True
    if isinstance(engine, Failover) and set(engine.states.values()) == {"open"}:
        return True
    inner = _inner(engine)
    return bool(inner) and all(map(_is_given_up, inner))


async def _served(servers: Sequence[OpenAI]) -> list[str]:
    """The models of the first that answers. Raises the last one's `EngineError`."""
    for server in servers[:-1]:
        with suppress(EngineError):
            return await server.served()
    return await servers[-1].served()


def _with_the_best_there_is(outcome: Outcome, strategy: Strategy, *, has_emitted: bool) -> Outcome:
    """Of an outcome without a choice: an answer, else one that does not fit, else a refusal, else as it was."""
    drawn = outcome.candidates
    answers = [c for c in drawn if c.is_usable and c.finish != "step"]
    if answers and isinstance(strategy, _OF_ANSWERS) and not has_emitted:
        return _with_first(
            outcome, answers, f"the choice failed ({outcome.error}): this is the first that was drawn"
        )
    finished = [c for c in drawn if c.finish in {"stop", "length"} and (c.text or c.tool_calls)]
    if misfits := [c for c in finished if c.error]:
        problem = str(misfits[0].error).partition(":")[0]  # what follows it may hold the answer's words
        note = f"no candidate fits: this is the first that was drawn, which {problem}"
        return _with_first(outcome, misfits, note, is_done=True)
    note = "no candidate is an answer: this is the first that the model refused or a filter cut"
    refused = [c for c in drawn if c.finish in {"refused", "filtered"}]
    return _with_first(outcome, refused, note, is_done=True)


def _with_first(
    outcome: Outcome, candidates: Sequence[Candidate], note: str, *, is_done: bool = False
) -> Outcome:
    """With the first of `candidates` as the answer, and a note that says so; as it was without any.

    `is_done`: nothing failed, for this is what the model has to say.
    """
    if not candidates:
        return outcome
    first = candidates[0]
    stopped = "done" if is_done and outcome.stopped == "error" else outcome.stopped
    return msgspec.structs.replace(
        outcome,
        selection=Selection(winner=first, weights={first.id: 1.0}, rationale=first.error or note),
        error=None,
        stopped=stopped,
        notes=(*outcome.notes, note),
    )


def _digest(ask: GatewayRequest) -> str:
    """Of what is asked: the same request with the same seed is answered alike."""
    return hashlib.sha256(msgspec.json.encode((ask.messages, ask.overrides))).hexdigest()[:24]


def _least(*limits: float | None) -> Any:
    return min((x for x in limits if x is not None), default=None)
