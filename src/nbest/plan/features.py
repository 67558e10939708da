"""What the draws of a prompt say about it, without their text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum, log
from typing import Final

from nbest.types import Candidate, Prompt

FEATURE_NAMES: Final = (
    "n",
    "top_share",
    "second_share",
    "third_share",
    "entropy",
    "distinct",
    "blank_share",
    "relative_length",
    "length_spread",
    "mean_logprob",
    "top_logprob",
    "mean_score",
    "top_score",
)
"""The numbers of `Features.numbers`."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """What n draws of one prompt say about it: their votes, lengths, log-probabilities and scores.

    Draws are in the order of arrival. Made by `features_of`; stopping rules (`nbest.protocols.Stop`) and plans
    read it.
    """

    classes: tuple[int | None, ...] = ()
    """Of each draw, the number of its class of equal final answers, counted from 0 in the order of arrival; None for
    a draw that failed or has no answer."""
    lengths: tuple[int, ...] = ()
    """Output tokens of each draw; 0 where the server did not report them."""
    logprobs: tuple[float | None, ...] = ()
    """Mean log-probability of each draw's tokens; None where it is not known. Empty: of none."""
    scores: tuple[float | None, ...] = ()
    """Score of each draw by the scorer of whoever asks; None where it has no value. Empty: there is no scorer."""
    mean_length: float | None = None
    """Output tokens that the model draws per answer, over many prompts; None where it is not known."""
    language: str | None = None
    task: str | None = None

    @property
    def n(self) -> int:
        """Draws that are there, failed ones included."""
        return len(self.classes)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Votes for each answer class, most first; empty without an answer."""
        votes = Counter(key for key in self.classes if key is not None)
        return tuple(sorted(votes.values(), reverse=True))

    @property
    def num_votes(self) -> int:
        """Draws that have an answer."""
        return sum(self.counts)

    @property
    def num_blank(self) -> int:
        """Draws without an answer."""
        return self.n - self.num_votes

    @property
    def distinct(self) -> int:
        """Number of different answers."""
        return len(self.counts)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each answer class among the draws that have an answer, most first."""
        total = self.num_votes
        return tuple(votes / total for votes in self.counts)

    @property
    def agreement(self) -> float:
        """Share of the leading answer among all draws, those without an answer counted against it; 0 without draws."""
        return next(iter(self.counts), 0) / max(1, self.n)

    @property
    def entropy(self) -> float:
        """Of the shares, in nats; 0 without an answer."""
        return -fsum(share * log(share) for share in self.shares)

    @property
    def length(self) -> float | None:
        """Mean output tokens of the draws whose length is known; None where none is."""
        return _mean([length for length in self.lengths if length > 0])

    @property
    def relative_length(self) -> float:
        """Mean length of the draws in mean answers of the model; 1 where either is unknown."""
        if self.length is None or not self.mean_length:
            return 1.0
        return self.length / self.mean_length

    @property
    def length_spread(self) -> float:
        """Standard deviation of the known lengths over their mean; 0 for fewer than two."""
        known = [length for length in self.lengths if length > 0]
        if len(known) < 2:  # noqa: PLR2004
            return 0.0
        mean = fsum(known) / len(known)
        return (fsum((length - mean) ** 2 for length in known) / len(known)) ** 0.5 / mean

    @property
    def numbers(self) -> Mapping[str, float | None]:
        """By name (`FEATURE_NAMES`): what a learner reads. None where the draws do not tell."""
        shares = (*self.shares[:3], 0.0, 0.0, 0.0)
        logprobs = [value for value in self.logprobs if value is not None]
        scores = [value for value in self.scores if value is not None]
        values = (
            float(self.n),
            *shares[:3],
            self.entropy,
            float(self.distinct),
            self.num_blank / max(1, self.n),
            self.relative_length,
            self.length_spread,
            _mean(logprobs),
            max(logprobs, default=None),
            _mean(scores),
            max(scores, default=None),
        )
        return dict(zip(FEATURE_NAMES, values, strict=True))


def features_of(
    candidates: Sequence[Candidate],
    keys: Sequence[str | None],
    *,
    prompt: Prompt,
    scores: Sequence[float | None] = (),
    mean_length: float | None = None,
) -> Features:
    """The features of candidates in the order of arrival.

    `keys` names the class of each candidate's final answer, as `nbest.text.answer_classes` gives it; `scores` are of
    the candidates too, where there is a scorer. A failed candidate has no answer, whatever its key.
    Raises `ValueError` where the sequences differ in length.
    """
    number_by_key: dict[str, int] = {}
    classes: list[int | None] = []
    for candidate, key in zip(candidates, keys, strict=True):
        if key is None or not candidate.is_usable:
            classes.append(None)
            continue
        classes.append(number_by_key.setdefault(key, len(number_by_key)))

    if scores and len(scores) != len(candidates):
        raise ValueError(f"{len(scores)} scores for {len(candidates)} candidates")
    logprobs = tuple(_mean(c.logprobs.values) if c.logprobs else None for c in candidates)
    has_logprobs = any(value is not None for value in logprobs)
    return Features(
        classes=tuple(classes),
        lengths=tuple(c.usage.completion for c in candidates),
        logprobs=logprobs if has_logprobs else (),
        scores=tuple(scores),
        mean_length=mean_length,
        language=prompt.language,
        task=prompt.task,
    )


def _mean(values: Sequence[float]) -> float | None:
    """None for no values."""
    if not values:
        return None
    return fsum(values) / len(values)
