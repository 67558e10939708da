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
"""What a call is for: to answer, to score, to judge or to fuse."""

Finish = Literal["stop", "length", "error", "step", "refused", "filtered"]
"""Why a text ended: by itself or at a stop string ("stop"), cut at `max_tokens` ("length"), or failed ("error").

"refused" and "filtered" are failed draws whose text is the model's refusal, or what a content filter left of
it. "step", of candidates only, is a part of an answer that a search may continue."""

Stopped = Literal["done", "quorum", "stop", "budget", "deadline", "error"]
"""What ended the work on a prompt; "quorum": draws were cancelled because enough others were there; "stop": a stopping
rule left draws out."""


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """A frozen record; `replace` makes a changed copy."""


class Message(Value, frozen=True, kw_only=True):
    """One turn of a conversation."""

    role: str
    content: str = ""
    """The text; of a turn in parts, the texts among them, one a line."""
    parts: tuple[Json, ...] = ()
    """The content as OpenAI's list of parts, where it is more than one text."""
    fields: Mapping[str, Json] = {}
    """Further fields of the turn, as they came: `tool_calls`, `tool_call_id`, `name`, …"""


class Overrides(Value, frozen=True, kw_only=True):
    """A client's parameters for every draw of its answer; None leaves one to the sampler.

    `Context.sample` puts them into policy requests; OpenAI-compatible engines send `body` as it is.
    """

    temperature: float | None = None
    """Replaces the one temperature of stochastic draws. A greedy draw stays greedy, draws at several temperatures
    keep theirs, and 0 is ignored for a pool, whose draws would all be equal."""
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    """Of each draw, in place of the sampler's; a step takes the smaller one."""
    stop: tuple[str, ...] = ()
    """In addition to the sampler's."""
    logprobs: int | None = None
    body: Mapping[str, Json] = {}
    """Further fields of the request, such as `tools`, `response_format`, `logit_bias`."""


class Prompt(Value, frozen=True, kw_only=True):
    """A conversation to answer. It never holds the gold answer: a strategy cannot leak what it cannot see."""

    id: str
    messages: tuple[Message, ...]
    language: str | None = None
    """The language that the answer should be in, where known: an ISO 639-1 code that a script and a region may
    follow, as in zh-Hant."""
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
    """Of draw 0; draw i of a request uses seed + i, so that larger pools contain smaller ones."""
    logprobs: int | None = None
    """0: those of the drawn tokens; k: those of the k likeliest tokens at each place as well; None: none."""

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
    """`n` draws for one prompt under the same parameters: one or more calls of an engine."""

    prompt: Prompt
    prefix: str = ""
    """Assistant text that the engine continues; completions never repeat it."""
    n: int = 1
    params: SamplingParams = SamplingParams()
    role: Role = "policy"
    engine: str | None = None
    """Name of the engine; None is the role's own."""
    language: str | None = None
    """The language of the answer, where it is not the prompt's."""
    parents: tuple[int, ...] = ()
    """Ids of the candidates that the new ones are made from."""
    is_part: bool = False
    """Whether a step or the rest of an answer is drawn, not a whole one."""
    is_step: bool = False
    """Whether it is a step: a budget counts it by its share of an answer."""

    def part(self, start: int, n: int) -> Request:
        """Draws start … start + n − 1, under the seeds that they have in the whole."""
        return self if (start, n) == (0, self.n) else replace(self, n=n, params=self.params_of(start))

    def params_of(self, i: int) -> SamplingParams:
        """The parameters of draw i, under its own seed."""
        seed = self.params.seed
        return self.params if seed is None or i == 0 else replace(self.params, seed=seed + i)


class Usage(Value, frozen=True, kw_only=True):
    """Tokens and calls, as far as the server reports them; of calls that were cut, as estimated."""

    prompt: int = 0
    """Input tokens."""
    cached: int = 0
    """The part of `prompt` that the engine had in its cache, as it says: costs go by `Spent.reused`."""
    completion: int = 0
    """Output tokens, reasoning included."""
    calls: int = 0
    reasoning: int = 0
    """The part of `completion` that is reasoning; of a call for n, on the first of its n completions."""
    estimated_prompt: int = 0
    """The part of `prompt` that is estimated, because the call was cut before the server reported it."""
    estimated_completion: int = 0
    """The part of `completion` that is estimated, for the same reason."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt=self.prompt + other.prompt,
            cached=self.cached + other.cached,
            completion=self.completion + other.completion,
            calls=self.calls + other.calls,
            reasoning=self.reasoning + other.reasoning,
            estimated_prompt=self.estimated_prompt + other.estimated_prompt,
            estimated_completion=self.estimated_completion + other.estimated_completion,
        )


class Spent(Value, frozen=True, kw_only=True):
    """What one engine was used for in one role."""

    role: str
    engine: str = ""
    """Its name in the configuration ("policy", "judge", …); empty where the record does not say."""
    model: str = ""
    """What `Candidate.engine` says of its draws: engine and model."""
    usage: Usage = Usage()
    reused: int = 0
    """Input tokens that the same outcome had computed before, and an engine with a cache of prefixes need not compute
    again: what costs credit. Unlike `usage.cached` it does not depend on what else the engine has computed."""
    context: int = 0
    """Sum over all computed tokens of the number of tokens that each attends to, itself included."""


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
    """A part of a streamed tool call: the deltas of one `index` together are the call."""

    index: int
    """Its place among the calls of the answer."""
    id: str | None = None
    """On the first delta of a call."""
    name: str = ""
    arguments: str = ""


class ReasoningDelta(Value, frozen=True, kw_only=True):
    """A part of streamed reasoning."""

    text: str


Delta = str | ToolCallDelta | ReasoningDelta
"""A part of a streamed answer: of its reasoning, then its text (`str`), then its tool calls."""


class Completion(Value, frozen=True, kw_only=True):
    """One drawn text. A call for n charges its prompt to the first of its n completions."""

    text: str
    finish: Finish = "stop"
    usage: Usage = Usage()
    logprobs: Logprobs | None = None
    hidden: Usage = Usage()
    """What the engine spent on further calls for this draw, such as one for a log-probability that the reply leaves
    out; not in `usage`."""
    engine: str | None = None
    """The engine that drew it, where it is not the one that was called (failover)."""
    error: str | None = None
    """Why this draw failed; None for one that is usable."""
    stopped_by: str | None = None
    """The stop string that ended it, which is not in `text`; None where the text ended otherwise, or the engine
    does not report it (`Capabilities.names_stop`)."""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None
    """The model's reasoning, where the server reports it apart from `text`."""

    @classmethod
    def failed(cls, why: str, usage: Usage = Usage()) -> Completion:  # noqa: B008 (frozen)
        """A draw without text, with the reason."""
        return cls(text="", finish="error", error=why, usage=usage)


