"""What an engine reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol, TypeVar

import msgspec

from nbest.accounting.tokens import estimated_tokens
from nbest.engines.openai.tool_calls import tool_calls
from nbest.errors import EngineProtocolError
from nbest.http_client import error_text
from nbest.types import Completion, Finish, Json, Logprobs, SamplingParams, ToolCall, Usage, replace

THOUGHTS = ("reasoning_content", "reasoning")
"""What servers call what was thought: DeepSeek and llama.cpp the first, vLLM, Groq and OpenRouter the second."""
_MAX_HEAD = 300
_T = TypeVar("_T")

_FINISH: Mapping[str | None, Finish] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "filtered",
    "abort": "error",
    "error": "error",
}
"""Everything else (stop, eos, end_turn, tool_calls, null, …) is a text that ended by itself."""


class HasThoughts(Protocol):
    """A message, or a piece of one, of servers that tell thoughts apart."""

    reasoning_content: Json
    reasoning: Json


class ServerMessage(msgspec.Struct):
    content: str | list[dict[str, Json]] | None = None
    refusal: str | None = None
    reasoning_content: Json = None
    reasoning: Json = None
    tool_calls: Json = None
    function_call: Json = None


class _Top(msgspec.Struct):
    token: str
    logprob: float


class _Token(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Top] | None = None


class ServerLogprobs(msgspec.Struct):
    """Both shapes: `content` of chat, the rest of legacy completions."""

    content: list[_Token] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None
    text_offset: list[int] | None = None


Count = Annotated[int, msgspec.Meta(ge=0)]


class _PromptDetails(msgspec.Struct):
    cached_tokens: Count | None = None


class ServerUsage(msgspec.Struct):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: Json = None
    """A count that is only shown must not cost the reply, whatever it looks like."""


class ServerChoice(msgspec.Struct):
    index: int = 0
    message: ServerMessage | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: ServerLogprobs | None = None
    stop_reason: Json = None
    """vLLM: the stop string, or the id of a stop token."""
    matched_stop: Json = None
    """The same from SGLang."""
    usage: ServerUsage | None = None
    """Of this choice alone, where a stream counts each (llama.cpp)."""


class _Prompted(msgspec.Struct):
    logprob: float
    decoded_token: str | None = None


class ServerReply(msgspec.Struct):
    choices: list[ServerChoice] | None = None
    usage: ServerUsage | None = None
    error: Json = None
    prompt_logprobs: list[dict[str, _Prompted] | None] | None = None


class _Model(msgspec.Struct):
    id: str
    owned_by: str | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


_reply = msgspec.json.Decoder(ServerReply)
_models = msgspec.json.Decoder(_Models)


def completions(raw: bytes, params: SamplingParams) -> list[Completion]:
    """The completions of a reply to either body, in order.

    A choice without text that says why (length: it all went into reasoning) is a failed completion with
    its usage, and so is a refusal, what a content filter cut, and one with a malformed call. Raises
    `EngineProtocolError` for no choices, for choices that are all empty without a reason, and for anything
    that is not the shape OpenAI documents.
    """
    reply = decode(_reply, raw)
    if reply.error is not None and not reply.choices:
        raise EngineProtocolError(f"the server answered with an error: {error_text(raw)}")
    return assembled(reply, params)


def assembled(reply: ServerReply, params: SamplingParams) -> list[Completion]:
    """`completions` of a reply that is read already."""
    if not reply.choices:
        raise EngineProtocolError("the server's reply has no choices")
    choices = sorted(reply.choices, key=lambda c: c.index)
    drawn = [_completion(c, params) for c in choices]
    if all(d.error and _is_silent(c) for d, c in zip(drawn, choices, strict=True)):
        raise EngineProtocolError(f"the server's reply has no text: {drawn[0].error}")
    return _with_usage(drawn, choices, reply.usage, params.max_tokens)


def prompt_tokens(raw: bytes) -> int | None:
    """How many tokens the server says the prompt has."""
    usage = decode(_reply, raw).usage
    return usage.prompt_tokens if usage else None


def prompt_logprobs(raw: bytes) -> Logprobs | None:
    """Of every prompt token but the first, from vLLM's `prompt_logprobs=0`; None where there are none."""
    places = [p for p in decode(_reply, raw).prompt_logprobs or () if p]
    if not places:
        return None
    first = [next(iter(p.values())) for p in places]
    return Logprobs(
        tokens=tuple(f.decoded_token or "" for f in first), values=tuple(f.logprob for f in first)
    )


