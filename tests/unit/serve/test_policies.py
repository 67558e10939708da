"""Which strategies clients may write, and what those may cost."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from nbest import registry
from nbest.errors import InputError, SpecError
from nbest.protocols import ServerPath, is_open_text, is_open_to_clients, on_server
from nbest.registry.plugins import kind_of as registry_kind
from nbest.selection.first import First
from nbest.serve.policies import open_strategy

PARTS = ("strategies", "samplers", "selectors", "scorers", "utilities", "searches")
PLUGINS = [(kind, name) for kind, names in registry.TABLES.items() for name in names]


def fields_of(kind, name):
    cls = registry.load(kind, name)
    hints = get_type_hints(cls, include_extras=True)
    return cls, {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_plugin_says_itself_whether_clients_may_name_it(kind, name):
    cls, _ = fields_of(kind, name)
    assert type(vars(cls).get("is_open_to_clients")) is bool, (
        f"{cls.__name__}: write  is_open_to_clients: ClassVar[bool] = …  into the class; a parent's does not count"
    )


def takes_text(hint):
    """Whether a value of this type may be, or hold, any text: one that no list of choices bounds."""
    if hint in {str, Any}:
        return True
    return get_origin(hint) is not Literal and any(map(takes_text, get_args(hint)))


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_text_says_by_its_type_what_it_is(kind, name):
    _, hints = fields_of(kind, name)
    for field, hint in hints.items():
        if takes_text(hint) and registry_kind(hint) is None:
            assert bool(on_server(hint)) != is_open_text(hint), (
                f"{name}({field}=…): use FreeText or LanguageCode for what clients may say, a Literal for a choice,"
                " and ServerPath, ServerUrl, EngineName, … of nbest.protocols for what they may not"
            )


def test_text_is_found_in_whatever_holds_it():
    for hint in (str, str | None, tuple[str, ...], dict[str, float], Mapping[str, Any], ServerPath | None):
        assert takes_text(hint)
    for hint in (int | None, Literal["a", "b"], Literal["a"] | None, tuple[float, ...]):
        assert not takes_text(hint)


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_a_client_sets_nothing_that_is_on_the_server(kind, name):
    cls, hints = fields_of(kind, name)
    if kind not in PARTS or not is_open_to_clients(cls):
        return
    for field, hint in hints.items():
        if on_server(hint):
            for value in ("'/etc/passwd'", "['policy', 'b']", "none", "Path", "judge"):
                with pytest.raises(SpecError, match="for presets only"):
                    registry.parse(kind, f"{name}({field}={value})", is_from_client=True)


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_an_open_plugin_has_no_closed_one_inside_by_default(kind, name):
    cls, _ = fields_of(kind, name)
    for f in dataclasses.fields(cls):
        if is_open_to_clients(cls) and f.default_factory is not dataclasses.MISSING:
            inner = f.default_factory()
            assert not dataclasses.is_dataclass(inner) or is_open_to_clients(type(inner)), f.name


def test_what_reaches_out_is_not_open():
    closed = {
        "scorers": ["reward", "hf_reward", "hf_prm", "comet_quality", "recorded", "oracle", "noisy_oracle"],
        "utilities": ["embedding", "comet"],
        "samplers": ["mixture"],
        "engines": registry.names("engines"),
        "tasks": registry.names("tasks"),
    }
    for kind, names in closed.items():
        assert not [n for n in names if is_open_to_clients(registry.load(kind, n))]


def test_a_subclass_of_an_open_plugin_is_closed():
    class Further(First):
        pass

    assert is_open_to_clients(First)
    assert not is_open_to_clients(Further)


@pytest.mark.parametrize(
    "spec",
    [
        "parallel(selector=best(scorer=reward(url='http://169.254.169.254/')))",
        "parallel(selector=mbr(utility=embedding(url='http://10.0.0.1/')))",
        "parallel(selector=best(scorer=comet_quality(command='id')))",
        "parallel(selector=chops(templates='/etc'))",
        "parallel(sampler=hedged(table='/etc/passwd'))",
        "parallel(sampler=prompts(file='/etc/passwd'))",
        "parallel(selector=best(scorer=oracle))",
        "parallel(sampler=ladder(n=1000000000))",
        "tree(search=beam(n=100000), verifier=rollouts)",
        "revise(sequential=1000)",
        "parallel(sampler=mixture(parts=[hedged]))",
        "open('/etc/passwd')",
        "chops(judge=verifier)",
        "best(scorer=judge(engine='b'))",
        "self_refine(critic=b)",
        "parallel(sampler=translated(languages=['/etc']))",
        "parallel(sampler=translated(languages=['../../../etc/passwd']))",
        "cross_lingual(selector=vote, languages=['/etc/passwd'])",
        "cross_lingual(selector=vote, translator=b)",
        "guard(selector=vote, language='/etc')",
        "xmbr(utility=chrf, evidence={'/etc': 1})",
        "os:system",
        "parallel(selector=/etc/x.py:Class)",
        "parallel(selector=best(scorer='./x.py:Class'))",
        "__import__('os').system('id')",
        "parallel(" * 400,
        "x" * 5000,
        "",
        "نعم",
    ],
)
def test_a_spec_that_reaches_further_is_refused_in_one_line(spec):
    with pytest.raises(InputError) as e:
        open_strategy(spec, max_n=64)
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 1000


@pytest.mark.parametrize(
    "spec",
    [
        "parallel",
        "parallel(sampler=iid(n=64, temperature=0.3), selector=vote(weight=self_certainty))",
        "parallel(sampler=hedged(n=5, max_tokens=4096), selector=guard(selector=fuse))",
        "tree(search=dora(n=16), verifier=rollouts)",
        "revise(sequential=4, parallel=4)",
    ],
)
def test_specs_of_open_plugins_pass(spec):
    assert open_strategy(spec, max_n=64) == registry.parse("strategies", spec)
