import pytest

from nbest import registry
from nbest.errors import SpecError
from nbest.sampling.hedged import Hedged
from nbest.sampling.ladder import Ladder
from nbest.scoring.logprob import Logprob
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
    ("short", "long"),
    [
        ("beam(verifier=rollouts)", "tree(verifier=rollouts)"),
        (
            "rebase(n=16, verifier=rollouts(k=2), step_tokens=64)",
            "tree(search=rebase(n=16), verifier=rollouts(k=2), step_tokens=64)",
        ),
        ("dvts(8, width=2, verifier=logprob)", "tree(search=dvts(n=8, width=2), verifier=logprob)"),
        (
            "beam(n=8, verifier=logprob, temperature=0.5)",
            "tree(search=beam(n=8), verifier=logprob, temperature=0.5)",
        ),
        ("vote", "parallel(selector=vote)"),
        ("vote(n=8)", "parallel(sampler=hedged(n=8), selector=vote)"),
        ("mbr(n=7, utility=edit)", "parallel(sampler=hedged(n=7), selector=mbr(utility=edit))"),
        ("best_of_n(n=8, scorer=logprob)", "parallel(sampler=hedged(n=8), selector=best(logprob))"),
        ("best_of_n(logprob, n=8)", "parallel(sampler=hedged(n=8), selector=best(logprob))"),
        ("fuse(n=3, sampler=iid(top_p=0.9))", "parallel(sampler=iid(n=3, top_p=0.9), selector=fuse)"),
        ("chops(n=3, sampler='iid')", "parallel(sampler=iid(n=3), selector=chops)"),
        ("guard(selector=vote, n=3)", "parallel(sampler=hedged(n=3), selector=guard(selector=vote))"),
    ],
)
def test_a_search_or_selector_is_a_strategy(short, long):
    strategy = registry.parse("strategies", short)
    assert strategy == registry.parse("strategies", long)
    assert registry.spec_of(strategy) == registry.spec_of(registry.parse("strategies", long))
    assert registry.spec_of(strategy).partition("(")[0] in {"tree", "parallel"}


def test_no_name_means_two_strategies():
    kinds = ("strategies", *registry.PART_OF)
    names = [n for k in kinds for n in (*registry.names(k), *registry.OTHER_NAMES.get(k, {}))]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", registry.PART_OF)
def test_every_one_of_them_is(kind):
    for name in registry.names(kind):
        needed = {"best": "scorer=logprob", "guard": "selector=vote", "xmbr": "utility=chrf"}.get(name)
        given = "verifier=logprob" if kind == "searches" else needed
        assert registry.parse("strategies", f"{name}({given})" if given else name)


def test_another_name_of_a_selector():
    assert registry.parse("selectors", "best_of_n(logprob)") == Best(scorer=Logprob())
    assert registry.parse(
        "strategies", "tree(verifier=logprob, selector=best_of_n(logprob))"
    ).selector == Best(scorer=Logprob())


@pytest.mark.parametrize(
    ("kind", "earlier", "now"),
    [
        ("engines", "reissue(engine=fake, after_s=0.5)", "hedge(engine=fake, after_s=0.5)"),
        ("engines", "retry(engine=reissue(fake))", "retry(engine=hedge(engine=fake))"),
        ("strategies", "parallel(quorum=4, linger=0.2)", "parallel(quorum=4, grace=0.2)"),
        ("strategies", "vote(quorum=4, linger=0.2)", "parallel(selector=vote, quorum=4, grace=0.2)"),
    ],
)
def test_earlier_names_are_read_and_the_new_ones_written(kind, earlier, now):
    assert registry.spec_of(registry.parse(kind, earlier)) == now
    assert registry.parse(kind, now) == registry.parse(kind, earlier)


@pytest.mark.parametrize(
    ("kind", "spec", "says"),
    [
        ("strategies", "parallel(grace=1, linger=1)", "grace is given twice"),
        ("strategies", "vote(grace=1, linger=1)", "grace is given twice"),
        ("strategies", "bema(n=4)", "unknown strategy 'bema'; did you mean 'beam'"),
        ("strategies", "paralel", "did you mean 'parallel'"),
        ("strategies", "beam(n=4)", "beam needs verifier: write beam(verifier=…)"),
        ("strategies", "beam(verifer=logprob)", "beam has no parameter 'verifer'; did you mean 'verifier'"),
        ("strategies", "beam(verifier=logprob, serach=dvts)", "has no parameter 'serach'"),
        ("strategies", "beam(verifier=logprob, search=dvts)", "has no parameter 'search'"),
        (
            "strategies",
            "rebase(verifier=logprob, temperature=1)",
            "write tree(search=rebase(temperature=…), temperature=…)",
        ),
        ("strategies", "vote(n=8, wieght=logprob)", "did you mean 'weight'"),
        ("strategies", "vote(n=8, sampler=iid(n=3))", "n is given twice"),
        ("strategies", "vote(n=8, sampler=greedy)", "n must be 1"),
        ("strategies", "vote(n=8, sampler='iid(')", "cannot read 'iid('"),
        ("strategies", "vote(n=many)", "hedged(n=…): expected `int`"),
        ("strategies", "beam(n=8)", "write beam(verifier=…)"),
        ("selectors", "best_of_m(logprob)", "unknown selector 'best_of_m'; did you mean 'best"),
        ("selectors", "frist", "did you mean 'first'"),
        ("selectors", "mbr(utilty=chrf)", "did you mean 'utility'"),
        ("samplers", "hedged(n=many)", "hedged(n=…): expected `int`"),
        ("samplers", "hedged(n=0)", "n must be at least 1"),
        ("samplers", "hedged(n=5", "cannot read"),
        ("samplers", "hedged(n=1+1)", "put quotes around text"),
        ("samplers", "hedged(n=1, n=2)", "n is given twice"),
        ("samplers", "hedged(1, 2)", "takes one value without a name"),
        ("samplers", "hedged(3, n=2)", "too many values"),
        ("selectors", "guard", "write guard(selector=…)"),
        ("selectors", "best(chrf)", "unknown scorer 'chrf'"),
        ("scorers", "3", "names no scorer"),
        (
            "scorers",
            "oracle(auc=0.8)",
            "oracle has no parameter 'auc'. Known: engine, grader, max_tokens, read, template_language, templates. noisy_oracle has one",
        ),
        ("selectors", "first(size=3)", "first has no parameter 'size': it takes none"),
        ("scorers", "judge(votes=3)", "step_judge has one"),
        ("strategies", "lookahead(k=2)", "lookahead is a parameter: write beam(lookahead=2)"),
        ("strategies", "tree(search=lookahead(k=2), verifier=oracle)", "write beam(lookahead=2)"),
        ("nouns", "x", "unknown kind"),
    ],
)
def test_what_is_wrong_is_said(kind, spec, says):
    with pytest.raises(SpecError) as e:
        registry.parse(kind, spec)
    assert says in str(e.value)
    assert "\n" not in str(e.value)


def test_the_name_of_a_file_needs_no_quotes():
    assert registry.parse("stops", "learned(plan.toml)").file == "plan.toml"
    assert registry.parse("stops", "learned:runs/plan.toml").file == "runs/plan.toml"
    assert (
        registry.parse("stops", registry.spec_of(registry.parse("stops", "learned('a/b c.toml')"))).file
        == "a/b c.toml"
    )


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
