import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbest import registry
from nbest.errors import SpecError
from nbest.search.beam import Beam
from nbest.search.dvts import Dvts
from nbest.search.machine import Child
from worlds import WORLDS, World, walk


def naive_beam(world, n, width, lookahead=0, depth=40, *, are_copies_kept=True):
    """The paper's procedure over lists, one text after another; what was expanded, round by round."""
    beams, num_finished, rounds = [("", n)], 0, []
    for _ in range(depth):
        if not beams:
            break
        rounds.append([(text, m, False) for text, m in beams])
        drawn = [world.step(text, i) for text, m in beams for i in range(m)]
        drawn = [d for d in drawn if d is not None]
        num_finished += sum(world.is_end(d) for d in drawn)
        open_ = list(dict.fromkeys(d for d in drawn if not world.is_end(d)))
        values = {text: world.value(text) for text in open_}
        if lookahead:
            for text in open_:
                tip, k = text, 0
                while tip is not None and k < lookahead and (k == 0 or not world.is_end(tip)):
                    tip, k = world.greedy(tip), k + 1
                values[text] = None if tip is None else world.value(tip)
        left = n - num_finished
        every = [d for d in drawn if not world.is_end(d)] if are_copies_kept else open_
        best = sorted(every, key=lambda t: (values[t] is None, -(values[t] or 0), open_.index(t)))
        kept = best[: max(1, left // width)] if left > 0 else []
        copies = {t: kept.count(t) for t in kept}
        parts = {t: left * c // len(kept) for t, c in copies.items()}
        over = left - sum(parts.values())
        for t in sorted(parts, key=lambda t: -(left * copies[t] % len(kept)))[:over]:
            parts[t] += 1
        beams = [(t, m) for t, m in parts.items() if m]
    return rounds


def sampled(batches):
    return [b for b in batches if not b[0][2]]


@settings(max_examples=150, deadline=None)
@given(world=WORLDS, n=st.integers(1, 12), data=st.data())
def test_beam_is_its_naive_twin(world, n, data):
    width = data.draw(st.integers(1, n))
    copies = data.draw(st.booleans())
    search = Beam(n=n, width=width, are_copies_kept=copies)
    assert walk(search, world)[0] == naive_beam(world, n, width, are_copies_kept=copies)


@settings(max_examples=150, deadline=None)
@given(world=WORLDS, n=st.integers(1, 9), lookahead=st.integers(1, 3))
def test_lookahead_is_its_naive_twin(world, n, lookahead):
    batches, _ = walk(Beam(n=n, width=1 + n // 3, lookahead=lookahead), world)
    assert sampled(batches) == naive_beam(world, n, 1 + n // 3, lookahead)


@settings(max_examples=80, deadline=None)
@given(world=WORLDS, n=st.integers(1, 12))
def test_a_width_of_none_is_the_root_of_n(world, n):
    root = max(w for w in range(1, n + 1) if w * w <= n)
    assert walk(Beam(n=n, width=None), world)[0] == walk(Beam(n=n, width=root), world)[0]


@settings(max_examples=80, deadline=None)
@given(world=WORLDS, width=st.integers(1, 5))
def test_dvts_with_one_subtree_is_a_beam_search_that_keeps_one_beam(world, width):
    assert walk(Dvts(n=width, width=width), world)[0] == walk(Beam(n=width, width=width), world)[0]


@settings(max_examples=80, deadline=None)
@given(world=WORLDS, n=st.integers(1, 12), data=st.data())
def test_dvts_subtrees_know_nothing_of_each_other(world, n, data):
    width = data.draw(st.integers(1, n))
    batches, _ = walk(Dvts(n=n, width=width), world)
    assert batches[0] == [("", m, False) for m in sizes(n, width)]
    alone = [walk(Dvts(n=m, width=m), world)[0] for m in sizes(n, width)]
    for r, batch in enumerate(batches[1:], start=1):
        assert batch == [wish for tree in alone if r < len(tree) for wish in tree[r]]


@pytest.mark.parametrize("search", [Beam, Dvts])
@settings(max_examples=40, deadline=None)
@given(world=WORLDS, n=st.integers(1, 5), more=st.integers(1, 9))
def test_a_width_of_more_than_n_is_n(search, world, n, more):
    assert walk(search(n=n, width=n + more), world) == walk(search(n=n, width=n), world)


@pytest.mark.parametrize("name", ["beam", "dvts"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_answers_need_no_width(name, n):
    _, state = walk(registry.parse("searches", f"{name}(n={n})"), World())
    assert sum(node.count for node in state.nodes if node.fate == "finished") == n


def sizes(n, width):
    k = -(-n // width)
    return [n // k + (i < n % k) for i in range(k)]


class Exact(World):
    """Draws go through all branches in turn; a step is worth the best answer that can follow."""

    def step(self, text, i, salt=0):
        return text + "abcdefgh"[i % self.branches]

    def is_end(self, text):
        return len(text) == self.depth

    def leaf(self, text):
        return self.rng("leaf", text).random()

    def value(self, text):
        if self.is_end(text):
            return self.leaf(text)
        return max(self.value(text + c) for c in "abcdefgh"[: self.branches])


@pytest.mark.parametrize("seed", range(5))
def test_with_exact_values_and_every_branch_drawn_the_best_answer_is_found(seed):
    world = Exact(seed=seed, branches=3, depth=4)
    for search in (Beam(n=3, width=3), Beam(n=9, width=3), Dvts(n=3, width=3)):
        _, state = walk(search, world)
        assert max(n.value for n in state.nodes if n.fate == "finished") == world.value("")


class Short(Exact):
    """Values see one step ahead too few: a first step says nothing, or the contrary."""

    def value(self, text):
        return {"a": 0.9, "b": 0.1}.get(text, float(text.startswith("b")))

    def greedy(self, text):
        return text + "a"


def test_lookahead_sees_through_a_first_step_that_promises_too_much():
    world = Short(branches=2, depth=3)
    best = {}
    for k in (0, 1):
        _, state = walk(Beam(n=2, width=2, lookahead=k), world)
        best[k] = max(n.value for n in state.nodes if n.fate == "finished")
    assert best == {0: 0.0, 1: 1.0}


def test_rounds_bound_the_depth_where_looking_ahead_ends_early():
    """Greedy continuations end after one step of three, so that a round is two batches and not four."""

    class Endless(World):
        def step(self, text, i, salt=0):
            return text + "ab"[i % 2]

        def is_end(self, text):
            return text.endswith("!")

        def greedy(self, text):
            return text + "!"

    _, state = walk(Beam(n=9, width=3, rounds=2, lookahead=3), Endless())
    assert max(n.depth for n in state.nodes if n.fate == "open") == 2


def test_draws_of_the_same_text_are_one_node_and_are_counted():
    search = Beam(n=3, width=3)
    state = search.start(0)
    [wish] = search.ask(state)
    for i, (text, fate) in enumerate([("x", "open"), ("x", "finished"), ("x", "open")]):
        state = search.tell(state, Child(expansion=wish.id, draw=i, text=text, fate=fate, value=0.5))
    assert [(n.text, n.fate, n.count) for n in state.nodes[1:]] == [("x", "open", 2), ("x", "finished", 1)]
    [wish] = search.ask(state)
    assert (wish.node, wish.n) == (1, 2)


@pytest.mark.parametrize(
    "spec",
    [
        "beam(width=0)",
        "beam(n=0)",
        "beam(lookahead=-1)",
        "dvts(width=0)",
        "beam(rounds=0)",
    ],
)
def test_nonsense_parameters_are_said(spec):
    with pytest.raises(SpecError, match="must be"):
        registry.parse("searches", spec)
