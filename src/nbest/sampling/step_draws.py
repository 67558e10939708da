"""Steps of an answer: where they end, in any script, and how the next one is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import regex

from nbest.types import Candidate, Logprobs, Prompt, Request, SamplingParams, replace

Boundary = Literal["newline", "blank_line", "sentence", "tokens"]
"""What ends a step: a line's end, an empty line, a sentence's end in any script, or `step_tokens` alone."""

_HALF = "\ufffd"
"""What engines write for a character whose last bytes `max_tokens` cut off."""

_SPACED = ".!?"
"""Ends of sentences that stand inside numbers, addresses and names too: they count before white space."""

_CLOSE = r"(?:[\p{Pe}\p{Pf}\"']|\p{Pi}(?=\s))"
"""What closes brackets and quotes; German and Danish close with marks that elsewhere open."""

_SENTENCE_END = regex.compile(
    rf"\n|[{_SPACED}]+{_CLOSE}*(?:[^\S\n]+\n?|\n)|(?:(?![{_SPACED}])\p{{Sentence_Terminal}})+{_CLOSE}*[^\S\n]*\n?"
)
"""Unicode's SATerm Close* Sp* ParaSep? (UAX #29, SB11), and the line's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Plans the draws of single steps and reads what came back.

    The engine is asked to continue the answer so far and to stop at a boundary. Engines cut the
    boundary off; it is put back, so that a prefix is word for word what the model would have read, and
    what it has in its cache. No boundary is a word of any language.

    Many servers do not say whether a stop string ended a text or the model did (`names_stop`). There no
    stop string is sent: the draw goes on, up to `step_tokens`, and is cut after its first boundary here.
    That is the same distribution for more tokens, and such servers rarely take many stop strings anyway.
    """

    boundary: Boundary = "newline"
    tags: tuple[str, ...] = ()
    """Further strings that end a step, such as a model's own `</step>`."""
    step_tokens: int = 256
    """Tokens of one step at most; a step that reaches them goes on in the next."""
    max_tokens: int = 2048
    """Tokens of one answer at most; an answer that reaches them was cut off."""
    ends: tuple[str, ...] = ()
    """Strings that end the whole answer and are no part of it: a client's own `stop`."""
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
        names_stop: bool = True,
    ) -> Request:
        """`n` next steps after `parent` (None: the first ones) in one request: the prefix is read once.

        `spent` tokens of `max_tokens` are in `parent` already.
        """
        room = max(1, min(self.step_tokens, self.max_tokens - spent))
        params = self._params(seed=seed, is_greedy=is_greedy, max_tokens=room)
        if names_stop:
            params = replace(params, stop=self.stop)
        return replace(self._request(prompt, parent, n, params), is_part=True, is_step=True)

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
        return replace(self._request(prompt, parent, n, params), is_part=parent is not None)

    def read(self, drawn: Candidate, parent: Candidate | None) -> Candidate:
        """What a draw of `next` or `rest` is: a step (finish "step"), an answer ("stop"), or one cut off.

        Its text has the boundary back, and its log-probabilities are those of all steps. A draw that came to
        `max_tokens` is a step that goes on; one that came to them without a word is cut off ("length").
        Where one of `ends` has come about, be it across steps, the answer ends before it.
        """
        if drawn.error is not None:
            return drawn
        before = _text_of(parent)
        own = drawn.text[len(before) :]
        logprobs, finish = drawn.logprobs, drawn.finish
        if self._ended_a_step(drawn):
            own += drawn.stopped_by or ""
            finish = "step"
        elif finish == "length":
            if own.endswith(_HALF):  # nothing goes on from a part of a character
                own = own.rstrip(_HALF)
                logprobs = shortened(logprobs, len(own))
            if own:
                finish = "step"

        text, stopped_by = before + own, drawn.stopped_by
        end = _first(self.ends, text)
        if end is not None:
            at, stopped_by = end
            text, finish, logprobs = text[:at], "stop", shortened(logprobs, at - len(before))
        return replace(
            drawn,
            text=text,
            finish=finish,
            stopped_by=stopped_by,
            logprobs=joined(_logprobs_of(parent), logprobs, before),
        )

    def cut(self, drawn: Candidate, parent: Candidate | None) -> Candidate:
        """A draw of `next` without stop strings, as if its first boundary had been one.

        A sentence takes along what closes it, quotes and spaces; where `max_tokens` fell into these, the
        step ends there.
        """
        if drawn.error is not None:
            return drawn
        start = len(_text_of(parent))
        found = self._first_end(drawn.text, start)
        if found is None:
            return drawn

        at, stop = found
        params = replace(drawn.params or SamplingParams(), stop=tuple(dict.fromkeys((*self.stop, stop))))
        logprobs = shortened(drawn.logprobs, at + len(stop) - start)
        return replace(
            drawn, text=drawn.text[:at], finish="stop", stopped_by=stop, params=params, logprobs=logprobs
        )

    def _first_end(self, text: str, start: int) -> tuple[int, str] | None:
        if self.boundary != "sentence":
            return _first(self.stop, text, start)
        tag = _first(self.tags, text, start)
        sentence = _SENTENCE_END.search(text, start)
        if sentence is None:
            return tag
        end = (sentence.start(), sentence[0])
        return end if tag is None else min(tag, end)

    def _ended_a_step(self, drawn: Candidate) -> bool:
        """Whether a stop string that was asked for ended the draw, and is a boundary."""
        if drawn.stopped_by is None or drawn.params is None:
            return False
        return drawn.stopped_by in drawn.params.stop and self._is_end(drawn.stopped_by)

    def _is_end(self, string: str) -> bool:
        return string in self.stop or (self.boundary == "sentence" and bool(_SENTENCE_END.fullmatch(string)))

    def _params(self, *, seed: int, is_greedy: bool, max_tokens: int) -> SamplingParams:
        params = SamplingParams(
            temperature=self.temperature,
            top_p=self.top_p,
            min_p=self.min_p,
            max_tokens=max_tokens,
            seed=seed,
            logprobs=self.logprobs,
        )
        if is_greedy:
            return replace(params, temperature=0.0, top_p=1.0, min_p=0.0)
        return params

    def _request(self, prompt: Prompt, parent: Candidate | None, n: int, params: SamplingParams) -> Request:
        request = Request(prompt=prompt, n=n, params=params)
        if parent is None:
            return request
        return replace(request, prefix=parent.text, parents=(parent.id,))


