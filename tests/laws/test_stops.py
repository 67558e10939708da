"""What every stopping rule promises, whichever it is."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest import registry
from nbest.plan.features import Features
from specs import all_of

pools = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 4)), st.floats(-3, 0), st.integers(0, 5000)),
    min_size=1,
    max_size=40,
)


def features(pool):
    number: dict[int, int] = {}
    classes = [None if key is None else number.setdefault(key, len(number)) for key, _, _ in pool]
    return Features(
        classes=tuple(classes),
        scores=tuple(score for _, score, _ in pool),
        lengths=tuple(length for _, _, length in pool),
        mean_length=1000.0,
    )


@pytest.mark.parametrize("spec", all_of("stops"))
@given(pool=pools)
def test_a_rule_is_pure_and_says_yes_or_no(spec, pool):
    rule = registry.parse("stops", spec)
    first = rule(features(pool))
    assert type(first) is bool
    assert rule(features(pool)) is first
    assert pickle.loads(pickle.dumps(rule))(features(pool)) is first


@pytest.mark.parametrize("spec", all_of("stops"))
@given(pool=pools, order=st.randoms(use_true_random=False))
def test_rules_of_votes_alone_do_not_see_the_order(spec, pool, order):
    rule = registry.parse("stops", spec)
    if not getattr(rule, "reads_counts_only", False):
        return
    shuffled = list(pool)
    order.shuffle(shuffled)
    bare = Features(classes=features(shuffled).classes)
    assert rule(bare) is rule(features(pool))
