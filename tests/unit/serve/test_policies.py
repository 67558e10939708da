"""Which strategies clients may write, and what those may cost."""

import pytest

from nbest import registry
from nbest.errors import InputError
from nbest.serve.policies import OPEN, open_strategy

REVIEWED = {
    # Text that goes into prompts, or is looked for in answers.
    "word", "start_of_thinking", "end_of_thinking", "turn", "good", "bad", "tag", "tags", "stop", "language",
    "languages", "text", "task", "variants", "split",
    # Names of engines of the configuration, languages of templates, choices from a list.
    "judge", "fusor", "critic", "translator", "engine", "template_language", "selection", "boundary",
    "aggregate", "style", "normalise", "mode", "resample", "kind", "by", "step_mark", "format", "level", "evidence",
}  # fmt: skip
CLOSED = {"table", "templates", "file"}


def text_fields():
    for kind, names in OPEN.items():
        for name in names:
            cls = registry.load(kind, name)
            for field, hint in registry._hints(cls).items():
                if "str" in repr(hint) and not field.startswith("_"):
                    yield name, field


@pytest.mark.parametrize(("name", "field"), sorted(set(text_fields())))
def test_every_text_parameter_that_clients_may_set_was_looked_at(name, field):
    assert field in REVIEWED | CLOSED, f"{name}({field}=…): may a client say this?"


def test_what_reaches_out_is_not_open():
    for closed in (
        "reward",
        "hf_reward",
        "comet_quality",
        "recorded",
        "oracle",
        "noisy_oracle",
        "embedding",
        "comet",
    ):
        assert not any(closed in names for names in OPEN.values())


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


def test_open_names_exist():
    for kind, names in OPEN.items():
        assert names <= set(registry.names(kind))