def echoed_logprobs(raw: bytes, start: int, stop: int) -> Logprobs | None:
    """Of the echoed tokens that begin at characters start ≤ c < stop; None where nothing was echoed."""
    reply = decode(_reply, raw)
    found = reply.choices[0].logprobs if reply.choices else None
    if not (found and found.tokens and found.token_logprobs and found.text_offset):
        return None
    rows = zip(found.tokens, found.token_logprobs, found.text_offset, strict=False)
    kept = [(t, v) for t, v, at in rows if start <= at < stop and v is not None]
    return Logprobs(tokens=tuple(t for t, _ in kept), values=tuple(v for _, v in kept))


def models(raw: bytes) -> dict[str, str | None]:
    """Model id → who owns it, from GET /models; servers name themselves there."""
    return {m.id: m.owned_by for m in decode(_models, raw).data}


def decode(decoder: msgspec.json.Decoder[_T], raw: bytes) -> _T:
    """What `raw` says. Raises `EngineProtocolError` where it is not JSON or not of the shape."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as e:
        if b'"error"' in raw[:200]:
            raise EngineProtocolError(f"the server answered with an error: {error_text(raw)}") from None
        raise EngineProtocolError(f"the server's reply is not of OpenAI's shape: {e}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        head = error_text(raw[:_MAX_HEAD])[:80]
        raise EngineProtocolError(f"the server's reply is not JSON: {head!r}") from None


def _completion(choice: ServerChoice, params: SamplingParams) -> Completion:
    """One choice, without its usage."""
    calls, text, why = _said_by(choice)
    finish = _FINISH.get(choice.finish_reason, "stop")
    if refusal := _refusal(choice):
        text, finish, why = refusal, "refused", f"the model refused: {refusal}"
    elif finish == "filtered" or (finish == "error" and why is None):
        why = f"the server cut the text: {choice.finish_reason}"
    elif why:
        finish = "error"
    return Completion(
        text=text or "",
        finish=finish,
        logprobs=_logprobs(choice.logprobs, params) if params.logprobs is not None else None,
        error=why,
        stopped_by=_stopped_by(choice),
        tool_calls=() if why else calls,
        reasoning=thoughts(choice.message) if choice.message else None,
    )


def _is_silent(choice: ServerChoice) -> bool:
    """Whether it has nothing, and no reason for it."""
    said = choice.message
    has_calls = said and (said.tool_calls or said.function_call or said.refusal)
    return not has_calls and choice.finish_reason in {None, "stop"}


def _refusal(choice: ServerChoice) -> str | None:
    """The model's words for not answering, where it says nothing else."""
    said = choice.message
    return (
        said.refusal if said and not (plain(said.content) or said.tool_calls or said.function_call) else None
    )


def _stopped_by(choice: ServerChoice) -> str | None:
    """The stop string, where the server names one; ids of tokens that end a text are none."""
    named: list[Json] = [choice.stop_reason, choice.matched_stop]
    return next((name for name in named if isinstance(name, str) and name), None)


def _said_by(choice: ServerChoice) -> tuple[tuple[ToolCall, ...], str | None, str | None]:
    """The calls, the text, and why there is neither."""
    text = choice.text if choice.message is None else plain(choice.message.content)
    calls: tuple[ToolCall, ...] = ()
    if choice.message:
        try:
            calls = tool_calls(choice.message.tool_calls, choice.message.function_call)
        except ValueError as e:
            is_cut = _FINISH.get(choice.finish_reason) == "length"
            why = (
                "a call of a tool was cut: raise max_tokens" if is_cut else f"a malformed call of a tool: {e}"
            )
            return (), text, why
    return calls, text, None if calls or text is not None else _why_no_text(choice)


def reasoning_tokens(usage: ServerUsage) -> int:
    """How many of the drawn tokens were thoughts; 0 where nobody says."""
    match usage.completion_tokens_details:
        case {"reasoning_tokens": int(num)} if num > 0:
            return num
        case _:
            return 0


def thoughts(said: HasThoughts) -> str | None:
    """What was thought before the answer, by either name."""
    name = name_of_thoughts(said)
    return getattr(said, name) if name else None


