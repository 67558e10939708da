from math import exp, fsum, inf, log, sqrt
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest import registry
from nbest.errors import SpecError
from nbest.search.particles import Particles, log_evidence, systematic
from worlds import World, walk


class Random3(World):
    """Draws that depend on the expansion too, as those of a model do: three letters, equally likely."""

    def answers(self, text=""):
        """Every answer with its probability and the steps on its way."""
        if text and self.is_end(text):
            yield text, 3.0 ** -len(text)
            return
        for c in "abc":
            yield from self.answers(text + c)


WORLD = Random3(seed=5, depth=3, is_salted=True)


def run(search, seed):
    """Draws differ with the seed as well."""
    world = Random3(seed=5, depth=3, is_salted=True)

    class Drawn(Random3):
        def step(self, text, i, salt=0):
            return text + "abc"[self.rng("step", text, i, salt, seed).randrange(3)]

    return walk(search, Drawn(seed=world.seed, depth=3, is_salted=True), seed=seed)[1]


def potential(text, target, temperature):
    steps = [text[: i + 1] for i in range(len(text))]
    values = [WORLD.value(s) for s in (steps if target == "product" else steps[-1:])]
    return exp(fsum(values) / temperature)


@pytest.mark.parametrize("target", ["last", "product"])
@pytest.mark.parametrize(("ess", "anneal"), [(0.5, 0), (1.0, 0), (0.0, 0), (0.7, 2)])
def test_the_normalising_constant_is_estimated_without_bias(target, ess, anneal):
    if target == "product" and anneal:
        pytest.skip("annealed steps are another product")
    search = Particles(n=4, ess=ess, anneal=anneal, target=target, temperature=0.5)
    exact = fsum(p * potential(a, target, 0.5) for a, p in WORLD.answers())
    estimates = [exp(log_evidence(run(search, seed).memory)) for seed in range(250)]
    assert abs(fmean(estimates) - exact) < 3.5 * stdev(estimates) / sqrt(len(estimates))


@pytest.mark.parametrize("ess", [0.5, 1.0])
def test_gibbs_sweeps_come_near_the_posterior(ess):
    """Two particles are biased towards the prior; twenty sweeps of two are within the standard error."""
    answers = list(WORLD.answers())
    weights = [p * potential(a, "last", 0.3) for a, p in answers]
    exact = fsum(w * WORLD.value(a) for w, (a, _) in zip(weights, answers, strict=True)) / fsum(weights)
    off = {}
    for sweeps in (1, 20):
        search = Particles(n=2, ess=ess, temperature=0.3, sweeps=sweeps)
        drawn = [expected(run(search, seed)) for seed in range(200)]
        off[sweeps] = (fmean(drawn) - exact) / (stdev(drawn) / sqrt(len(drawn)))
    assert abs(off[20]) < 3
    assert off[1] < -3


def expected(state):
    """The mean value of the last particles, by weight."""
    particles = state.memory.particles
    weights = [exp(p.log_weight) for p in particles]
    values = [state.nodes[p.node].value for p in particles]
    return fsum(w * v for w, v in zip(weights, values, strict=True)) / fsum(weights)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.floats(0, 1, exclude_max=True))
def test_systematic_resampling_gives_each_its_share_rounded(weights, at):
    if not sum(weights):
        return
    shares = [w / sum(weights) for w in weights]
    chosen = systematic(shares, at)
    assert len(chosen) == len(shares)
    for i, share in enumerate(shares):
        assert abs(chosen.count(i) - len(shares) * share) < 1 + 1e-9
        assert share > 0 or i not in chosen


def test_a_finished_particle_is_not_drawn_again_and_keeps_its_weight():
    for seed in range(20):
        search = Particles(n=5, ess=0.0)
        _, state = walk(search, World(seed=seed, finish_rate=0.5), seed=seed)
        for p in state.memory.particles:
            node = state.nodes[p.node]
            assert node.fate == "finished"
            assert p.log_weight == pytest.approx(node.value / 0.1)


def test_particles_that_failed_are_resampled_away():
    lost = 0
    for seed in range(20):
        _, state = walk(Particles(n=6, ess=1.0), World(seed=seed, death_rate=0.2), seed=seed)
        lost += sum(p.log_weight == -inf for p in state.memory.particles)
    _, state = walk(Particles(n=6), World(death_rate=1.0))
    assert all(p.log_weight == -inf for p in state.memory.particles)
    assert log_evidence(state.memory) == -inf
    assert lost < 20


@pytest.mark.parametrize(
    ("potential", "expected"), [("exp", 0.9), ("value", log(0.9)), ("odds", log(0.9 / 0.1))]
)
def test_potentials(potential, expected):
    class Sure(World):
        def value(self, text):
            return 0.9

    _, state = walk(Particles(n=1, potential=potential, temperature=1.0), Sure(finish_rate=1.0))
    assert state.memory.particles[0].log_weight == pytest.approx(expected)


def test_at_the_edges_a_probability_has_a_finite_logarithm():
    class Edge(World):
        def value(self, text):
            return float(text.endswith("a"))

    for potential in ("value", "odds"):
        for seed in range(5):
            _, state = walk(Particles(n=4, potential=potential), Edge(seed=seed), seed=seed)
            assert all(abs(p.log_weight) < inf for p in state.memory.particles)


def test_a_later_sweep_draws_one_less_and_keeps_an_answer_of_the_one_before():
    batches, state = walk(Particles(n=4, sweeps=3), World(seed=2, is_salted=True))
    assert [b[0][1] for b in batches if b[0][0] == ""] == [4, 3, 3]
    assert state.nodes[state.memory.reference[-1]].fate == "finished"


@pytest.mark.parametrize(
    "spec", ["particles(ess=1.5)", "particles(temperature=0)", "particles(sweeps=0)", "particles(anneal=-1)"]
)
def test_nonsense_parameters_are_said(spec):
    with pytest.raises(SpecError, match="must be"):
        registry.parse("searches", spec)
