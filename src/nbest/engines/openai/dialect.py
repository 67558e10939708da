"""What one OpenAI-compatible server understands: known by its name for itself, else learnt by asking.

Servers disagree: `n` is ignored, capped or refused; extra fields are a 422; a trailing assistant
message is continued with or without flags, echoed, or answered anew. Nothing is forgotten.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from nbest.engines.openai.request import chat_body, own_fields, text_body
from nbest.engines.openai.response import THOUGHTS
from nbest.http_client import error_text
from nbest.protocols import Capabilities
from nbest.types import Json, Request

log = logging.getLogger("nbest.engines.openai.openai")

SERVERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llamacpp", "llama.cpp": "llamacpp"}
"""What servers call themselves in GET /models (`owned_by`)."""

OPTIONAL = {
    "n": "draws are asked for one by one",
    "min_p": "texts are drawn without min_p",
    "top_k": "texts are drawn without top_k",
    "repetition_penalty": "the model's own repetition penalty holds",
    "seed": "draws cannot be repeated",
    "logprobs": "there are no log-probabilities",
    "top_logprobs": "alternatives of tokens are missing",
    "continue_final_message": "a prefix is sent as a trailing assistant message",
    "add_generation_prompt": "a prefix is sent as a trailing assistant message",
    "temperature": "it is left out where it is 1",
    "top_p": "it is left out where it is 1",
    "max_tokens": "max_completion_tokens is sent instead",
    "stream": "texts come in one piece",
    "stream_options": "a stream does not say what it cost",
}
"""Fields that can be done without, and what that means."""

_NEUTRAL: Mapping[str, Mapping[str, Json]] = {
    "vllm": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
    "sglang": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
    "llamacpp": {"top_k": 0, "min_p": 0.0, "samplers": ["temperature", "min_p", "top_k", "top_p"]},
}
"""By server: what must be said to draw from the model's own distribution. vLLM and SGLang take what is
left out from the model's generation_config, llama.cpp from its own defaults (top_k 40, min_p 0.05), and it would cut before it applies temperature."""

