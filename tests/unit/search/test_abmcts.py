import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbest import registry
from nbest.errors import SpecError
from nbest.search.abmcts import Abmcts
from worlds import World, walk


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
