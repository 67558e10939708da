"""How sure the model was of its own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, fsum, log
from typing import ClassVar, Literal

from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.types import Candidate, Logprobs, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Logprob:
    """Log-probability of the candidate under the model that drew it, by default the mean per token.

    A candidate of no tokens has no score. Raises `CapabilityError` where no candidate has any.
    """

    is_open_to_clients: ClassVar[bool] = True

    normalise: Literal["length", "none"] = "length"
    logprobs_needed: ClassVar[int] = 0

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        recorded = recorded_logprobs(prompt, candidates)
        return [Score(value=self._value(lp) if lp else None) for lp in recorded]

    def _value(self, logprobs: Logprobs) -> float | None:
        if not logprobs.values:
            return None
        total = fsum(logprobs.values)
        return total / len(logprobs.values) if self.normalise == "length" else total


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCertainty:
    """Mean over tokens of KL(uniform ‖ p): how far from guessing the model was, in nats, 0 or more.

    Kang, Zhao and Song 2025 (arXiv 2502.18581), equation 4. The paper sums over the whole vocabulary;
    servers return the `top` likeliest tokens only. Without `vocabulary`, both distributions are cut to
    those tokens and p is made to sum to 1 again: comparable between candidates with equally many, not
    with the paper's values. With `vocabulary`, the rest of p is spread evenly over the other tokens, which is
    the least divergence it can have: a lower bound of the paper's value.

    A candidate of no tokens has no score. Raises `CapabilityError` where no candidate has alternatives.
    """

    is_open_to_clients: ClassVar[bool] = True

    top: int = 20
    """Alternatives per token; what servers give at most, often 20 (OpenAI, vLLM), sometimes 5."""
    vocabulary: int | None = None
    """Tokens that the model knows."""

    def __post_init__(self) -> None:
        _check_top(self.top)
        if self.vocabulary is not None and self.vocabulary <= self.top:
            raise ValueError(f"vocabulary={self.vocabulary} must be more than top={self.top}")

    @property
    def logprobs_needed(self) -> int:
        return self.top

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        recorded = recorded_alternatives(prompt, candidates, self.top)
        return [Score(value=_mean([self._divergence(v) for v in places])) for places in recorded]

    def _divergence(self, logprobs: Sequence[float]) -> float:
        """KL(uniform ‖ p) at one place, from the log-probabilities of its likeliest tokens."""
        k, mass = len(logprobs), fsum(exp(v) for v in logprobs)
        if self.vocabulary is None or k >= self.vocabulary:
            return log(mass) - log(k) - fsum(logprobs) / k
        num_rest = self.vocabulary - k
        rest = log(max(1 - mass, _LEAST_REST) / num_rest)
        return -log(self.vocabulary) - (fsum(logprobs) + num_rest * rest) / self.vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepConf:
    """Confidence of the weakest part, or of the end, of a chain of thought.

    DeepConf (Fu et al. 2025, arXiv 2508.15260). A token's confidence is −1/k Σ log p over its k likeliest
    tokens, in nats: high where the others are unlikely. A group is `window` tokens in a row (all of them
    in a shorter text), and its confidence their mean. `lowest_group`: the least group; `bottom`: the mean
    of the least 10 % of groups; `tail`: the last group; `mean`: all tokens. Candidates with equally
    many alternatives are comparable.

    A candidate of no tokens has no score. Raises `CapabilityError` where no candidate has alternatives.
    """

    is_open_to_clients: ClassVar[bool] = True

    measure: Literal["lowest_group", "bottom", "tail", "mean"] = "tail"
    window: int = 2048
    """Tokens of a group; the paper's value, for chains of many thousands."""
    top: int = 20
    """Alternatives per token, the paper's k."""
    share: float = 0.1
    """bottom: the share of groups that counts, at least one group."""

    def __post_init__(self) -> None:
        _check_top(self.top)
        if self.window < 1:
            raise ValueError(f"window must be at least 1 token, got {self.window}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")

    @property
    def logprobs_needed(self) -> int:
        return self.top

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        recorded = recorded_alternatives(prompt, candidates, self.top)
        return [Score(value=self._value([-fsum(v) / len(v) for v in places])) for places in recorded]

    def _value(self, confidences: Sequence[float]) -> float | None:
        match self.measure:
            case "mean":
                return _mean(confidences)
            case "tail":
                return _mean(confidences[-self.window :])
            case "lowest_group":
                return min(_group_means(confidences, self.window), default=None)
            case "bottom":
                groups = sorted(_group_means(confidences, self.window))
                return _mean(groups[: max(1, int(len(groups) * self.share))])


_LEAST_REST = 1e-12
"""Probability of all tokens that were not returned, where rounding leaves none for them."""


def _check_top(top: int) -> None:
    if top < 2:  # noqa: PLR2004
        raise ValueError(f"top must be at least 2 alternatives, got {top}")


def _mean(values: Sequence[float]) -> float | None:
    return fsum(values) / len(values) if values else None


def _group_means(values: Sequence[float], window: int) -> list[float]:
    """Mean of every `window` values in a row; of all where there are fewer; none of none."""
    if len(values) <= window:
        return [fsum(values) / len(values)] if values else []
    # Differences of partial sums: a chain of 100k tokens is gone through once.
    sums, total = [0.0], 0.0
    for value in values:
        total += value
        sums.append(total)
    return [(sums[i + window] - sums[i]) / window for i in range(len(values) - window + 1)]


def recorded_alternatives(
    prompt: Prompt, candidates: Sequence[Candidate], top: int
) -> list[list[list[float]]]:
    """Per candidate and token, the log-probabilities of the `top` likeliest tokens; places without are left out.

    A pool may be recorded with more, and some servers add the drawn token where it is none of them, which
    would make a place look the surer the unlikelier the token is. Raises `CapabilityError` where no candidate has any.
    """
    recorded = recorded_logprobs(prompt, candidates)
    places = [[_likeliest(at, top) for at in lp.top if at] if lp else [] for lp in recorded]
    if any(lp and lp.values for lp in recorded) and not any(places):
        raise CapabilityError(
            f"the candidates of prompt {prompt.id!r} have the log-probabilities of their own tokens only, and"
            " alternatives are needed: draw again with this scorer, from an engine that returns"
            " top_logprobs, or use  logprob"
        )
    return places


def _likeliest(at: Mapping[str, float], top: int) -> list[float]:
    return sorted(at.values(), reverse=True)[:top]


def recorded_logprobs(prompt: Prompt, candidates: Sequence[Candidate]) -> list[Logprobs | None]:
    """Each candidate's own. Raises `CapabilityError` where none has any."""
    recorded = [c.logprobs for c in candidates]
    if candidates and not any(recorded):
        raise CapabilityError(
            f"the candidates of prompt {prompt.id!r} have no log-probabilities: the server does not return"
            " them, or the pool was recorded without. Use an engine that does, or another selector, such as"
            "  mbr"
        )
    return recorded
