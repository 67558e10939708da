"""Small random trees that searches walk in without a model."""

import hashlib
import pickle
from dataclasses import dataclass, replace
from random import Random

from hypothesis import strategies as st

from nbest.search.machine import ROOT, Child


@dataclass(frozen=True, kw_only=True)
class World:
    """Steps are letters; everything about a text follows from the seed and the text."""

    seed: int = 0
    branches: int = 3
    depth: int = 4
    """No answer is longer."""
    finish_rate: float = 0.3
    death_rate: float = 0.0
    unscored_rate: float = 0.0
    is_salted: bool = False
    """Whether expanding a node a second time gives other steps than the first time."""

    def rng(self, *what):
        return Random(hashlib.sha256(repr((self.seed, *what)).encode()).digest())

    def value(self, text):
        if self.rng("unscored", text).random() < self.unscored_rate:
            return None
        return round(self.rng("value", text).random(), 2)

    def is_end(self, text):
        return len(text) >= self.depth or self.rng("end", text).random() < self.finish_rate

    def step(self, text, i, salt=0):
        """The i-th draw; None for one that fails."""
        rng = self.rng("step", text, i, salt)
        if rng.random() < self.death_rate:
            return None
        return text + "abcdefgh"[rng.randrange(self.branches)]

    def greedy(self, text):
        return self.step(text, "greedy")

    def child(self, state, wish, i):
        text = state.nodes[wish.node].text
        drawn = self.greedy(text) if wish.is_greedy else self.step(text, i, wish.id if self.is_salted else 0)
        if drawn is None:
            return Child(expansion=wish.id, draw=i, fate="dead")
        fate = "finished" if self.is_end(drawn) else "open"
        value = self.value(drawn) if wish.is_scored or fate == "finished" else None
        return Child(expansion=wish.id, draw=i, text=drawn, value=value, fate=fate)


SCORED_WORLDS = st.builds(
    World,
    seed=st.integers(0, 10**6),
    branches=st.integers(1, 4),
    finish_rate=st.sampled_from([0.0, 0.3, 0.7]),
    death_rate=st.sampled_from([0.0, 0.2]),
)
WORLDS = st.builds(replace, SCORED_WORLDS, unscored_rate=st.sampled_from([0.0, 0.2]))
SALTED_WORLDS = st.builds(replace, WORLDS, is_salted=st.booleans())


def walk(search, world, *, seed=0, told=None, likeness=None, pickled=False):
    """Every batch as [(text, n, is_greedy), …], and the last state.

    `told` disturbs the order of a batch's children; `likeness` compares two of them.
    """
    state, batches = search.start(seed), []
    while wishes := search.ask(state):
        assert search.ask(state) == wishes
        assert all(w.n > 0 and state.nodes[w.node].fate == "open" for w in wishes)
        batches.append([(state.nodes[w.node].text, w.n, w.is_greedy) for w in wishes])
        assert len(batches) < 10_000
        children = [world.child(state, w, i) for w in wishes for i in range(w.n)]
        if likeness:
            rows = [tuple(likeness(a, b) for b in children) for a in children]
            children = [
                Child(**{f: getattr(c, f) for f in c.__struct_fields__} | {"likeness": row})
                for c, row in zip(children, rows, strict=True)
            ]
        for child in told(children) if told else children:
            if pickled:
                state = pickle.loads(pickle.dumps(state))
            state = search.tell(state, child)
    assert state.is_done
    assert state.nodes[ROOT].text == ""
    return batches, state
