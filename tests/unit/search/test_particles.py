from math import exp, fsum, inf, log, sqrt
from random import Random
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbest import registry
from nbest.errors import SpecError
from nbest.search.particles import Particles, log_evidence, systematic
from worlds import SALTED_WORLDS, World, walk


class Random3(World):
    """Draws that depend on the expansion too, as those of a model do: three letters, equally likely."""

    def answers(self, text=""):
        """Every answer with its probability and the steps on its way."""
        if text and self.is_end(text):
            yield text, 3.0 ** -len(text)
            return
        for c in "abc":
            yield from self.answers(text + c)


class NaiveParticles:
    """One particle after another. A node is its text and the round that it was drawn in."""

    def __init__(self, world, n, seed, *, ess, target, anneal, sweeps):
        self.world, self.n, self.seed, self.ess, self.target, self.anneal = (
            world,
            n,
            seed,
            ess,
            target,
            anneal,
        )
        self.rounds, self.num_wishes, self.rng = [], 0, None
        kept = None
        for sweep in range(sweeps):
            paths = self.sweep(kept)
            if all(w == -inf for w in self.weights) or sweep + 1 == sweeps:
                break
            [kept] = self.rng.choices(paths, map(exp, self.weights))
        mean = fsum(map(exp, self.weights)) / n
        self.log_evidence = self.evidence + log(mean) if mean else -inf

    def sweep(self, kept):
        paths, over = [[("", 0)]] * self.n, [False] * self.n
        self.weights, levels, self.evidence = [0.0] * self.n, [0.0] * self.n, 0.0
        while not all(over):
            paths = self.drawn(paths, over, kept)
            known = {
                i: level for i, p in enumerate(paths) if (level := self.level(p)) is not None and not over[i]
            }
            for i, path in enumerate(paths):
                if over[i]:
                    continue
                if path is None:
                    self.weights[i], over[i] = -inf, True
                    continue
                level = known.get(i, min(known.values(), default=0.0))
                self.weights[i] += level - levels[i] if self.target == "last" else level
                levels[i], over[i] = level, self.world.is_end(path[-1][0])
            plain = [exp(w) for w in self.weights]
            if not all(over) and fsum(plain) ** 2 / fsum(w * w for w in plain) < self.ess * self.n:
                self.evidence += log(fsum(plain) / self.n)
                self.weights = [0.0] * self.n
                chosen = self.chosen(plain, kept)
                paths, over, levels = ([x[j] for j in chosen] for x in (paths, over, levels))
        return paths

    def drawn(self, paths, over, kept):
        """Every path that goes on one step longer; None where the draw failed."""
        drawing = [i for i in range(self.n) if not over[i] and not (i == 0 and kept)]
        tips = list(dict.fromkeys(paths[i][-1] for i in drawing))
        if drawing:
            self.rounds.append([(t[0], sum(paths[i][-1] == t for i in drawing), False) for t in tips])
            self.rng = Random(f"{self.seed}/{len(self.rounds)}")
        new = list(paths)
        for i in drawing:
            tip = paths[i][-1]
            nth = sum(paths[j][-1] == tip for j in drawing if j < i)
            salt = self.num_wishes + tips.index(tip) if self.world.is_salted else 0
            text = self.world.step(tip[0], nth, salt)
            new[i] = None if text is None else [*paths[i], (text, len(self.rounds))]
        self.num_wishes += len(tips)
        if kept and not over[0]:
            new[0] = kept[: len(paths[0]) + 1]
        return new

    def level(self, path):
        if path is None or (value := self.world.value(path[-1][0])) is None:
            return None
        is_full = not self.anneal or self.world.is_end(path[-1][0])
        return value / 0.3 * (1.0 if is_full else min(1.0, (len(path) - 1) / self.anneal))

    def chosen(self, plain, kept):
        if kept:
            return [0, *self.rng.choices(range(self.n), plain, k=self.n - 1)]
        u, below = self.rng.random(), [fsum(plain[: j + 1]) / fsum(plain) for j in range(self.n)]
        return [next(j for j in range(self.n) if below[j] > (i + u) / self.n) for i in range(self.n)]


@settings(max_examples=200, deadline=None)
@given(
    world=SALTED_WORLDS,
    n=st.integers(2, 9),
    seed=st.integers(0, 99),
    ess=st.sampled_from([0.0, 0.47, 0.97]),  # none that equal weights meet but for rounding
    target=st.sampled_from(["last", "product"]),
    anneal=st.sampled_from([0, 3]),
    sweeps=st.integers(1, 3),
)
def test_particles_are_their_naive_twin(world, n, seed, **how):
    search = Particles(n=n, temperature=0.3, **how)
    batches, state = walk(search, world, seed=seed)
    twin = NaiveParticles(world, n, seed, **how)
    assert batches == twin.rounds
    assert log_evidence(state.memory) == pytest.approx(twin.log_evidence)


@pytest.mark.parametrize(
    ("how", "values", "is_noted"),
    [
        ({}, [-3.0, 2.0], False),
        ({"potential": "odds"}, [0.0, 1.0, None], False),
        ({"potential": "odds"}, [0.5, 1.5], True),
        ({"potential": "value"}, [0.5, 1.5], False),
        ({"potential": "value"}, [-0.5, -0.7], True),
    ],
)
def test_values_that_the_potential_cannot_take_are_noted_once(how, values, is_noted):
    class Valued(World):
        def value(self, text):
            return values[len(text) % len(values)]

    _, state = walk(Particles(n=4, **how), Valued(finish_rate=0.0))
    assert len(state.notes) == is_noted
    assert all("use potential=exp" in note for note in state.notes)


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


@pytest.mark.parametrize(
    ("target", "ess", "anneal"),
    [*((t, ess, 0) for t in ("last", "product") for ess in (0.5, 1.0, 0.0)), ("last", 0.7, 2)],
)
def test_the_normalising_constant_is_estimated_without_bias(target, ess, anneal):
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


@given(
    st.sampled_from([1, 2, 4]).flatmap(
        lambda n: st.lists(st.integers(0, n - 1), min_size=8, max_size=8).map(
            lambda owners: [owners.count(i) / 8 for i in range(n)]
        )
    ),
    st.sampled_from([0.0, 0.25, 0.5, 0.75]),
)
def test_systematic_resampling_takes_those_in_whose_shares_the_places_lie(weights, at):
    """Eighths and quarters add up exactly, so that places on an edge are told apart."""
    n = len(weights)
    edges = [sum(weights[:i]) for i in range(n + 1)]
    places = [(i + at) / n for i in range(n)]
    expected = [next(j for j in range(n) if edges[j] <= place < edges[j + 1]) for place in places]
    assert systematic(weights, at) == expected


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
