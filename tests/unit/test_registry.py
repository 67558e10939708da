import pytest

from nbest import registry
from nbest.errors import SpecError
from nbest.sampling.draws import Hedged, Ladder
from nbest.scoring.confidence import Logprob
from nbest.selection.best import Best


def test_a_bare_name_is_the_default():
    assert registry.parse("samplers", "hedged") == Hedged()


def test_parameters_are_fields():
    assert registry.parse("samplers", "hedged(n=8, temperature=0.9, min_p=0)") == Hedged(
        n=8, temperature=0.9, min_p=0.0
    )


def test_one_value_without_a_name_fills_the_first_field():
    assert registry.parse("selectors", "best(logprob(normalise=none))") == Best(
        scorer=Logprob(normalise="none")
    )


def test_lists_become_tuples():
    assert registry.parse("samplers", "ladder(n=2, temperatures=[0.2, 0.8])") == Ladder(
        n=2, temperatures=(0.2, 0.8)
    )


def test_what_stands_behind_a_colon_fills_the_first_field():
    engine = registry.parse("engines", "openai:http://localhost:8000/v1")
    assert engine.url == "http://localhost:8000/v1"


def test_text_in_other_scripts_is_text():
    assert registry.parse("scorers", 'recorded(field="得分")').field == "得分"
    assert registry.parse("scorers", "recorded(field=оценка)").field == "оценка"


@pytest.mark.parametrize(
    ("kind", "spec", "says"),
    [
        ("selectors", "frist", "did you mean 'first'"),
        ("selectors", "mbr(utilty=chrf)", "did you mean 'utility'"),
        ("samplers", "hedged(n=many)", "hedged(n=…): expected `int`"),
        ("samplers", "hedged(n=0)", "n must be at least 1"),
        ("samplers", "hedged(n=5", "cannot read"),
        ("samplers", "hedged(n=1+1)", "put quotes around text"),
        ("samplers", "hedged(n=1, n=2)", "n is given twice"),
        ("samplers", "hedged(1, 2)", "takes one value without a name"),
        ("samplers", "hedged(3, n=2)", "too many values"),
        ("selectors", "best", "write best(scorer=…)"),
        ("selectors", "best(chrf)", "unknown scorer 'chrf'"),
        ("scorers", "3", "names no scorer"),
        ("nouns", "x", "unknown kind"),
    ],
)
def test_what_is_wrong_is_said(kind, spec, says):
    with pytest.raises(SpecError) as e:
        registry.parse(kind, spec)
    assert says in str(e.value)
    assert "\n" not in str(e.value)


def test_a_spec_names_what_differs_from_the_default_only():
    assert registry.spec_of(Hedged(n=8)) == "hedged(n=8)"
    assert registry.spec_of(Best(scorer=Logprob())) == "best(scorer=logprob)"


@pytest.mark.parametrize("kind", registry.TABLES)
def test_every_line_of_every_table_loads_and_says_what_it_is(kind):
    for name in registry.names(kind):
        cls = registry.load(kind, name)
        assert cls.__doc__
        assert registry.name_of(cls) == name


@pytest.mark.parametrize(
    "spec",
    ["iid(temperature=-1)", "ladder(low=-0.1)", "hedged(top_p=0)", "greedy(max_tokens=0)", "iid(min_p=2)"],
)
def test_parameters_no_model_could_take_are_refused_at_once(spec):
    with pytest.raises(SpecError, match="must"):
        registry.parse("samplers", spec)
