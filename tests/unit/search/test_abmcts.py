from functools import partial
from math import fsum
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbest import registry
from nbest.errors import SpecError
from nbest.search.abmcts import Abmcts
from worlds import SALTED_WORLDS, World, walk


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 10),
    parallel=st.integers(1, 4),
    death=st.sampled_from([0, 0.3]),
)
def test_each_of_n_answers_is_begun_and_followed_to_its_end(seed, n, parallel, death):
    world = World(seed=seed, is_salted=True, death_rate=death)
    batches, state = walk(Abmcts(n=n, parallel=parallel), world, seed=seed)
    assert state.memory.num_begun == n
    assert all(len(b) <= parallel for b in batches)
    assert len(state.memory.answers) == n or death
    assert all(state.nodes[a].fate == "finished" for a in state.memory.answers)


def naive_score(values, prior, rng):
    """The normal posterior is updated by one value after another."""
    if prior == "beta":
        return rng.betavariate(0.5 + fsum(values), 0.5 + len(values) - fsum(values))
    m, kappa, nu, scale = 0.0, 1.0, 1.0, 0.1  # scale: ν·τ²
    for x in values:
        scale += kappa / (kappa + 1) * (x - m) ** 2
        m, kappa, nu = (kappa * m + x) / (kappa + 1), kappa + 1, nu + 1
    variance = scale / (2 * rng.gammavariate(nu / 2, 1.0))
    return rng.gauss(m, (variance + variance / kappa) ** 0.5)


def naive_place(node, answers, world, score):
    """`answers`: path and value. Branches in the order in which they were drawn."""
    branches = {}
    for path, value in answers:
        if node in path[:-1] and value is not None:
            branches.setdefault(path[path.index(node) + 1], []).append(value)
    first = [values[0] for values in branches.values()]
    going = {b: values for b, values in branches.items() if not world.is_end(b[0])}
    if not going or score(first) >= score([v for values in going.values() for v in values]):
        return node
    drawn = {b: score(values) for b, values in going.items()}
    return naive_place(max(drawn, key=lambda b: drawn[b]), answers, world, score)


def naive_abmcts(world, n, parallel, prior, seed):
    """A node is its text and the round that it was drawn in."""
    root = ("", 0)
    path_to, answers, rounds, tips, num_begun, num_wishes = {root: [root]}, [], [], [], 0, 0
    while True:
        score = partial(naive_score, prior=prior, rng=Random(f"{seed}/{len(rounds)}"))
        new = min(parallel - len(tips), n - num_begun)
        num_begun += new
        tips += [naive_place(root, answers, world, score) for _ in range(new)]
        if not tips:
            return rounds
        rounds.append([(text, 1, False) for text, _ in tips])
        drawn = [
            (tip, world.step(tip[0], 0, num_wishes + i if world.is_salted else 0))
            for i, tip in enumerate(tips)
        ]
        num_wishes += len(tips)
        drawn = [(tip, (text, len(rounds))) for tip, text in drawn if text is not None]
        for tip, node in drawn:
            path_to.setdefault(node, [*path_to[tip], node])
        nodes = [node for _, node in drawn]
        answers += [(path_to[node], world.value(node[0])) for node in nodes if world.is_end(node[0])]
        tips = [node for node in nodes if not world.is_end(node[0])]


@settings(max_examples=150, deadline=None)
@given(
    world=SALTED_WORLDS,
    n=st.integers(1, 12),
    parallel=st.integers(1, 4),
    prior=st.sampled_from(["normal", "beta"]),
    seed=st.integers(0, 99),
)
def test_abmcts_is_its_naive_twin(world, n, parallel, prior, seed):
    search = Abmcts(n=n, parallel=parallel, prior=prior)
    assert walk(search, world, seed=seed)[0] == naive_abmcts(world, n, parallel, prior, seed)


class Good(World):
    """Every answer after a first step "a" is worth 1, every other one 0."""

    def value(self, text):
        return float(text[0] == "a")


@pytest.mark.parametrize(("prior", "share"), [("normal", 0.55), ("beta", 0.7)])
def test_branches_that_paid_are_gone_on_with(prior, share):
    first = last = 0
    for seed in range(30):
        world = Good(seed=seed, is_salted=True, finish_rate=0.0, depth=3)
        _, state = walk(Abmcts(n=20, parallel=1, prior=prior), world, seed=seed)
        good = [state.nodes[a].text[0] == "a" for a in state.memory.answers]
        first, last = first + sum(good[:5]), last + sum(good[-5:])
    assert first < 0.55 * 150  # a third by chance, and more once one is found
    assert last > share * 150


def test_both_wider_and_deeper_trees_are_grown():
    widths, depths = set(), set()
    for seed in range(10):
        _, state = walk(
            Abmcts(n=12, parallel=1), World(seed=seed, is_salted=True, finish_rate=0.1), seed=seed
        )
        children = [n.parent for n in state.nodes[1:]]
        widths.add(children.count(0))
        depths |= {state.nodes[p].depth for p in children if p and children.count(p) > 1}
    assert max(widths) > 2
    assert depths >= {1, 2}


def test_beta_takes_any_value():
    class Large(World):
        def value(self, text):
            return 100.0 * self.rng("v", text).random() - 50

    _, state = walk(Abmcts(n=8, prior="beta"), Large(is_salted=True))
    assert len(state.memory.answers) == 8


def test_nonsense_parameters_are_said():
    with pytest.raises(SpecError, match="parallel must be at least 1"):
        registry.parse("searches", "abmcts(parallel=0)")


@pytest.mark.parametrize(
    ("prior", "value", "is_noted"), [("normal", -3.0, 0), ("beta", 1.0, 0), ("beta", -3.0, 1)]
)
def test_values_that_the_prior_cannot_take_are_noted_once(prior, value, is_noted):
    class Valued(World):
        def value(self, text):
            return value

    _, state = walk(Abmcts(n=4, prior=prior), Valued())
    assert len(state.notes) == is_noted
    assert all("use prior=normal" in note for note in state.notes)
