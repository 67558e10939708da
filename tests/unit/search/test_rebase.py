from fractions import Fraction
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbest import registry
from nbest.errors import SpecError
from nbest.search.dora import Dora
from nbest.search.rebase import Rebase
from nbest.search.shares import dealt, softmax
from worlds import SCORED_WORLDS, World, walk


def naive_rebase(world, n, temperature, uniqueness=lambda draw, draws: 1.0):
    """Over draws, not over nodes: each draw of a text has its own share, and they are added up."""
    beams, num_finished, rounds = [("", n)], 0, []
    while beams:
        rounds.append([(text, m, False) for text, m in beams])
        drawn = [d for text, m in beams for i in range(m) if (d := world.step(text, i)) is not None]
        num_finished += sum(world.is_end(d) for d in drawn)
        open_ = [d for d in drawn if not world.is_end(d)]
        order = sorted(dict.fromkeys(open_), key=lambda t: -world.value(t))
        weights = [(d, exp(world.value(d) / temperature) * uniqueness(d, open_)) for d in open_]
        total = sum(w for _, w in weights)
        mass = [sum(w for d, w in weights if d == t) / total for t in order]
        left = n - num_finished
        beams = [(t, m) for t, m in zip(order, naive_deal(left, mass), strict=True) if m] if order else []
    return rounds


def naive_deal(total, shares):
    parts = [int(total * s) for s in shares]
    while sum(parts) < total:
        i = max(range(len(parts)), key=lambda j: (round(total * shares[j] - parts[j], 9), -j))
        parts[i] += 1
    return parts


@settings(max_examples=150, deadline=None)
@given(world=SCORED_WORLDS, n=st.integers(1, 12), temperature=st.sampled_from([0.1, 0.37, 2.0]))
def test_rebase_is_its_naive_twin(world, n, temperature):
    assert walk(Rebase(n=n, temperature=temperature), world)[0] == naive_rebase(world, n, temperature)


@given(st.integers(0, 50), st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_parts_sum_up_and_are_within_one_of_their_share(total, weights):
    parts = dealt(total, [float(w) for w in weights])
    assert sum(parts) == total
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        share = Fraction(total * weight, whole) if whole else Fraction(total, len(weights))
        assert abs(part - share) < 1 + 1e-9


def test_a_share_of_nothing():
    assert dealt(5, []) == []
    assert dealt(5, [0.0, 0.0]) == [3, 2]
    assert dealt(8, [4.0, 1.0, 1.0]) == [6, 1, 1]  # three equal remainders: the earliest has what is over
    assert softmax([None, None], 1.0) == [0.5, 0.5]
    assert softmax([None, 3.0], 1.0) == [0.0, 1.0]
    assert softmax([1e300, 0.0], 1e-9) == [1.0, 0.0]


class Distinct(World):
    def step(self, text, i, salt=0):
        return text + chr(ord("a") + i)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), unlike=st.sampled_from([0.0, 0.3]))
def test_dora_is_rebase_where_all_directions_are_distinct(seed, n, unlike):
    world = Distinct(seed=seed)
    # Equally unlike by more than a little: exp((0.3 − 1) / 0.01) is nothing beside 1.
    dora, _ = walk(Dora(n=n), world, likeness=lambda a, b: 1.0 if a.text == b.text else unlike)
    assert dora == walk(Rebase(n=n), world)[0] == walk(Dora(n=n), world)[0]


@settings(max_examples=150, deadline=None)
@given(world=SCORED_WORLDS, n=st.integers(1, 12), spread=st.sampled_from([0.01, 0.2, 5.0]))
def test_dora_is_its_naive_twin(world, n, spread):
    """Whose uniqueness of a draw is the diagonal of the paper's soft clusters, over all draws."""

    def alike(a, b):
        return 1.0 if a == b else world.rng("alike", a, b).random()

    def uniqueness(draw, draws):
        row = [exp(alike(draw, other) / spread) for other in draws]
        return exp(alike(draw, draw) / spread) / sum(row)

    search = Dora(n=n, temperature=0.3, spread=spread)
    batches, _ = walk(search, world, likeness=lambda a, b: alike(a.text, b.text))
    assert batches == naive_rebase(world, n, 0.3, uniqueness)


def test_dora_counts_a_direction_once_however_often_it_was_drawn():
    """Three wordings of one step and another step, all equally good: half for each direction."""
    nodes = {"x1": 0.5, "x2": 0.5, "x3": 0.5, "y1": 0.5}

    class Drawn(World):
        def step(self, text, i, salt=0):
            return list(nodes)[i % 4]

        def value(self, text):
            return nodes[text]

        def is_end(self, text):
            return False

    def likeness(a, b):
        return float(a.text[0] == b.text[0])

    world = Drawn()
    second = {t: m for t, m, _ in walk(Dora(n=12, rounds=2), world, likeness=likeness)[0][1]}
    assert second == {"x1": 2, "x2": 2, "x3": 2, "y1": 6}
    plain = {t: m for t, m, _ in walk(Rebase(n=12, rounds=2), world)[0][1]}
    assert plain == {"x1": 3, "x2": 3, "x3": 3, "y1": 3}


def test_dora_counts_a_step_once_however_often_it_was_drawn():
    class Repeated(World):
        def step(self, text, i, salt=0):
            return "xxxy"[i % 4]

        def value(self, text):
            return 0.5

        def is_end(self, text):
            return False

    shares = {s: walk(s, Repeated())[0][1] for s in (Dora(n=8, rounds=2), Rebase(n=8, rounds=2))}
    assert list(shares.values()) == [[("x", 4, False), ("y", 4, False)], [("x", 6, False), ("y", 2, False)]]


@pytest.mark.parametrize("spec", ["rebase(temperature=0)", "dora(spread=0)", "dora(temperature=-1)"])
def test_nonsense_parameters_are_said(spec):
    with pytest.raises(SpecError, match="must be above 0"):
        registry.parse("searches", spec)
