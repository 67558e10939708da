"""What strategies lack where they run, found before anything is drawn."""

import pytest

from nbest import registry
from nbest.errors import InputError, MissingEngineError
from nbest.protocols import EngineName, on_server
from nbest.registry.plugins import fields_of, types_of
from nbest.strategies.requirements import check_requirements

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
        check_requirements(registry.parse("strategies", spec), ENGINES)
    check_requirements(registry.parse("strategies", spec.replace("'big'", "'法官'")), ENGINES)


def test_roles_without_an_engine_of_their_own_need_none():
    check_requirements(registry.parse("strategies", "parallel(selector=chops)"), ENGINES)


def test_parameters_that_name_engines_have_their_type():
    kinds = ("strategies", "samplers", "selectors", "scorers", "utilities", "searches")
    for kind in kinds:
        for name in registry.names(kind):
            cls = registry.load(kind, name)
            for field in fields_of(cls):
                if field in {"engine", "engines", "judge", "fusor", "critic", "translator"}:
                    assert on_server(types_of(cls)[field]) == on_server(EngineName), (name, field)


@pytest.mark.parametrize(
    "spec",
    [
        "parallel(sampler=iid(n=2, table='{}'))",
        "parallel(sampler=prompts(file='{}'))",
        "parallel(selector=chops(templates='{}'))",
        "parallel(selector=mbr(utility=judged(templates='{}')))",
    ],
)
def test_a_file_that_is_not_there_is_named(spec, tmp_path):
    file = tmp_path / "файл.toml"
    strategy = registry.parse("strategies", spec.format(file))
    with pytest.raises(InputError, match=r"файл\.toml: no such file"):
        check_requirements(strategy, ENGINES)
    file.touch()
    check_requirements(strategy, ENGINES)


def test_a_key_that_is_not_there_is_named(monkeypatch):
    spec = "best_of_n(n=2, scorer=reward(url='http://127.0.0.1:9', key_env='REWARD_KEY'))"
    strategy = registry.parse("strategies", spec)
    monkeypatch.delenv("REWARD_KEY", raising=False)
    with pytest.raises(InputError, match=r"the environment variable REWARD_KEY \(key_env\) holds no key"):
        check_requirements(strategy, ENGINES)
    monkeypatch.setenv("REWARD_KEY", "k")
    check_requirements(strategy, ENGINES)
