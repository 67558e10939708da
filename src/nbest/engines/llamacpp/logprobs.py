"""Log-probabilities of drawn and given tokens from llama.cpp.

Its native reply has one log-probability per *character*: where a character spans tokens, those that
only begin it are left out, which would make text in many scripts look likelier than it is. They are
requested afterwards, from the token ids: a call that draws one token names the log-probability of a
token that a bias forces, and of the likeliest ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbest.engines.llamacpp.runtime import LlamaServer
from nbest.errors import EngineProtocolError
from nbest.types import Logprobs, Usage

FIELDS = [
    "content",
    "tokens",
    "tokens_predicted",
    "tokens_evaluated",
    "stop_type",
    "stopping_word",
    "timings/cache_n",
    "completion_probabilities",
]

_FORCED = 1e6
_WHOLE_VOCABULARY = 2**20


class Place(msgspec.Struct):
    """One token at its place: the last of a character, where a character spans tokens."""

    id: int
    token: str
    logprob: float
    bytes: list[int] = []
    top_logprobs: list[Place] = []

    @property
    def shown(self) -> str:
        r"""The text; `bytes:\xe4\xbd` for what is no text, as OpenAI writes it."""
        if "\ufffd" not in self.token:
            return self.token
        return "bytes:" + "".join(f"\\x{b:02x}" for b in self.bytes)

    def top(self, k: int) -> dict[str, float]:
        return {p.shown: p.logprob for p in self.top_logprobs[:k]}


class Drawn(msgspec.Struct, rename={"num_cached": "timings/cache_n"}):
    """One choice of the native `/completion`."""

    content: str
    tokens_predicted: int
    tokens_evaluated: int
    stop_type: str = ""
    stopping_word: str = ""
    num_cached: int = 0
    tokens: list[int] = []
    completion_probabilities: list[Place] = []

    def usage(self, *, is_first: bool = True) -> Usage:
        """The prompt is read once for all draws of a call."""
        if not is_first:
            return Usage(completion=self.tokens_predicted)
        return Usage(
            prompt=self.tokens_evaluated, cached=self.num_cached, completion=self.tokens_predicted, calls=1
        )


class _Tokenized(msgspec.Struct):
    tokens: list[int]


async def drawn_logprobs(
    server: LlamaServer, prompt_text: str, drawn: Drawn, k: int
) -> tuple[Logprobs, Usage]:
    """Of all drawn tokens, the one that ended the text included, and what the short calls cost that each token takes
    which the reply leaves out."""
    known = _aligned(drawn.tokens, drawn.completion_probabilities)
    calls: list[Usage] = []
    places = [
        known.get(i) or await _place(server, prompt_text, drawn.tokens[:i], id_, k, calls)
        for i, id_ in enumerate(drawn.tokens)
    ]
    return _logprobs(places, k), sum(calls, Usage())


async def text_logprobs(server: LlamaServer, prompt_text: str, text: str) -> Logprobs:
    """Of the tokens that `text` has by itself; one short call for each."""
    ids = (await server.post("/tokenize", {"content": text}, _Tokenized)).tokens
    calls: list[Usage] = []
    places = [
        await _next(server, prompt_text, ids[:i], calls, forced=id_, num_top=1)
        or await _place(server, prompt_text, ids[:i], id_, 0, calls)
        for i, id_ in enumerate(ids)
    ]
    return _logprobs(places, 0)


def _logprobs(places: Sequence[Place], k: int) -> Logprobs:
    tokens = tuple(p.shown for p in places)
    values = tuple(min(0.0, p.logprob) for p in places)
    if not k:
        return Logprobs(tokens=tokens, values=values)
    return Logprobs(tokens=tokens, values=values, top=tuple(p.top(k) for p in places))


def _aligned(ids: Sequence[int], places: Sequence[Place]) -> dict[int, Place]:
    """Place by index of its token, where it is certain: matched alike from both ends."""
    if len(ids) == len(places):
        return dict(enumerate(places))
    forward = _matched(ids, places)
    backward = {len(ids) - 1 - i: len(places) - 1 - j for i, j in _matched(ids[::-1], places[::-1]).items()}
    return {i: places[j] for i, j in forward.items() if backward.get(i) == j}


def _matched(ids: Sequence[int], places: Sequence[Place]) -> dict[int, int]:
    matched: dict[int, int] = {}
    for i, id_ in enumerate(ids):
        if len(matched) < len(places) and places[len(matched)].id == id_:
            matched[i] = len(matched)
    return matched


async def _place(
    server: LlamaServer, prompt_text: str, before: Sequence[int], id_: int, k: int, calls: list[Usage]
) -> Place:
    """Token `id_` after `prompt_text` and the tokens `before`, found among the likeliest or among all.

    What each call costs is added to `calls`.
    """
    neutral = (await server.post("/tokenize", {"content": "a"}, _Tokenized)).tokens[-1]
    for num_top in (max(k, 64), 4096, _WHOLE_VOCABULARY):
        drawn = await _next(server, prompt_text, before, calls, forced=neutral, num_top=num_top)
        if drawn is None:
            continue
        for top in drawn.top_logprobs:
            if top.id == id_:
                return msgspec.structs.replace(top, token="", top_logprobs=drawn.top_logprobs[:k])
    raise EngineProtocolError(f"llama.cpp names no log-probability of token {id_}")


async def _next(
    server: LlamaServer,
    prompt_text: str,
    before: Sequence[int],
    calls: list[Usage],
    *,
    forced: int,
    num_top: int,
) -> Place | None:
    """The one token drawn; None where it is only the beginning of a character."""
    prompt: str | list[str | int] = prompt_text
    if before:
        prompt = [prompt_text, *before]
    body = {
        "prompt": prompt,
        "n_predict": 1,
        "temperature": 0,
        "logit_bias": [[forced, _FORCED]],
        "n_probs": num_top,
        "response_fields": FIELDS,
    }
    drawn = await server.post("/completion", body, Drawn)
    calls.append(drawn.usage())
    return next(iter(drawn.completion_probabilities), None)
