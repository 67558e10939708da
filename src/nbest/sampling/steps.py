"""Steps of an answer: where they end, in any script, and how the next one is asked for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from typing import Literal

import regex

from nbest.types import Candidate, Logprobs, Prompt, Request, SamplingParams, replace

Boundary = Literal["newline", "blank_line", "sentence", "tokens"]
"""What ends a step: a line's end, an empty line, a sentence's end in any script, or `step_tokens` alone."""

_SPACED = ".!?"
"""Ends of sentences that stand inside numbers, addresses and names too: they count before white space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Plans the draws of single steps and reads what came back.

    The engine is asked to continue the answer so far and to stop at a boundary. Engines cut the
    boundary off; it is put back, so that a prefix is word for word what the model would have read, and
    what it has in its cache. No boundary is a word of any language.
    """

    boundary: Boundary = "newline"
    tags: tuple[str, ...] = ()
    """Further strings that end a step, such as a model's own `</step>`."""
    step_tokens: int = 256
    """Tokens of one step at most; a step that reaches them goes on in the next."""
    max_tokens: int = 2048
    """Tokens of one answer at most; an answer that reaches them was cut off."""
    temperature: float = 0.8
    top_p: float = 1.0
    min_p: float = 0.0
    logprobs: int | None = None

    def __post_init__(self) -> None:
        if self.step_tokens < 1 or self.max_tokens < 1:
            raise ValueError(
                f"step_tokens and max_tokens must be at least 1, got {self.step_tokens} and {self.max_tokens}"
            )
        if "" in self.tags:
            raise ValueError("a tag must not be empty")
        self._params(seed=0, is_greedy=False, max_tokens=1)

    @property
    def stop(self) -> tuple[str, ...]:
        """The strings that end a step."""
        match self.boundary:
            case "newline":
                return ("\n", *self.tags)
            case "blank_line":
                return ("\n\n", *self.tags)
            case "sentence":
                return (*sentence_ends(), *self.tags)
            case "tokens":
                return self.tags

    def next(
        self,
        prompt: Prompt,
        parent: Candidate | None,
        n: int,
        *,
        seed: int,
        spent: int,
        is_greedy: bool = False,
    ) -> Request:
        """`n` next steps after `parent` (None: the first ones) in one request: the prefix is read once.

        `spent` tokens of `max_tokens` are in `parent` already.
        """
        room = max(1, min(self.step_tokens, self.max_tokens - spent))
        params = self._params(seed=seed, is_greedy=is_greedy, max_tokens=room)
        return self._request(prompt, parent, n, replace(params, stop=self.stop))

    def rest(
        self,
        prompt: Prompt,
        parent: Candidate | None,
        n: int,
        *,
        seed: int,
        spent: int,
        is_greedy: bool = False,
    ) -> Request:
        """`n` continuations of `parent` to the end of the answer."""
        room = max(1, self.max_tokens - spent)
        params = self._params(seed=seed, is_greedy=is_greedy, max_tokens=room)
        return self._request(prompt, parent, n, params)

    def read(self, drawn: Candidate, parent: Candidate | None, *, spent: int, names_stop: bool) -> Candidate:
        """What a draw of `next` is: a step (finish "step"), an answer ("stop"), or one cut off ("length").

        The boundary is back in the text, and log-probabilities are those of all steps. Where the engine
        does not say what ended a text (`names_stop`), a text that ended is a step, with the first
        boundary put back, and one that ended at once is the end of the answer. `spent` includes this draw.
        """
        if drawn.error is not None:
            return drawn
        before = parent.text if parent else ""
        own = drawn.text[len(before) :]
        whole = replace(drawn, logprobs=joined(parent.logprobs if parent else None, drawn.logprobs, before))
        if drawn.finish == "length":
            return replace(whole, finish="step" if own and spent < self.max_tokens else "length")
        stop = self.stop
        ended_by = drawn.stopped_by or (stop[0] if own and stop and not names_stop else None)
        if ended_by is None:
            return whole
        text = drawn.text + ended_by
        return replace(whole, text=text, finish="step" if spent < self.max_tokens else "length")

    def _params(self, *, seed: int, is_greedy: bool, max_tokens: int) -> SamplingParams:
        return SamplingParams(
            temperature=0.0 if is_greedy else self.temperature,
            top_p=1.0 if is_greedy else self.top_p,
            min_p=0.0 if is_greedy else self.min_p,
            max_tokens=max_tokens,
            seed=seed,
            logprobs=self.logprobs,
        )

    def _request(self, prompt: Prompt, parent: Candidate | None, n: int, params: SamplingParams) -> Request:
        return Request(
            prompt=prompt,
            prefix=parent.text if parent else "",
            n=n,
            params=params,
            parents=(parent.id,) if parent else (),
        )


def joined(before: Logprobs | None, own: Logprobs | None, prefix: str) -> Logprobs | None:
    """Of a prefix and its continuation; None where the prefix has text and no log-probabilities."""
    if not prefix or own is None:
        return own
    if before is None:
        return None
    top = (*before.top, *own.top) if before.top and own.top else ()
    return Logprobs(tokens=before.tokens + own.tokens, values=before.values + own.values, top=top)


@cache
def sentence_ends() -> tuple[str, ...]:
    """Strings that end a sentence, from Unicode's property Sentence_Terminal, and the line's end.

    Most scripts' marks stand for nothing else (。 । ؟ ። ។ …); `.`, `!` and `?` do, and count before a
    space. Thai has no such mark, and ends its sentences at line ends here.
    """
    everything = "".join(chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000)  # noqa: PLR2004
    marks = regex.findall(r"\p{Sentence_Terminal}", everything)
    return ("\n", *(f"{m} " if m in _SPACED else m for m in marks))