_PENALTIES = frozenset({"presence_penalty", "frequency_penalty", "repeat_penalty"})
_CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}
_N_REFUSED = re.compile(
    r"['\"`]n['\"`]|\bn\s*(?:[><=≤≥]|must|should|cannot|is\b|greater|larger|parameter)|n_cmpl|n_parallel"
    r"|only one (?:completion )?choice|parameter:? n\b",
    re.IGNORECASE,
)
_STREAM_REFUSED = re.compile(r"['\"`]stream['\"`]|\bstream(?:ing)?\W+(?:\w+\W+)?not\b", re.IGNORECASE)
_AT_MOST = re.compile(
    r"(?:<=|≤|at most|less than or equal to|between 1 and|maximum(?: of| is|:)?|max allowed:?|up to"
    r"|n_parallel \(|slots \()\s*(\d+)",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Dialect:
    """What is known about one server and model."""

    server: str | None = None
    """"vllm", "sglang", "llamacpp", or None for any other."""
    max_n: int | None = None
    max_logprobs: int | None = None
    has_logprobs: bool = True
    refused: set[str] = field(default_factory=set[str])
    continues: bool | None = None
    """Whether an assistant prefix is continued; None: not asked yet."""
    echoes: bool | None = None
    """Whether the reply repeats the prefix; None: not asked yet."""
    thoughts: str | None = None
    """What the server calls them in its replies, and wants them back as; "": it takes none; None: it said none yet."""

    @property
    def streams_pools(self) -> bool:
        """Whether several draws are asked for as a stream.

        llama.cpp's server draws to the end for a client that has left a call of several in one piece, and
        counts the tokens of the first alone; a stream it leaves at once, and counts each.
        """
        return self.server == "llamacpp"

    def capabilities(self) -> Capabilities:
        """As far as known; what was not asked yet counts as there."""
        return Capabilities(
            max_n=self.max_n,
            logprobs=self.has_logprobs,
            max_logprobs=self.max_logprobs,
            prefix=self.continues is not False,
            min_p="min_p" not in self.refused,
            seed="seed" not in self.refused,
            scores_text=self.server == "vllm",
            names_stop=self.server in {"vllm", "sglang"},
        )

    def body(
        self, request: Request, model: str, *, is_chat: bool, is_streamed: bool = False
    ) -> dict[str, Json]:
        """What to send for `request`, without what this server refuses; what the client said stays."""
        body = chat_body(request, model) if is_chat else text_body(request, model)
        own = own_fields(request).keys()
        for key, value in _NEUTRAL.get(self.server or "", {}).items():
            body.setdefault(key, value)
        if self.server == "llamacpp" and own & _PENALTIES and "samplers" not in own:
            body["samplers"] = ["penalties", *body["samplers"]]  # penalties count only where they are named
        if is_chat and request.prefix and self.server != "llamacpp":
            body |= _CONTINUE
        wanted = request.params.logprobs
        if self.server == "llamacpp" and wanted is not None:  # 0 alternatives turn log-probs off there
            body["logprobs"] = True if is_chat else max(1, wanted)
            if is_chat:
                body["top_logprobs"] = max(1, wanted)
        if self.max_logprobs is not None and num_alternatives(body) > self.max_logprobs:
            body = capped(body, self.max_logprobs)
        if is_chat:
            body = self.with_thoughts(body)
        if is_streamed and "stream" not in self.refused:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return without(body, self.refused - own)

    def with_thoughts(self, body: Mapping[str, Json]) -> dict[str, Json]:
        """`body` with what was thought before earlier turns under the server's own name for it."""
        if self.thoughts is None:
            return dict(body)
        turns: list[dict[str, Json]] = []
        for turn in body["messages"]:
            said = {k: v for k, v in turn.items() if k not in THOUGHTS}
            thought = next((turn[k] for k in THOUGHTS if k in turn), None)
            turns.append(said if thought is None or not self.thoughts else {**said, self.thoughts: thought})
        return {**body, "messages": turns}

    def learn_thoughts_refused(self, raw: bytes, body: Mapping[str, Json]) -> bool:
        """Whether an error reply objects to thoughts of earlier turns: they get their other name, and then none."""
        names = {k for turn in body.get("messages", ()) for k in THOUGHTS if k in turn}
        said = error_text(raw)
        refused = {k for k in names if re.search(rf"\b{k}\b", said)}
        if refused:
            is_first = self.thoughts is None and refused == {THOUGHTS[0]}
            self.thoughts = THOUGHTS[1] if is_first else ""
        return bool(refused)

    def learn_refused(self, fields: set[str], host: str) -> None:
        """Remembers fields that the server works without, and says so once for each."""
        for name in sorted(fields - self.refused):
            self.refused.add(name)
            if name == "logprobs":
                self.has_logprobs = False
            log.warning("%s refuses %s: %s", host, name, OPTIONAL[name])

    def learn_max_n(self, max_n: int, host: str) -> None:
        """Remembers how many draws one call gives."""
        if self.max_n is None or max_n < self.max_n:
            self.max_n = max_n
            log.info("%s gives %d of several draws in a call: more calls are made", host, max_n)

    def learn_no_logprobs(self, host: str) -> None:
        """Remembers that a reply came without the log-probabilities asked for."""
        if self.has_logprobs:
            self.has_logprobs = False
            log.warning("%s ignores logprobs: there are no log-probabilities", host)


def without(body: Mapping[str, Json], refused: set[str]) -> dict[str, Json]:
    """`body` without refused fields, where it means the same or nothing better is possible."""
    kept = {k: v for k, v in body.items() if k not in refused or (k in {"temperature", "top_p"} and v != 1)}
    if "max_tokens" in refused and "max_tokens" in body:
        kept.pop("max_tokens", None)
        kept["max_completion_tokens"] = body["max_tokens"]
    if "logprobs" in refused:
        kept.pop("top_logprobs", None)
    if "stream" in refused:
        kept.pop("stream_options", None)
    if "continue_final_message" in refused or "add_generation_prompt" in refused:
        kept.pop("continue_final_message", None)
        kept.pop("add_generation_prompt", None)
    return kept


def num_alternatives(body: Mapping[str, Json]) -> int:
    """How many log-probabilities per place `body` asks for."""
    return body.get("top_logprobs", 0 if body.get("logprobs") is True else body.get("logprobs") or 0)


def capped(body: Mapping[str, Json], most: int) -> dict[str, Json]:
    """`body` with at most that many alternatives per place."""
    return {**body, "top_logprobs" if body["logprobs"] is True else "logprobs": most}


def refusals(raw: bytes, body: Mapping[str, Json]) -> tuple[set[str], int | None]:
    """The optional fields of `body` that an error reply objects to, and the limit that it names.

    `error.param` and FastAPI's `loc` count first; else the names are looked for in the message.
    """
    sent = {k for k in OPTIONAL if k in body}
    said = error_text(raw)
    limit = int(m[1]) if (m := _AT_MOST.search(said)) else None
    found = _pointed_at(raw) & sent
    if not found:
        found = {k for k in sent - {"n", "max_tokens", "stream"} if re.search(rf"\b{k}\b", said)}
        if "n" in sent and _N_REFUSED.search(said):
            found.add("n")
        if "stream" in sent and not found and _STREAM_REFUSED.search(said):
            found.add("stream")
    if "max_tokens" in sent and "max_completion_tokens" in said and "support" in said:
        found.add("max_tokens")
    else:
        found.discard("max_tokens")  # too long a text is no refusal of the field
    return {k for k in found if k not in {"temperature", "top_p"} or body[k] == 1}, limit


def _pointed_at(raw: bytes) -> set[str]:
    try:
        said: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return set()
    match said:
        case {"error": {"param": str(name)}}:
            return {name}
        case {"detail": [*problems]}:
            return {p["loc"][-1] for p in problems if _has_field(p)}
        case _:
            return set()


def _has_field(problem: Any) -> bool:
    match problem:
        case {"loc": [*_, str()]}:
            return True
        case _:
            return False
