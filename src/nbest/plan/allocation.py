"""A budget of draws or tokens for a whole batch, given to the prompts where one more draw may change most.

Dimensions: P prompts, N recorded draws of each.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbest.plan.posterior import top_posterior
from nbest.plan.trajectories import Floats, Ints

Index = Literal["regret", "doubt"]
"""What a prompt's next draw is worth, per token that it is expected to take.

"regret": what knowing the true shares of the answers would gain on average, if an answer with share p is right with
probability p; prompts with many rare answers are given up. "doubt": the probability that the leading answer is not the model's
most frequent one (least certain first, arXiv 2506.12721)."""

_ALPHA: Final = 0.3
_PRIOR_DRAWS: Final = 2.0
"""Mean draws of the batch that a prompt's mean length is shrunk by."""


class Allocation(NamedTuple):
    """How a batch's budget was spent."""

    num_draws_P: Ints
    tokens: float
    """Output tokens of all draws."""


def allocate(
    classes_PN: NDArray[np.integer[Any]],
    lengths_PN: NDArray[np.floating[Any]],
    *,
    pilot: int,
    total_draws: int | None = None,
    total_tokens: float | None = None,
    index: Index = "regret",
    wave: int = 1,
) -> Allocation:
    """Replays an online allocation on recorded draws, in their order; what was not drawn is never looked at.

    Each prompt has `pilot` draws first. Then the `wave` prompts of the highest index get one draw each, again and again
    (the Lagrangian's one λ, arXiv 2410.04707, is the index at which the budget is used up). `total_draws` is held exactly,
    as far as the pools reach; with `total_tokens` the last draw is the one that reaches it. A class of −1 is no answer.
    Raises `ValueError` unless one of the two totals is given, and for a pilot that the budget does not cover.
    """
    if (total_draws is None) == (total_tokens is None):
        raise ValueError("give one of total_draws and total_tokens")
    num_prompts, num_recorded = classes_PN.shape
    if not 1 <= pilot <= num_recorded:
        raise ValueError(f"pilot must be between 1 and the {num_recorded} draws of a pool, got {pilot}")
    if total_draws is not None and total_draws < pilot * num_prompts:
        raise ValueError(f"total_draws must be at least {pilot * num_prompts}: the pilot takes that many")

    state = _Batch(classes_PN, lengths_PN, pilot, index)
    left = _Left(total_draws, total_tokens)
    while not left.is_none(state):
        prompts = state.most_worth(wave)
        if not prompts.size:
            break
        for prompt in prompts:
            state.draw(int(prompt))
            if left.is_none(state):
                break
        state.update(prompts)
    return Allocation(state.num_draws_P, state.tokens)


class _Left(NamedTuple):
    total_draws: int | None
    total_tokens: float | None

    def is_none(self, batch: _Batch) -> bool:
        if self.total_draws is not None:
            return batch.draws >= self.total_draws
        assert self.total_tokens is not None
        return batch.tokens >= self.total_tokens


class _Batch:
    """What is known of each prompt so far."""

    def __init__(
        self,
        classes_PN: NDArray[np.integer[Any]],
        lengths_PN: NDArray[np.floating[Any]],
        pilot: int,
        index: Index,
    ) -> None:
        self._classes_PN, self._lengths_PN, self._index = classes_PN, lengths_PN, index
        num_prompts, num_recorded = classes_PN.shape
        self.num_draws_P: Ints = np.full(num_prompts, pilot, dtype=np.int64)
        self._tokens_P: Floats = lengths_PN[:, :pilot].sum(axis=1, dtype=np.float64)
        self.tokens = float(self._tokens_P.sum())
        self.draws = pilot * num_prompts
        self._mean_length = self.tokens / self.draws
        self._num_recorded = num_recorded
        self._worth_P: Floats = np.zeros(num_prompts)
        self.update(np.arange(num_prompts, dtype=np.int64))

    def draw(self, prompt: int) -> None:
        length = float(self._lengths_PN[prompt, self.num_draws_P[prompt]])
        self.num_draws_P[prompt] += 1
        self._tokens_P[prompt] += length
        self.tokens += length
        self.draws += 1

    def most_worth(self, wave: int) -> Ints:
        """The prompts whose next draw is worth most, of equals the first; without those whose pool is used up."""
        order = np.argsort(-self._worth_P, kind="stable")
        is_open = self.num_draws_P[order] < self._num_recorded
        return order[is_open][:wave]

    def update(self, prompts: Ints) -> None:
        """Computes the index of these prompts anew."""
        counts_UC = np.stack([self._counts(int(prompt)) for prompt in prompts])
        posterior = top_posterior(counts_UC, _ALPHA)
        value_U = posterior.regret_U
        if self._index == "doubt":
            value_U = 1.0 - posterior.is_top_U
        draws_U = self.num_draws_P[prompts] + _PRIOR_DRAWS
        expected_U = (self._tokens_P[prompts] + _PRIOR_DRAWS * self._mean_length) / draws_U
        self._worth_P[prompts] = value_U / expected_U

    def _counts(self, prompt: int) -> Ints:
        """Votes of each class, most first, in a row as wide as the pool."""
        classes = self._classes_PN[prompt, : self.num_draws_P[prompt]]
        counts = np.bincount(classes[classes >= 0], minlength=self._num_recorded)
        return np.sort(counts)[::-1][: self._num_recorded]
