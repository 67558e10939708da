"""What reward servers are asked and what they answer, by API. Pure.

Shapes as documented by vLLM (/classify, /pooling, /score, /rerank), Cohere and Jina (/rerank). A reading
is a table of numbers, positions × classes: one position for a whole text, several for a model that scores
every token or step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from nbest.errors import InputError
from nbest.scoring.endpoint import TokenCount
from nbest.text.raw_prompt import raw_text
from nbest.types import Json, Prompt

Api = Literal["classify", "pooling", "score", "rerank"]
Reading = list[list[float]]
Number = float
"""Whole numbers are read as such."""


class _Billed(msgspec.Struct):
    input_tokens: float | None = None


class _Meta(msgspec.Struct):
    billed_units: _Billed | None = None


class _Reply(msgspec.Struct):
    usage: TokenCount | None = None
    meta: _Meta | None = None

    @property
    def prompt_tokens(self) -> int:
        """Tokens read, where the server counts them; Cohere bills searches instead, and this is 0."""
        if self.usage:
            return self.usage.prompt
        if self.meta is None or self.meta.billed_units is None:
            return 0
        return int(self.meta.billed_units.input_tokens or 0)


class _Class(msgspec.Struct):
    probs: list[Number]
    index: int = 0


class Classified(_Reply, kw_only=True):
    data: list[_Class]

    def by_index(self) -> Mapping[int, Reading]:
        return {d.index: [d.probs] for d in self.data}


class _Pooled(msgspec.Struct):
    data: Number | list[Number | list[Number]]
    index: int = 0


class Pooled(_Reply, kw_only=True):
    data: list[_Pooled]

    def by_index(self) -> Mapping[int, Reading]:
        return {d.index: _table(d.data) for d in self.data}


class _Scored(msgspec.Struct):
    score: Number | list[Number | list[Number]]
    index: int = 0


class Scored(_Reply, kw_only=True):
    data: list[_Scored]

    def by_index(self) -> Mapping[int, Reading]:
        return {d.index: _table(d.score) for d in self.data}


class _Ranked(msgspec.Struct):
    index: int
    relevance_score: Number


class Reranked(_Reply, kw_only=True):
    results: list[_Ranked]

    def by_index(self) -> Mapping[int, Reading]:
        return {r.index: [[r.relevance_score]] for r in self.results}


Reply = Classified | Pooled | Scored | Reranked
REPLIES: Mapping[Api, type[Reply]] = {
    "classify": Classified,
    "pooling": Pooled,
    "score": Scored,
    "rerank": Reranked,
}


def _table(numbers: float | list[float | list[float]]) -> Reading:
    """A number; the classes of a whole text; or the classes at each place."""
    if not isinstance(numbers, list):
        return [[numbers]]
    rows = [n for n in numbers if isinstance(n, list)]
    return rows or [[n for n in numbers if not isinstance(n, list)]]


def class_of(label: int | None, num_classes: int, where: str) -> int:
    """Which class is the score. Raises `InputError` where that is not known, or there is no such class."""
    if num_classes > 1 and label is None:
        raise InputError(
            f"{where} gives {num_classes} numbers for each text: say which class is the score, from 0:"
            f"  label={num_classes - 1}"
        )
    if (label or 0) >= num_classes:
        raise InputError(f"label={label}, but {where} gives {num_classes} classes, counted from 0")
    return label or 0


def addresses(url: str) -> list[tuple[Api, str]]:
    """Where each API may be, likeliest first; one alone where `url` ends in its name."""
    url = url.strip().rstrip("/")
    parts = urlsplit(url)
    named: Api | None = next((a for a in REPLIES if parts.path.endswith(f"/{a}")), None)
    if named:
        return [(named, url)]
    root = re.sub(r"/v[12]$", "", url)
    given: list[str] = []
    if url != root:
        given.append(url)
    bases = list(dict.fromkeys([root, *given, f"{root}/v1"]))
    ranked = list(dict.fromkeys([*given, f"{root}/v1", root, f"{root}/v2"]))
    return [
        *(("classify", f"{b}/classify") for b in bases),
        *(("pooling", f"{b}/pooling") for b in bases[:1]),
        *(("score", f"{b}/score") for b in bases),
        *(("rerank", f"{b}/rerank") for b in ranked),
    ]


def pair_body(api: Api, prompt: Prompt, texts: Sequence[str]) -> dict[str, Json]:
    """For cross-encoders: the conversation as one text, and the candidates."""
    query = raw_text(prompt)
    if api == "score":
        return {"text_1": query, "text_2": list(texts)}
    return {"query": query, "documents": list(texts), "top_n": len(texts)}


def chat_body(prompt: Prompt, text: str) -> dict[str, Json]:
    """The conversation with the candidate as its last turn: the server applies the model's chat template."""
    turns = [{"role": m.role, "content": m.content} for m in prompt.messages]
    return {"messages": [*turns, {"role": "assistant", "content": text}]}


def text_body(texts: Iterable[str]) -> dict[str, Json]:
    """Plain texts, for models without a chat template."""
    return {"input": list(texts)}


def filled(template: str, prompt: Prompt, answer: str) -> str:
    """`template` with `{prompt}` and `{answer}` in their places, whatever these two contain."""
    value_by_place = {"{prompt}": raw_text(prompt), "{answer}": answer}
    return re.sub(r"\{prompt\}|\{answer\}", lambda m: value_by_place[m[0]], template)
