"""The nouns. Frozen values, no I/O.

They are `msgspec` structs: records are these types as JSON, with fields at their defaults left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Literal

import msgspec

Json = Any
"""Whatever JSON can say."""

Role = Literal["policy", "verifier", "judge", "fusor"]
"""Whose work a call is: the model that answers, scores, judges or fuses."""

Finish = Literal["stop", "length", "error", "step", "refused", "filtered"]
"""Why a text ended: by itself (or at a stop string), cut at `max_tokens`, or not at all.

"refused" and "filtered" are said of failed draws: the text is the model's refusal, or what a server's content
filter left of it. "step" is said of candidates only: a part of an answer that a search may continue."""

Stopped = Literal["done", "quorum", "budget", "deadline", "error"]
"""Why an `Outcome` ended; "quorum": enough draws were there, and the stragglers were left behind."""


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """A frozen record; `replace` makes a changed copy."""


class Message(Value, frozen=True, kw_only=True):
    """One turn of a conversation."""

    role: str
    content: str = ""
    """Its text; of a turn in parts, the texts among them, a line each."""
    parts: tuple[Json, ...] = ()
    """The content as OpenAI's list of parts, where it is more than one text."""
    fields: Mapping[str, Json] = {}
    """What else the turn says, as it came: `tool_calls`, `tool_call_id`, `name`, …"""


class Overrides(Value, frozen=True, kw_only=True):
    """What a client says about every draw of its answer; None leaves it to the sampler.

    `Context.sample` puts them into policy requests; engines of OpenAI's protocol send `body` as it is.
    """

    temperature: float | None = None
    """Of stochastic draws that share one temperature: a greedy draw stays greedy, a ladder keeps its rungs,
    and 0 does not flatten a pool."""
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    """At most, of each draw."""
    stop: tuple[str, ...] = ()
    """In addition to the sampler's."""
    logprobs: int | None = None
    body: Mapping[str, Json] = {}
    """Further fields of the request, such as `tools`, `response_format`, `logit_bias`."""


class Prompt(Value, frozen=True, kw_only=True):
    """What is asked. It never holds the gold answer: a strategy cannot leak what it cannot see."""

    id: str
    messages: tuple[Message, ...]
    language: str | None = None
    """ISO 639-1 code of the language that the answer should be in, where known; script and region may follow it."""
    task: str | None = None
    overrides: Overrides | None = None

    @property
    def text(self) -> str:
        """Content of the last user turn; the empty string without one."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")


class SamplingParams(Value, frozen=True, kw_only=True):
    """How one text is drawn. The defaults sample from the model's own distribution."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps every token."""
    min_p: float = 0.0
    """Keep tokens with p ≥ min_p · max p (arXiv 2407.01082)."""
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    seed: int | None = None
    """Draw i of a request for n uses seed + i, so that larger pools contain smaller ones."""
    logprobs: int | None = None
    """None: not wanted; 0: of the drawn tokens; k: of the k likeliest tokens as well."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for what no engine can draw with."""
        if not 0 <= self.temperature < inf:
            raise ValueError(f"temperature must be a finite number of at least 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must be between 0 and 1, got {self.min_p}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {self.max_tokens}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be at least 0, got {self.top_k}")
        if self.logprobs is not None and self.logprobs < 0:
            raise ValueError(f"logprobs must be at least 0, got {self.logprobs}")


class Request(Value, frozen=True, kw_only=True):
    """`n` draws for one prompt under the same parameters."""

    prompt: Prompt
    prefix: str = ""
    """Assistant text that the engine continues; completions never repeat it."""
    n: int = 1
    params: SamplingParams = SamplingParams()
    role: Role = "policy"
    engine: str | None = None
    """Name of the engine to ask, where several are at hand; the role's own without one."""
    language: str | None = None
    """The language that the answer is asked for in, where it is not the prompt's."""
    parents: tuple[int, ...] = ()
    """The candidates that the new ones are made from."""
    is_part: bool = False
    """Whether a part of an answer is drawn (a step), and not an answer."""

    def part(self, start: int, n: int) -> Request:
        """Draws start … start + n − 1, under the seeds that they have in the whole."""
        return self if (start, n) == (0, self.n) else replace(self, n=n, params=self.params_of(start))

    def params_of(self, i: int) -> SamplingParams:
        """The parameters of draw i, under its own seed."""
        seed = self.params.seed
        return self.params if seed is None or i == 0 else replace(self.params, seed=seed + i)


