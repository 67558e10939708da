"""What every sampler promises."""

import dataclasses
from random import Random

import pytest

from nbest import registry
from scripted import prompt_of
from specs import all_of

PROMPT = prompt_of("你好", "zh", task="words")


@pytest.mark.parametrize("spec", all_of("samplers"))
class TestEverySampler:
    def test_the_same_randomness_gives_the_same_plan(self, spec):
        sampler = registry.parse("samplers", spec)
        assert sampler(PROMPT, Random(3)) == sampler(PROMPT, Random(3))

    def test_it_draws_as_many_as_it_says(self, spec):
        sampler = registry.parse("samplers", spec)
        assert sum(r.n for r in sampler(PROMPT, Random(3))) == sampler.n

    @pytest.mark.parametrize("n", [1, 2, 9])
    def test_a_larger_pool_begins_with_the_smaller_ones_seeds(self, spec, n):
        sampler = registry.parse("samplers", spec)
        if sampler.n == 1:
            pytest.skip("draws one")
        small, large = (dataclasses.replace(sampler, n=k)(PROMPT, Random(3)) for k in (n, n + 3))
        assert seeds(small) == seeds(large)[:n]

    def test_the_spec_survives_a_round_trip(self, spec):
        sampler = registry.parse("samplers", spec)
        assert registry.parse("samplers", registry.spec_of(sampler)) == sampler


def seeds(requests):
    return [None if r.params.seed is None else r.params.seed + i for r in requests for i in range(r.n)]
