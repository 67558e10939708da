"""What every search promises, whatever its method."""

import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbest import registry
from nbest.search.machine import Child
from specs import all_of
from worlds import World, walk

SPECS = [
    *all_of("searches"),
    "beam(n=6, width=2, lookahead=2)",
    "particles(n=5, sweeps=3)",
    "beam(n=7, width=none)",
]
WORLDS = st.builds(
    World,
    seed=st.integers(0, 10**6),
    branches=st.integers(1, 4),
    finish_rate=st.sampled_from([0.0, 0.3, 0.7]),
    death_rate=st.sampled_from([0.0, 0.3, 1.0]),
    unscored_rate=st.sampled_from([0.0, 0.3, 1.0]),
    is_salted=st.booleans(),
)


def small(spec):
    search = registry.parse("searches", spec)
    return search if search.n < 9 else replace(search, n=8)


@pytest.mark.parametrize("spec", SPECS)
class TestEverySearch:
    @settings(max_examples=25, deadline=None)
    @given(world=WORLDS, seed=st.integers(0, 99), order=st.randoms(use_true_random=False))
    def test_the_order_of_telling_changes_nothing(self, spec, world, seed, order):
        def shuffled(children):
            twice = [*children, *children[:3]]
            order.shuffle(twice)
            return twice

        search = small(spec)
        assert walk(search, world, seed=seed, told=shuffled) == walk(search, world, seed=seed)

    @settings(max_examples=10, deadline=None)
    @given(world=WORLDS)
    def test_a_state_survives_pickling_at_any_point(self, spec, world):
        search = pickle.loads(pickle.dumps(small(spec)))
        assert walk(search, world, pickled=True) == walk(search, world)

    @settings(max_examples=25, deadline=None)
    @given(world=WORLDS, seed=st.integers(0, 99))
    def test_it_ends_in_time_and_within_its_depth(self, spec, world, seed):
        search = replace(small(spec), rounds=3)
        endless = replace(world, depth=99, finish_rate=0.0)
        batches, state = walk(search, endless, seed=seed)
        assert len(batches) <= search.most_rounds
        lookahead = getattr(search, "lookahead", 0)
        assert max(n.depth for n in state.nodes) <= 3 + lookahead

    def test_what_nobody_waits_for_changes_nothing(self, spec):
        search = small(spec)
        state = search.start(1)
        wish = search.ask(state)[0]
        for stranger in (
            Child(expansion=99, draw=0, text="x"),
            Child(expansion=wish.id, draw=wish.n, text="x"),
            Child(expansion=wish.id, draw=-1, text="x"),
        ):
            assert search.tell(state, stranger) == state
        known = search.tell(state, Child(expansion=wish.id, draw=0, text="x"))
        assert search.tell(known, Child(expansion=wish.id, draw=0, text="y")) == known

    def test_when_every_draw_fails_it_ends(self, spec):
        _, state = walk(small(spec), World(death_rate=1.0))
        assert len(state.nodes) == 1

    def test_the_spec_survives_a_round_trip(self, spec):
        search = registry.parse("searches", spec)
        assert registry.parse("searches", registry.spec_of(search)) == search


# Particles are resampled away, and abmcts draws a few answers at a time.
@pytest.mark.parametrize("spec", [s for s in SPECS if not s.startswith(("particles", "abmcts"))])
@settings(max_examples=25, deadline=None)
@given(world=WORLDS, seed=st.integers(0, 99))
def test_draws_and_finished_answers_sum_to_n(spec, world, seed):
    search = small(spec)
    alive = replace(world, death_rate=0.0)
    state, num_finished = search.start(seed), 0
    while wishes := search.ask(state):
        children = [alive.child(state, w, i) for w in wishes for i in range(w.n)]
        if not wishes[0].is_greedy:
            assert sum(w.n for w in wishes) + num_finished == search.n
            num_finished += sum(c.fate == "finished" for c in children)
        for c in children:
            state = search.tell(state, c)
    assert num_finished == search.n
