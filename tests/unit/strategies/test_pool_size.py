"""The size of a strategy's pool, and the same strategy with another."""

import pytest

from nbest import registry
from nbest.errors import InputError
from nbest.sampling.greedy import Greedy
from nbest.sampling.hedged import Hedged
from nbest.strategies.pool_size import pool_size, with_n


def test_the_pool_gets_the_size_that_is_asked_for():
    strategy = registry.parse("strategies", "parallel(sampler=hedged(n=5, temperature=0.4))")
    assert pool_size(with_n(strategy, 9)) == 9
    assert with_n(strategy, 9).sampler == Hedged(n=9, temperature=0.4)
    assert (
        pool_size(
            with_n(registry.parse("strategies", "tree(search=beam(n=16, width=4), verifier=rollouts)"), 8)
        )
        == 8
    )


def test_a_pool_of_greedy_draws_is_hedged():
    strategy = registry.parse("strategies", "parallel(sampler=greedy(max_tokens=77), selector=first)")
    assert with_n(strategy, 4).sampler == Hedged(n=4, max_tokens=77)
    assert with_n(strategy, 1).sampler == Greedy(max_tokens=77)


def test_a_size_that_is_not_one_number_is_refused():
    with pytest.raises(InputError, match="write it into the strategy"):
        with_n(registry.parse("strategies", "revise(sequential=2, parallel=2)"), 5)
