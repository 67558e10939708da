import pytest

from nbest.errors import InputError
from nbest.settings.run import settings


def refusal(tmp_path, text, flags=None):
    file = tmp_path / "nbest.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as e:
        settings(str(file), flags or {})
    return str(e.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("qq = 1", "nbest.toml, line 1: unknown key 'qq'. Known: engine, model, "),
        ("seed = 1\nsampel = 'x'", "line 2: unknown key 'sampel'; did you mean 'sample'? Known: engine, "),
        ("\nseed = 'x'", "line 2: seed: expected `int`, got `str`"),
        ("[budget]\n\ntokens = 1.5", "line 3: budget.tokens: expected `int | null`, got `float`"),
        ("seed = 1\nseed = 2", "line 2: Cannot overwrite a value"),
        ("seed = 1\nmodel = ", "line 2: Invalid value"),
        ("seed = 1\nmodel = '''", "line 2: "),
        ("seed = 1\nselect = 'frist'", "line 2: select: unknown selector 'frist'; did you mean 'first'?"),
        ("\n\nsample = 'iid(m=2)'", "line 3: sample: iid has no parameter 'm'"),
        ("strategy = 'paralel'", "line 1: strategy: unknown strategy 'paralel'; did you mean 'parallel'?"),
        (
            "seed = 1\nselect = 'vote'\nstrategy = 'parallel'",
            "line 3: `strategy` names sampler and selector itself",
        ),
        ("engine = 'fkae'", "line 1: engine: unknown engine 'fkae'"),
        ("[engine]\npolicy = 'fake'\njudge = 'fkae'", "line 3: judge: unknown engine 'fkae'"),
        ("[engine]\npolicy = 1", "line 2: engine.policy: expected `str`, got `int`"),
        ("[engine]\npolicy = 'fake'\n[engine.judge]\nx = 1", "line 3: engine.judge: expected `str`"),
        ("seed = 1\nengine = 'fake'\nmodel = 'ตัวเล็ก'", "line 3: `model` means nothing to engine  fake"),
        ("x = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("[engine]\njudge = 'fake'", "line 1: no engine answers: name one  policy  (named: judge)"),
        ("[budget]\nsample = 3", "line 2: unknown key 'sample' in budget; did you mean 'samples'?"),
        ("[budget]\nsamples = -1", "line 2: budget.samples: expected `int` >= 0"),
        ("concurrency = 0", "line 1: concurrency: expected `int` >= 1"),
        ("engine = 1", "line 1: engine: expected `str | object`, got `int`"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, text, says):
    assert says in refusal(tmp_path, text)


def test_flags_win_over_a_spec_that_is_wrong(tmp_path):
    (tmp_path / "nbest.toml").write_text(
        "select = 'frist'\nengine = 'fkae'\nconcurrency = 3\n[budget]\ntokens = 5\n"
    )
    flags = {"select": "vote", "engine": "fake", "samples": 2}
    chosen = settings(str(tmp_path / "nbest.toml"), flags)
    assert (chosen.select, chosen.engine, chosen.concurrency) == ("vote", "fake", 3)
    assert (chosen.budget.samples, chosen.budget.tokens) == (2, 5)


def test_a_gateways_tables_may_stand_in_the_same_file(tmp_path):
    (tmp_path / "nbest.toml").write_text("seed = 7\n[serve]\nport = 1\n[presets]\ngood = 'parallel'\n")
    assert settings(str(tmp_path / "nbest.toml"), {}).seed == 7


def test_without_a_file_flags_are_all():
    assert settings(None, {"seed": 3, "tokens": 9}).budget.tokens == 9
    with pytest.raises(InputError, match="expected `int`"):
        settings(None, {"seed": "x"})


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "nbest.toml").write_bytes("seed = 1\n# комментарий".encode("cp1251"))
    with pytest.raises(InputError, match=r"nbest\.toml, line 2: not UTF-8"):
        settings(str(tmp_path / "nbest.toml"), {})


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "nbest.toml").write_text("seed = 1\n", encoding="utf-8-sig")
    assert settings(str(tmp_path / "nbest.toml"), {}).seed == 1
