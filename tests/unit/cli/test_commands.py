"""Help, examples, groups of options, and what errors and warnings say on the command line."""

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from commandline import nbest
from nbest.cli.command import Command, command
from nbest.cli.exits import interruptible
from nbest.cli.fit_commands import FIT_COMMANDS
from nbest.cli.flags import FLAG_BY_PARAMETER, engine_table, with_flags
from nbest.cli.lab_commands import LAB_COMMANDS
from nbest.cli.main import COMMANDS, app
from nbest.cli.plan_commands import PLAN_COMMANDS
from nbest.errors import InputError
from nbest.records import RunWriter
from nbest.types import Candidate, Message, Outcome, Prompt, Selection

ROOT = typer.main.get_command(app)
GROUPS = {"fit": FIT_COMMANDS, "plan": PLAN_COMMANDS, "lab": LAB_COMMANDS}
NAMED = {c.name: c for c in COMMANDS} | {f"{g} {c.name}": c for g, group in GROUPS.items() for c in group}


def click_command(name):
    found = ROOT
    for part in name.split():
        found = found.commands[part]
    return found


def test_every_command_is_in_the_table():
    leaves = {n for n, c in ROOT.commands.items() if not hasattr(c, "commands")}
    grouped = {f"{g} {n}" for g in GROUPS for n in ROOT.commands[g].commands}
    assert {n for n, c in ROOT.commands.items() if hasattr(c, "commands")} == set(GROUPS)
    assert leaves | grouped == set(NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_help_shows_examples_that_the_command_understands(name):
    shown = nbest(*name.split(), "--help").stdout
    for example in NAMED[name].examples:
        assert f"\n    {example}\n" in shown
        words = shlex.split(re.split(" [<>]", example)[0])
        assert words[0] == "nbest"
        arguments = words[1 + len(name.split()) :]
        click_command(name).make_context(name, arguments)  # raises for an unknown option or a wrong value


def test_square_brackets_in_help_are_text():
    shown = " ".join(nbest("run", "--help").stdout.split())
    assert "'mgsm(languages=[th, zh])'" in shown
    assert "failover(engines=[a, b])" in with_flags("failover(engines=[a, b])")


def test_every_summary_fits_the_list_of_commands():
    assert "..." not in nbest("--help").stdout.partition("Commands:")[2]


def test_help_imports_no_library_that_is_slow_to_import():
    code = "import sys; sys.argv = ['nbest', '--help']\nfrom nbest.cli.main import main\ntry: main()\n"
    code += "finally: print(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"rich", "asyncio", "msgspec", "numpy", "aiohttp"} & set(done.stderr.split())


def test_a_group_of_options_is_one_parameter_of_the_function_and_several_of_the_command():
    seen = []

    @dataclass(frozen=True, kw_only=True)
    class Place:
        host: Annotated[str, typer.Option(help="Where.")] = "here"
        port: Annotated[int | None, typer.Option("--port", "-p", min=0)] = None

    globals()["Place"] = Place  # annotations are resolved in the module

    @command("go", "nbest go th")
    def go(who: Annotated[str, typer.Argument()], place: Place, *, loud: bool = False) -> None:
        """Go."""
        seen.append((who, place, loud))

    assert isinstance(go, Command)
    small = typer.Typer()
    go.add_to(small)
    small(["ใคร", "--host", "ที่", "-p", "3"], standalone_mode=False)
    small(["谁"], standalone_mode=False)
    assert seen == [("ใคร", Place(host="ที่", port=3), False), ("谁", Place(), False)]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("`strategy` is empty: name one", "--strategy is empty: name one"),
        ("choose another `out` or `seed`", "choose another --out or --seed"),
        ("`seconds` of the budget", "--deadline of the budget"),
        ("row has no column `ответ`, `answer` or `foo_bar`", "row has no column `ответ`, `answer` or `foo_bar`"),
    ],
)  # fmt: skip
def test_parameters_in_errors_become_flags(said, shown):
    assert with_flags(said) == shown


def test_every_flag_in_the_table_exists():
    known = {flag for name in NAMED for p in click_command(name).params for flag in p.opts}
    assert set(FLAG_BY_PARAMETER.values()) <= known


@pytest.mark.parametrize(
    ("given", "table"),
    [
        (None, None),
        (["openai:http://h/v1?a=b"], {"policy": "openai:http://h/v1?a=b"}),
        (["fake", "judge=openai:u"], {"policy": "fake", "judge": "openai:u"}),
        (["policy=fake(latency_s=1)"], {"policy": "fake(latency_s=1)"}),
    ],
)
def test_engines_by_role(given, table):
    assert engine_table(given) == table


def test_a_role_named_twice_is_an_error():
    with pytest.raises(InputError, match="names two for judge: a and b"):
        engine_table(["judge=a", "judge=b"])


def test_an_interrupted_run_says_how_to_go_on(capsys, tmp_path):
    async def work():
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        interruptible(work(), tmp_path)
    assert ended.value.exit_code == 130
    assert f"what was answered is in {tmp_path}" in capsys.readouterr().err


def test_answers_that_were_cut_off_are_counted_with_what_to_raise(tmp_path):
    sample = ("--sample", "iid(n=3, max_tokens=2)", "--engine", "fake", "--select", "first")
    asked = nbest("ask", "كم ٢+٢؟", *sample, may_fail=False)
    assert "3 of 3 answers were cut off before their end (finish=length): raise max_tokens" in asked.stderr
    assert "--max-total-tokens" in asked.stderr

    (tmp_path / "p.jsonl").write_text(
        '{"prompt": "2+2は？"}\n{"prompt": "2+2 เท่ากับเท่าไร"}\n', encoding="utf-8"
    )
    ran = nbest("run", tmp_path / "p.jsonl", "--out", tmp_path / "r", *sample, "--json", may_fail=False)
    assert '"truncated":6' in ran.stdout
    assert "6 of 6 answers were cut off" in ran.stderr

    whole = nbest("ask", "2+2", "--sample", "iid(n=3)", "--engine", "fake", "--select", "first")
    assert "cut off" not in whole.stderr


def test_failed_draws_and_steps_are_not_counted_as_cut_off(tmp_path):
    drawn = (
        Candidate(id=0, text="三", finish="step"),
        Candidate(id=1, text="", finish="length", error="the server is down"),
        Candidate(id=2, text="三加四", finish="length"),
        Candidate(id=3, text="三加四等于七", finish="stop"),
    )
    answered = Outcome(
        prompt=Prompt(id="zh", messages=(Message(role="user", content="3+4"),)), strategy="s", seed=0,
        selection=Selection(winner=drawn[3], weights={3: 1.0}), candidates=drawn, usage={},
    )  # fmt: skip
    with RunWriter(tmp_path / "run", {"pools": "p"}) as writer:
        writer.append(answered)
    done = nbest("select", tmp_path / "run", "--select", "first", "--out", tmp_path / "again")
    assert "1 of 3 answers were cut off" in done.stderr
