"""Answering: one prompt, or many with resume."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from nbest import registry
from nbest.accounting.meter import spent_of
from nbest.asked_scores import AskedScores
from nbest.context import Context
from nbest.datasets import Item, Pool
from nbest.drawing import RequestObserver
from nbest.errors import EngineError, NbestError, RecordsError, SelectionError
from nbest.identity_cache import remembered_by_identity
from nbest.protocols import Engine, Selector, Strategy
from nbest.records import RunWriter, read_outcomes
from nbest.selection.pool import select as chosen_by
from nbest.text.calls import said
from nbest.types import Budget, Candidate, Json, Outcome, Prompt, Selection

log = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")
Row = TypeVar("Row", bound="HasPrompt")


_spec_of = remembered_by_identity(registry.spec_of)

INTERNAL_ERROR = "internal error"
"""How `Outcome.error` begins where a strategy or plug-in has a programming error."""


async def ask(
    prompt: Prompt,
    strategy: Strategy,
    engines: Mapping[str, Engine],
    *,
    seed: int = 0,
    budget: Budget | None = None,
    gold: Mapping[str, Json] | None = None,
    observer: RequestObserver | None = None,
    one_call_per_draw: bool = False,
) -> Outcome:
    """Answers one prompt with `strategy`. What fails while it is answered is in the outcome's `error`.

    `gold`, `observer` and `one_call_per_draw` are as in `Context`. Raises `NbestError` for what the caller has
    to mend, such as an engine that is missing.
    """
    ctx = Context(
        engines,
        seed=seed,
        prompt_id=prompt.id,
        budget=budget,
        gold=gold,
        observer=observer,
        one_call_per_draw=one_call_per_draw,
    )
    started = time.monotonic()
    selection, error = await _attempt(strategy(prompt, ctx))
    return _outcome(ctx, prompt, _spec_of(strategy), seed, selection, error, started)


async def select(
    pool: Pool,
    selector: Selector,
    *,
    seed: int = 0,
    engines: Mapping[str, Engine] | None = None,
    budget: Budget | None = None,
) -> Outcome:
    """Chooses from a recorded pool as `parallel` would have: the same seed gives the same choice.

    `engines` is for selectors that call a judge. Scores that the record has of the same scorer are read from it, unless
    `engines` has one for the role of a judge or verifier. The usage is all that the recorded run spent on the pool, by
    role, and what the choice cost now. Steps of a search compete only where there is no whole answer.
    """
    ctx = Context(engines or {}, seed=seed, prompt_id=pool.prompt.id, gold=pool.gold, budget=budget)
    ctx.candidates = list(pool.candidates)
    if pool.scores and not _has_own_judges(engines or {}):
        ctx.scores = AskedScores(pool.scores, {c.id: said(c) for c in pool.candidates})
    if pool.usage:
        for spent in spent_of(pool):
            ctx.meter.add_spent(spent)
    else:
        ctx.meter.count("policy", pool.candidates)
    started = time.monotonic()
    answers = [c for c in pool.candidates if c.finish != "step"] or pool.candidates
    selection, error = await _attempt(chosen_by(selector, pool.prompt, answers, ctx))
    return _outcome(ctx, pool.prompt, registry.spec_of(selector), seed, selection, error, started)


def _has_own_judges(engines: Mapping[str, Engine]) -> bool:
    """Whether scores are to be asked for: of another engine than the one that gave those in the record."""
    return "judge" in engines or "verifier" in engines


class HasPrompt(Protocol):
    """A row with a prompt: an `Item` or a `Pool`."""

    @property
    def prompt(self) -> Prompt: ...


async def run_all(
    items: Sequence[Row],
    work: Callable[[Row], Awaitable[Outcome]],
    *,
    out: RunWriter | None = None,
    concurrency: int = 64,
    on_outcome: Callable[[Outcome], object] = lambda _: None,
) -> None:
    """Awaits `work` for every item, `concurrency` at a time; a slow item holds up no other.

    With `out`, items that it already holds are skipped, and each outcome is recorded as it arrives.
    `on_outcome` is called with each. Raises `RecordsError` where an id is recorded with another prompt.
    """
    todo = items
    if out is not None:
        todo = _unrecorded(items, out)
    async for outcome in _as_done(todo, work, concurrency):
        if out is not None:
            out.append(outcome)
        on_outcome(outcome)


async def _as_done(
    items: Iterable[T], work: Callable[[T], Awaitable[R]], concurrency: int
) -> AsyncIterator[R]:
    """Results as they come, at most `concurrency` at a time; leaving the loop cancels the rest."""
    waiting = iter(items)
    running: set[asyncio.Task[R]] = set()
    done: set[asyncio.Task[R]] = set()
    try:
        while True:
            while len(running) < concurrency and (item := next(waiting, _END)) is not _END:
                running.add(asyncio.ensure_future(work(item)))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        # Retrieves the exceptions of all: asyncio warns of those that nobody retrieves.
        await asyncio.gather(*running, *done, return_exceptions=True)


_END: Any = object()


def _unrecorded(items: Sequence[Row], out: RunWriter) -> list[Row]:
    for item in items:
        then = out.recorded.get(item.prompt.id)
        if then is not None and then != item.prompt:
            raise RecordsError(
                f"{out.path} holds another prompt with id {item.prompt.id!r}; choose another directory or id"
            )
    if out.recorded:
        _check_unchanged(items, out)
    return [i for i in items if i.prompt.id not in out.recorded]


def _check_unchanged(items: Sequence[HasPrompt], out: RunWriter) -> None:
    """Raises `RecordsError` where a row's gold columns or candidates are not those of its recorded outcome."""
    rows = (item for item in items if isinstance(item, Item | Pool))
    item_by_id = {item.prompt.id: item for item in rows if item.prompt.id in out.recorded}
    for outcome in read_outcomes(out.path) if item_by_id else ():
        item = item_by_id.get(outcome.prompt.id)
        if item is None:
            continue
        if msgspec.json.decode(msgspec.json.encode(item.gold)) != outcome.gold:
            raise _changed(out, outcome, "answer, reference or other columns")
        if isinstance(item, Pool) and not _begins_with(outcome.candidates, item.candidates):
            raise _changed(out, outcome, "candidates")