class Candidate(Value, frozen=True, kw_only=True):
    """One possible answer, or a step of one. `id` is its place in the pool, failed ones included."""

    id: int
    text: str
    finish: Finish = "stop"
    params: SamplingParams | None = None
    engine: str | None = None
    usage: Usage = Usage()
    logprobs: Logprobs | None = None
    parents: tuple[int, ...] = ()
    """Ids of the candidates that this one was made from: fused, revised, continued."""
    language: str | None = None
    """The language that it was to be in."""
    error: str | None = None
    """Why it failed: a failed candidate is data."""
    meta: Mapping[str, Json] = {}
    """Other fields of a recorded pool, such as a human score."""
    stopped_by: str | None = None
    """As in `Completion`, but a step's text ends with it."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls of the client's functions, with text or without; such a candidate is compared by its calls."""
    reasoning: str | None = None
    """As in `Completion`; selectors and scorers do not see it."""
    after: int | None = None
    """In records alone: the candidate whose text comes before `text`."""
    num_logprobs_before: int = 0
    """In records alone: how many of that candidate's log-probabilities come before `logprobs`."""

    @property
    def is_usable(self) -> bool:
        """Whether it may be chosen at all."""
        return self.error is None


class Score(Value, frozen=True, kw_only=True):
    """Higher is better, always. None, never NaN, where the scorer could not run."""

    value: float | None
    steps: tuple[float, ...] = ()


class Selection(Value, frozen=True, kw_only=True):
    """What was chosen: `winner` is of the pool, or a new candidate with parents in it (fusion)."""

    winner: Candidate
    weights: Mapping[int, float]
    """Candidate id → its share in the choice (votes for the winner's class of answers); they sum to 1."""
    scores: Mapping[int, float] = {}
    """Candidate id → score, higher is better, in the selector's own unit."""
    rationale: str | None = None
    details: Mapping[str, Json] = {}
    """The selector's own record of the choice, such as a judge's rounds, verdicts and failures."""


class Budget(Value, frozen=True, kw_only=True):
    """Limits for one prompt, checked before anything is spent; None is no limit."""

    samples: int | None = None
    """Draws, of all roles together. A step of a search counts by its share of an answer, and what finishes an answer
    as the rest of one draw: a search for n answers takes n samples, as n whole answers do."""
    tokens: int | None = None
    """Output tokens, of all roles together."""
    seconds: float | None = None
    input_chars: int | None = None
    """Characters of the prompts of all draws together, each draw counted with the whole of its prompt."""
    flops: float | None = None
    """Of all engines together, 2 · parameters · tokens computed; needs `sizes`. Prompts are estimated beforehand."""
    sizes: Mapping[str, float] = {}
    """Active parameters by name of the engine or by role, for `flops`; an engine without its own has the policy's."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for `flops` without the size of the policy."""
        if self.flops is not None and not self.sizes.get("policy", 0) > 0:
            raise ValueError(
                "a budget of flops needs sizes, with the active parameters of the policy at least"
            )


class Outcome(Value, frozen=True, kw_only=True):
    """The answer to one prompt, and how it came about. Records hold these; everything after generation reads them."""

    prompt: Prompt
    strategy: str
    seed: int
    selection: Selection | None
    candidates: tuple[Candidate, ...]
    usage: Mapping[str, Usage]
    """By role."""
    scores: Mapping[str, Mapping[int, Score]] = {}
    """What scored the candidates: spec of the scorer → candidate id → its score, and those of its steps."""
    spent: tuple[Spent, ...] = ()
    """The same by role and engine; empty in records of older versions."""
    stopped: Stopped = "done"
    """"error": nothing was chosen (`error` says why), or what should have chosen failed and something else chose
    (`notes` say so)."""
    error: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    """Wall time: the only field in which two runs with the same seed may differ."""
    gold: Mapping[str, Json] = {}
    """The other columns of the prompt's row (answer, reference, …), for evaluation only."""

    @property
    def text(self) -> str | None:
        """The chosen answer; None where there is none."""
        return self.selection.winner.text if self.selection else None


replace = msgspec.structs.replace