class Usage(Value, frozen=True, kw_only=True):
    """Tokens and calls; `cached` is the part of `prompt` that the engine did not compute again, and
    `reasoning` the part of `completion` that was thought before the answer (of a call for n, on the first of
    its n completions), both as far as the server says."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    calls: int = 0
    reasoning: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt=self.prompt + other.prompt,
            cached=self.cached + other.cached,
            completion=self.completion + other.completion,
            calls=self.calls + other.calls,
            reasoning=self.reasoning + other.reasoning,
        )


class Logprobs(Value, frozen=True, kw_only=True):
    """Natural-log probabilities of the T tokens of one text, under the model before temperature."""

    tokens: tuple[str, ...]
    values: tuple[float, ...]
    top: tuple[Mapping[str, float], ...] = ()
    """The likeliest alternatives at each of the T places; empty where they were not asked for."""


class ToolCall(Value, frozen=True, kw_only=True):
    """A call of one of the client's functions."""

    id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""


class ToolCallDelta(Value, frozen=True, kw_only=True):
    """A piece of a call while it is written: the pieces of one `index` together are the call."""

    index: int
    """Its place among the calls of the answer."""
    id: str | None = None
    """Said by the first piece."""
    name: str = ""
    arguments: str = ""


class ReasoningDelta(Value, frozen=True, kw_only=True):
    """A piece of what a model thinks before it answers, while it does."""

    text: str


Delta = str | ToolCallDelta | ReasoningDelta
"""What is heard of an answer while it is written: of its text, its calls, and what was thought before."""


class Completion(Value, frozen=True, kw_only=True):
    """One drawn text. A call for n charges its prompt to the first of its n completions."""

    text: str
    finish: Finish = "stop"
    usage: Usage = Usage()
    logprobs: Logprobs | None = None
    engine: str | None = None
    """Who drew it, where that is not the engine that was asked (failover)."""
    error: str | None = None
    """Why there is no text, where one draw of a call failed and the others did not."""
    stopped_by: str | None = None
    """The stop string that ended it, which is not in `text`; None where the text ended otherwise, and
    from engines that do not tell (`Capabilities.names_stop`)."""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None
    """What the model thought before it answered, where the server keeps that apart; no part of `text`."""

    @classmethod
    def failed(cls, why: str) -> Completion:
        """A draw that is not there, beside draws of the same request that are."""
        return cls(text="", finish="error", error=why)


class Candidate(Value, frozen=True, kw_only=True):
    """One possible answer. `id` is its place in the pool, failed ones included."""

    id: int
    text: str
    finish: Finish = "stop"
    params: SamplingParams | None = None
    engine: str | None = None
    usage: Usage = Usage()
    logprobs: Logprobs | None = None
    parents: tuple[int, ...] = ()
    """The candidates that this one was made from: fused, revised, continued."""
    language: str | None = None
    """The language that it was asked for in."""
    error: str | None = None
    """Why there is no text: a failed candidate is data."""
    meta: Mapping[str, Json] = {}
    """Whatever else a recorded pool says about it, such as a human score."""
    stopped_by: str | None = None
    """The stop string that ended it, as in `Completion`; a step's text has it back at its end."""
    tool_calls: tuple[ToolCall, ...] = ()
    """What it calls, instead of answering or besides; such a candidate competes by its calls."""
    reasoning: str | None = None
    """As in `Completion`; it plays no part in the choice."""

    @property
    def is_usable(self) -> bool:
        """Whether it may be chosen at all."""
        return self.error is None


class Score(Value, frozen=True, kw_only=True):
    """Higher is better, always. None, never NaN, where the scorer could not run."""

    value: float | None
    steps: tuple[float, ...] = ()


class Selection(Value, frozen=True, kw_only=True):
    """The answer. `winner` is of the pool, or a new candidate that names its parents (fusion)."""

    winner: Candidate
    weights: Mapping[int, float]
    """How much each candidate of the pool spoke for the winner's kind of answer; sums to 1."""
    scores: Mapping[int, float] = {}
    """What the method thought of each candidate, higher is better, in the method's own unit."""
    rationale: str | None = None
    details: Mapping[str, Json] = {}
    """How the choice came about, for records: a judge's rounds, verdicts and failures."""


class Budget(Value, frozen=True, kw_only=True):
    """What one prompt may cost at most; None is no limit. Checked before anything is spent."""

    samples: int | None = None
    """Draws of every role."""
    tokens: int | None = None
    """Drawn tokens of every role."""
    seconds: float | None = None


class Outcome(Value, frozen=True, kw_only=True):
    """All that happened to one prompt. Records hold these; everything after generation reads them."""

    prompt: Prompt
    strategy: str
    seed: int
    selection: Selection | None
    candidates: tuple[Candidate, ...]
    usage: Mapping[str, Usage]
    """By role."""
    stopped: Stopped = "done"
    """error: nothing was chosen (`error` says why), or what should choose failed and another chose (`notes`)."""
    error: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    """Wall time; the only field that two runs with the same seed may differ in."""
    gold: Mapping[str, Json] = {}
    """The other columns of the prompt's row (answer, reference, …), for evaluation only."""

    @property
    def text(self) -> str | None:
        """The chosen answer, or None where there is none."""
        return self.selection.winner.text if self.selection else None


replace = msgspec.structs.replace
