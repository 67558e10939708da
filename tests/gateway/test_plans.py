"""Plans behind the gateway: the method changes with language and difficulty, and the usage is right."""

import pytest

from gateway.process import serving
from gateway.upstream import Scripted, running
from planning import PLAN, write_plan_file


@pytest.fixture(scope="module")
def upstream():
    with running(Scripted()) as server:
        yield server


@pytest.fixture(scope="module")
def client(tmp_path_factory, upstream, connect):
    folder = tmp_path_factory.mktemp("plans")
    plan = write_plan_file(folder / "plan.toml", head=PLAN.replace('engines = ["scripted"]\n', ""))
    presets = f"""
[presets]
planned = "planned(file='{plan}', budget=8)"
auto = "auto(file='{plan}', effort=low)"
"""
    (folder / "gateway.toml").write_text(presets, encoding="utf-8")
    engine = ("--engine", f"openai:{upstream.url}", "--model", "m")
    with serving(folder, *engine, "--config", folder / "gateway.toml") as base:
        yield connect(base)


def ask(client, question, language, *, model="m@planned"):
    return client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        extra_body={"nbest": {"language": language, "task": "sums"}},
    )


def test_an_easy_prompt_ends_with_its_pilot(client, upstream):
    upstream.will("๔")
    got = ask(client, "๒ + ๒ เท่ากับเท่าไร", "th")
    assert got.choices[0].message.content == "๔"
    assert upstream.drawn == 4
    assert got.usage.completion_tokens == 4
    assert any("bin 1 of 2: agreement 1" in note for note in got.nbest["notes"])


def test_a_hard_prompt_goes_on(client, upstream):
    upstream.will(*[str(i) for i in range(90, 98)])
    got = ask(client, "2加2等于几？", "zh")
    assert upstream.drawn == 8
    assert got.usage.completion_tokens == 8
    assert any("bin 2 of 2: agreement 0.25" in note for note in got.nbest["notes"])


def test_auto_is_a_name_of_the_model(client, upstream):
    upstream.will(*[str(i) for i in range(90, 98)])
    ask(client, "२ + २ कितना है?", "hi", model="m@auto")
    assert upstream.drawn == 4  # the plan's budget at low effort


def test_a_client_cannot_name_a_plan(client):
    import openai

    with pytest.raises(openai.BadRequestError, match="presets only"):
        ask(client, "2 + 2 = ?", "en", model="m@auto(file='/etc/passwd')")
    with pytest.raises(openai.BadRequestError, match="presets only"):
        ask(client, "2 + 2 = ?", "en", model="m@planned(file='/etc/passwd')")
