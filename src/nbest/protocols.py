"""What plug-ins are, kind by kind. A plug-in is a frozen keyword-only dataclass with `__call__`: its fields
are its parameters, in specs, in TOML, on the command line and in records. docs/plugins.md writes three."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Protocol, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nbest.context import Context
    from nbest.plan.features import Features
    from nbest.search.machine import Child, Expansion, State
    from nbest.types import (
        Candidate,
        Completion,
        Delta,
        Json,
        Logprobs,
        Prompt,
        Request,
        Score,
        Selection,
    )


@dataclass(frozen=True, slots=True)
class OnServer:
    """Marks the type of a parameter that reaches for something on the machine that runs `nbest`.

    A client of the gateway never sets such a parameter, whatever plug-in has it.
    """

    what: str
    is_secret: bool = True
    """Whether clients may not read its value either, in errors and notes."""


@dataclass(frozen=True, slots=True)
class Open:
    """Marks the type of a text that a client of the gateway may set, and says what the text is."""

    what: str


ServerPath = Annotated[str, OnServer("a file")]
"""A file, a directory, or the name of a model that is loaded from one."""
ServerUrl = Annotated[str, OnServer("an address")]
ServerCommand = Annotated[str, OnServer("a program")]
"""A command line, or the path of an interpreter."""
ServerEnv = Annotated[str, OnServer("an environment variable")]
ServerModel = Annotated[str, OnServer("a model", is_secret=False)]
"""The name of a model or data set on a server or hub, or of a part of one, such as a revision."""
ServerFields = Annotated[Mapping[str, Any], OnServer("fields of requests", is_secret=False)]
EngineName = Annotated[str, OnServer("an engine", is_secret=False)]
"""The name of an engine of the configuration."""
Pattern = Annotated[str, OnServer("a regular expression", is_secret=False)]
"""Closed to clients, since matching one may take for ever."""
PluginSpec = Annotated[str, OnServer("a plug-in", is_secret=False)]

FreeText = Annotated[str, Open("text")]
"""Text that is put into prompts or looked for in answers. It never becomes a path, an address, a command or a name
of something that is loaded."""
LanguageCode = Annotated[str, Open("a language code")]
"""Checked by `nbest.text.language.check_language` where the plug-in is made."""


def on_server(hint: Any) -> OnServer | None:
    """The mark within a type such as `ServerPath | None`, `tuple[ServerUrl, ...]`; None without one."""
    if isinstance(hint, OnServer):
        return hint
    marks = (on_server(part) for part in (*getattr(hint, "__metadata__", ()), *get_args(hint)))
    return next((mark for mark in marks if mark is not None), None)


def is_open_text(hint: Any) -> bool:
    """Whether a type such as `FreeText | None` or `tuple[LanguageCode, ...]` is text that clients may set."""
    if isinstance(hint, Open):
        return True
    return any(is_open_text(part) for part in (*getattr(hint, "__metadata__", ()), *get_args(hint)))


def is_open_to_clients(plugin: type) -> bool:
    """Whether a client of the gateway may name `plugin`.

    The class says so itself with `is_open_to_clients: ClassVar[bool] = True`. It is not inherited: a subclass may
    reach further than its parent.
    """
    return vars(plugin).get("is_open_to_clients", False) is True


OnDelta = Callable[["Delta"], object]
"""Called with each delta of a streamed completion: reasoning, text, tool calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an engine can do; a server is asked where it cannot be known beforehand."""

    max_n: int | None = None
    """How many draws one call gives; None is no limit. `Context` splits a larger request."""
    logprobs: bool = True
    """Returns log-probabilities of drawn tokens."""
    max_logprobs: int | None = None
    """How many alternatives a token may have; None is no limit."""
    prefix: bool = True
    """Continues an assistant prefix."""
    min_p: bool = True
    seed: bool = True
    scores_text: bool = False
    """Returns log-probabilities of a given text (`Engine.logprobs`)."""
    counts_cut: bool = False
    """Says itself what a call that is cut had drawn (`nbest.accounting.open_calls`)."""
    names_stop: bool = False
    """Says which stop string ended a text (`Completion.stopped_by`), and so whether one did."""


class Engine(Protocol):
    """Draws text from a model. Safe to call from many tasks at once."""

    @property
    def name(self) -> str:
        """What `Candidate.engine` holds: engine and model, never a key."""
        ...

    async def capabilities(self) -> Capabilities:
        """What the engine can do; a server is asked once. Raises `EngineError` where it does not answer."""
        ...

    async def generate(self, request: Request, on_delta: OnDelta | None = None) -> Sequence[Completion]:
        """`request.n` completions in order. Raises `EngineError`; cancelling stops the work.

        `on_delta` comes with requests for one draw. An engine that streams calls it with each delta: reasoning first,
        then text and tool calls. The text deltas together are the completion's text; of its tool calls the deltas may
        be the first part. After the first delta of text or of a call the draw is not repeated when it fails. An
        engine that does not stream leaves `on_delta` alone.
        """
        ...

    async def logprobs(self, prompt: Prompt, text: str) -> Logprobs:
        """Log-probabilities of `text` as the answer. Raises `CapabilityError` where unsupported."""
        ...

    async def aclose(self) -> None:
        """Closes connections, threads and memory. May be called twice."""
        ...


class Sampler(Protocol):
    """The requests that draw a pool. Pure: the same `rng` gives the same requests."""

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]: ...


class Scorer(Protocol):
    """Scores a batch: one `Score` per candidate, in order.

    A scorer whose values depend on the other candidates of the batch has a class attribute
    `depends_on_pool = True`: its values of two batches are not on one scale.
    """

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]: ...


class Selector(Protocol):
    """Chooses from a pool. Ties go to the lowest id; failed candidates never win.

    The order of the pool changes nothing. A selector that draws its choice by lot has a class attribute
    `is_stochastic = True` and takes its randomness from `ctx.random("select")` alone, over the candidates by id: so
    the same seed gives the same choice, in whatever order the pool comes.

    Raises `SelectionError` where no candidate is usable.
    """

    async def __call__(self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context) -> Selection: ...


class Utility(Protocol):
    """How well each of N hypotheses would do if each of M references were right: N×M, higher is better."""

    async def __call__(
        self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
    ) -> NDArray[np.float64]: ...


class Search(Protocol):
    """Which steps to draw next: a pure state machine over a tree of steps, without a model (`search/machine.py`)."""

    @property
    def n(self) -> int:
        """How many whole answers are wanted."""
        ...

    @property
    def similarity(self) -> Utility | None:
        """Compares the steps of a round with each other, for `Child.likeness`; None where the search has no use for it."""
        ...

    def start(self, seed: int) -> State:
        """The state before anything was drawn: frozen and picklable."""
        ...

    def ask(self, state: State) -> Sequence[Expansion]:
        """The batch to draw next; empty when the search is done. The state stays as it is."""
        ...

    def tell(self, state: State, child: Child) -> State:
        """The state after the result of one draw. The order of the results, and telling one twice, change nothing."""
        ...


class Strategy(Protocol):
    """Answers a prompt: samples, scores, searches, selects, through `ctx` alone."""

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection: ...


class Stop(Protocol):
    """Whether to stop drawing for a prompt. Pure: the same features give the same answer.

    A rule that reads scores has an attribute `scorer`, by which the draws are scored before it is asked
    (`Features.scores`). One that reads the votes and the number of draws alone (`Features.counts`, `Features.n`) has a
    class attribute `reads_counts_only = True`: comparisons then ask it once for equal votes.
    """

    def __call__(self, features: Features) -> bool:
        """True: the answer is chosen from the draws that are there. Never asked without a draw."""
        ...


class Task(Protocol):
    """Prompts, with what is needed to measure answers to them."""

    @property
    def score(self) -> str | None:
        """Spec of the scorer that measures answers, as `--score` takes it; None where the rows decide."""
        ...

    def items(self) -> Sequence[tuple[Prompt, Mapping[str, Json]]]:
        """Each prompt and its gold columns; ids are unique. Raises `InputError`, `MissingExtraError`."""
        ...


def logprobs_needed(plugin: Any) -> int | None:
    """How many log-probabilities per token `plugin` or any plug-in inside it reads; None for none.

    A plug-in that reads them has an attribute `logprobs_needed` (0: the drawn tokens' own).
    """
    own = getattr(plugin, "logprobs_needed", None)
    inner = [logprobs_needed(getattr(plugin, f)) for f in getattr(plugin, "__dataclass_fields__", ())]
    return max((n for n in (own, *inner) if n is not None), default=None)


def depends_on_pool(plugin: Any) -> bool:
    """Whether a scorer, or any plug-in inside it, gives values that depend on the other candidates of a batch."""
    inner = [getattr(plugin, name) for name in getattr(plugin, "__dataclass_fields__", ())]
    return getattr(plugin, "depends_on_pool", False) or any(map(depends_on_pool, inner))
