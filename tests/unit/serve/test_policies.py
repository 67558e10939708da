"""Which strategies clients may write, and what those may cost."""

import dataclasses
from typing import get_type_hints

import pytest

from nbest import registry
from nbest.errors import InputError
from nbest.protocols import is_open_to_clients, on_server
from nbest.selection.first import First
from nbest.serve.policies import open_strategy

REVIEWED = {
    # Text that goes into prompts, or is looked for in answers.
    "word", "start_of_thinking", "end_of_thinking", "turn", "good", "bad", "tag", "tags", "stop", "language",
    "languages", "text", "task", "variants", "split",
    # Names of engines of the configuration, languages of templates, choices from a list.
    "judge", "fusor", "critic", "translator", "engine", "template_language", "selection", "boundary",
    "aggregate", "style", "normalise", "mode", "resample", "kind", "by", "step_mark", "format", "level", "evidence",
}  # fmt: skip
OUTWARD = {"command", "file", "key_env", "onnx", "path", "python", "sbert", "table", "templates", "url"}
"""Names that parameters for files, addresses, programs and environment variables have."""

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


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_parameters_that_reach_for_the_server_say_so_by_their_type(kind, name):
    cls, hints = fields_of(kind, name)
    for field, hint in hints.items():
        if field in OUTWARD:
            assert on_server(hint), (
                f"{name}({field}=…): use ServerPath, ServerUrl, ServerCommand or ServerEnv"
            )
        elif is_open_to_clients(cls) and "str" in repr(hint) and not on_server(hint):
            assert field in REVIEWED, f"{name}({field}=…): may a client say this?"


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