def _begins_with(recorded: Sequence[Candidate], pool: Sequence[Candidate]) -> bool:
    texts = [(c.text, c.error) for c in pool]
    return [(c.text, c.error) for c in recorded[: len(pool)]] == texts


def _changed(out: RunWriter, outcome: Outcome, what: str) -> RecordsError:
    return RecordsError(
        f"{out.path} was made when prompt {outcome.prompt.id!r} had other {what}: its outcomes would not be"
        " comparable; choose another directory"
    )


async def _attempt(work: Awaitable[Selection]) -> tuple[Selection | None, str | None]:
    """The selection, or why there is none. Raises `NbestError` for what the caller has to mend."""
    try:
        return await work, None
    except (EngineError, SelectionError) as e:
        return None, str(e)
    except NbestError:
        raise
    except Exception as e:  # noqa: BLE001 (one prompt's bug must not end a run over thousands)
        return None, internal_error(e)


def internal_error(error: Exception) -> str:
    """Logs a programming error with its traceback, and gives the `Outcome.error` that says so."""
    log.error("a programming error ended a prompt", exc_info=error)
    return f"{INTERNAL_ERROR}: {type(error).__name__}: {error}"


def _outcome(
    ctx: Context,
    prompt: Prompt,
    strategy: str,
    seed: int,
    selection: Selection | None,
    error: str | None,
    started: float,
) -> Outcome:
    stopped = ctx.stopped
    if error and stopped == "done":
        stopped = "error"
    return Outcome(
        prompt=prompt,
        strategy=strategy,
        seed=seed,
        selection=selection,
        candidates=tuple(ctx.candidates),
        usage=ctx.meter.usage,
        scores=ctx.scores.by_scorer,
        spent=ctx.meter.spent,
        stopped=stopped,
        error=error,
        notes=tuple(ctx.notes),
        seconds=round(time.monotonic() - started, 6),
        gold=ctx.gold,
    )
