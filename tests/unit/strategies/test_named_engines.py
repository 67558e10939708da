"""Engines that strategies ask by name, found before anything is drawn."""

import dataclasses

import pytest

from nbest import registry
from nbest.errors import MissingEngineError
from nbest.strategies.named_engines import _FIELDS, check_engines

ENGINES = {"policy": 1, "法官": 2}


@pytest.mark.parametrize(
    "spec",
    [
        "fuse(n=2, fusor='big')",
        "parallel(sampler=mixture(engines=['policy', 'big']))",
        "self_refine(critic='big')",
        "cross_lingual(selector=vote, translator='big')",
        "tree(search=beam(n=4, width=2), verifier=rollouts(engine='big'))",
        "parallel(selector=mbr(utility=judged(engine='big')))",
        "parallel(selector=tournament(judge='big'))",
    ],
)
def test_an_engine_that_is_not_there_is_named(spec):
    with pytest.raises(MissingEngineError, match=r"no engine is called 'big'; engines: policy, 法官"):
        check_engines(registry.parse("strategies", spec), ENGINES)
    check_engines(registry.parse("strategies", spec.replace("'big'", "'法官'")), ENGINES)


def test_roles_without_an_engine_of_their_own_need_none():
    check_engines(registry.parse("strategies", "parallel(selector=chops)"), ENGINES)


def test_every_parameter_that_names_an_engine_is_known():
    kinds = ("strategies", "samplers", "selectors", "scorers", "utilities", "searches")
    names = {
        f.name
        for kind in kinds
        for name in registry.names(kind)
        for f in dataclasses.fields(registry.load(kind, name))
        if "engine" in f.name
    }
    assert names <= _FIELDS