def _text_of(parent: Candidate | None) -> str:
    return "" if parent is None else parent.text


def _logprobs_of(parent: Candidate | None) -> Logprobs | None:
    return None if parent is None else parent.logprobs


def _first(strings: Sequence[str], text: str, start: int = 0) -> tuple[int, str] | None:
    """Where the first of `strings` stands in `text` from `start` on, and which one."""
    places = ((text.find(string, start), string) for string in strings)
    return min((place for place in places if place[0] >= 0), default=None)


def joined(before: Logprobs | None, own: Logprobs | None, prefix: str) -> Logprobs | None:
    """Of a prefix and its continuation; None where the prefix has text and no log-probabilities."""
    if not prefix or own is None:
        return own
    if before is None:
        return None
    top = ()
    if before.top and own.top:
        top = (*before.top, *own.top)
    return Logprobs(tokens=before.tokens + own.tokens, values=before.values + own.values, top=top)


def shortened(logprobs: Logprobs | None, num_characters: int) -> Logprobs | None:
    """Of the tokens that begin within the first characters of the text; tokens split inside a character
    count as none, so a few too many may stay."""
    if logprobs is None:
        return None
    length, k = 0, 0
    while k < len(logprobs.tokens) and length < num_characters:
        token = logprobs.tokens[k]
        if not token.startswith("bytes:"):
            length += len(token)
        k += 1
    return Logprobs(tokens=logprobs.tokens[:k], values=logprobs.values[:k], top=logprobs.top[:k])


@cache
def sentence_ends() -> tuple[str, ...]:
    """Strings that end a sentence, from Unicode's property Sentence_Terminal, and the line's end.

    Most scripts' marks stand for nothing else (。 । ؟ ። ។ …); `.`, `!` and `?` do, and count before a
    space. Thai has no such mark, and ends its sentences at line ends here.

    An engine stops at the first of these that is there, the longest first: a quote that closes after `.` and
    before a space is part of the sentence, and one after `。` where both are one token. Nothing can wait for
    one that may come next, so there it begins the next step.
    """
    everything = "".join(chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000)  # noqa: PLR2004
    marks = regex.findall(r"\p{Sentence_Terminal}", everything)
    closed = [f"{m}{c} " for m in _SPACED for c in "\"'”’“»«›)]"]
    closed += [f"{m}{c}" for m in "。！？" for c in '”’」』）》】"\n']
    return (*closed, *(f"{m} " for m in _SPACED), "\n", *(m for m in marks if m not in _SPACED))