def name_of_thoughts(said: HasThoughts) -> str | None:
    """The one of `THOUGHTS` that holds a text."""
    return next((k for k in THOUGHTS if isinstance(t := getattr(said, k), str) and t), None)


def thoughts_name(raw: bytes) -> str | None:
    """What the server calls the thoughts in a reply."""
    messages = (c.message for c in decode(_reply, raw).choices or () if c.message)
    return next((name for m in messages if (name := name_of_thoughts(m))), None)


def plain(content: str | list[dict[str, Json]] | None) -> str | None:
    """The text of a content that may be a list of parts."""
    return "".join(str(p.get("text", "")) for p in content) if isinstance(content, list) else content


def _why_no_text(choice: ServerChoice) -> str:
    if choice.finish_reason == "length":
        return "no text: every token went into reasoning; raise max_tokens"
    return f"no text (finish_reason {choice.finish_reason or 'null'})"


def _logprobs(found: ServerLogprobs | None, params: SamplingParams) -> Logprobs | None:
    if found is None:
        return None
    if found.content is not None:
        top = ({t.token: t.logprob for t in c.top_logprobs or ()} for c in found.content)
        return Logprobs(
            tokens=tuple(c.token for c in found.content),
            values=tuple(c.logprob for c in found.content),
            top=tuple(top) if params.logprobs else (),
        )
    if found.tokens is None or found.token_logprobs is None:
        return None
    values = tuple(v for v in found.token_logprobs if v is not None)
    if len(values) != len(found.tokens):
        raise EngineProtocolError(
            f"the server's reply has {len(values)} log-probabilities for {len(found.tokens)} tokens"
        )
    alternatives = found.top_logprobs if params.logprobs and found.top_logprobs else ()
    return Logprobs(tokens=tuple(found.tokens), values=values, top=tuple(t or {} for t in alternatives))


def _with_usage(
    drawn: Sequence[Completion],
    choices: Sequence[ServerChoice],
    usage: ServerUsage | None,
    max_tokens: int,
) -> list[Completion]:
    """The call's tokens on its completions: the prompt, and what was thought, on the first; the sum is exact."""
    shares = _shares(
        drawn, [_num_tokens(c) for c in choices], usage.completion_tokens if usage else None, max_tokens
    )
    read = usage.prompt_tokens_details if usage else None
    first = Usage(
        prompt=(usage and usage.prompt_tokens) or 0,
        cached=(read and read.cached_tokens) or 0,
        completion=shares[0],
        calls=1,
        reasoning=reasoning_tokens(usage) if usage else 0,
    )
    usages = [first, *(Usage(completion=s) for s in shares[1:])]
    return [replace(d, usage=u) for d, u in zip(drawn, usages, strict=True)]


def _shares(
    drawn: Sequence[Completion],
    counts: Sequence[int | None],
    total: int | None,
    max_tokens: int,
) -> list[int]:
    """Drawn tokens of each completion: as counted, from log-probabilities, from being cut, else by length in bytes."""
    known = [n for n in counts if n is not None]
    if len(drawn) == 1 and total is not None:
        return [max([total, *known])]
    is_known = len(known) == len(drawn)
    num_bytes = [len(d.text.encode()) for d in drawn]
    if total is None:
        return known if is_known else [estimated_tokens(d.text) for d in drawn]
    if is_known:
        return split(total, known) if total >= sum(known) else known
    is_cut = [d.finish == "length" for d in drawn]
    rest = total - sum(is_cut) * max_tokens
    if rest >= 0 and (rest == 0 or not all(is_cut)):
        parts = split(rest, [0 if cut else b + 1 for cut, b in zip(is_cut, num_bytes, strict=True)])
        return [max_tokens if cut else n for cut, n in zip(is_cut, parts, strict=True)]
    return split(total, [b + 1 for b in num_bytes])


def _num_tokens(choice: ServerChoice) -> int | None:
    if choice.usage and choice.usage.completion_tokens is not None:
        return choice.usage.completion_tokens
    found = choice.logprobs
    tokens = (found.content if found.content is not None else found.tokens) if found else None
    return None if tokens is None else len(tokens)


def split(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in parts proportional to `weights` (largest remainders), equal parts for no weight."""
    all_weight = sum(weights)
    if not all_weight:
        weights, all_weight = [1] * len(weights), len(weights)
    parts = [total * w // all_weight for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % all_weight), i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts
