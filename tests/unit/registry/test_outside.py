"""Plug-ins in the user's own code: how they are named, and what is said where they cannot be used."""

import asyncio
import os
import sys

import pytest

from nbest import registry
from nbest.errors import RecordsError, SpecError
from nbest.records import RunWriter
from nbest.registry.shapes import misfit
from nbest.selection.best import Best
from nbest.selection.vote import Vote
from nbest.session import Session, ask

MINE = '''
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Shortest:
    """Short answers are worth more."""
    limit: int = 100

    async def __call__(self, prompt, candidates, ctx) -> "list[Score]":
        from nbest import Score
        return [Score(value=max(0.0, 1 - len(c.text) / self.limit)) for c in candidates]

@dataclass(frozen=True, kw_only=True)
class Last:
    """The last candidate."""
    n: int = 3

    async def __call__(self, prompt, candidates, ctx) -> "Selection":
        from nbest.selection.pool import chosen, usable
        return chosen(usable(candidates)[-1])

@dataclass(frozen=True)
class Waits:
    def __call__(self, prompt, candidates, ctx) -> "Selection": ...

@dataclass(frozen=True)
class Mute:
    limit: int = 1

@dataclass
class Changing:
    async def __call__(self, prompt, candidates, ctx): ...

@dataclass(frozen=True)
class OfTwo:
    async def __call__(self, prompt, candidates): ...

def function(prompt, candidates, ctx): ...
'''


@pytest.fixture(autouse=True)
def code(tmp_path, monkeypatch):
    """Files of a user, in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    files = {
        "mine.py": MINE,
        "my rules, new/mine.py": MINE,
        "المقاييس/评分.py": MINE,
        "mylib/__init__.py": "",
        "mylib/rules.py": MINE,
        "mylib/again.py": "from mylib.rules import Shortest",
        "helper.py": "WORTH = 3",
        "helped.py": f"from helper import WORTH\n{MINE}",
        "broken.py": "import json\n\nx = json.loads('{')",
        "unfinished.py": "x = 1\ny = (",
        "needy.py": "x = 1\nimport not_installed_anywhere",
        "leaving.py": "raise SystemExit(3)",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    yield tmp_path
    for name in ("mylib", "mylib.rules", "mylib.again", "mine", "helper"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "spec",
    [
        "best(scorer=./mine.py:Shortest)",
        "best(scorer=mine.py:Shortest(limit=3))",
        "vote(weight=mylib.rules:Shortest(limit=3))",
        "vote(weight=mylib.again:Shortest)",
        "vote(weight=mine:Shortest)",
        "vote(weight='./my rules, new/mine.py:Shortest'(limit=3))",
        "vote(weight=./المقاييس/评分.py:Shortest(limit=7))",
        "guard(selector=best(scorer=./mine.py:Shortest, fallback=mylib.rules:Last))",
        "./mine.py:Last",
        "mylib.rules:Last(n=4)",
        "'./my rules, new/mine.py:Last'(n=4)",
    ],
)
def test_the_spec_of_a_class_in_code_is_the_one_that_named_it(spec):
    selector = registry.parse("selectors", spec)
    assert registry.spec_of(selector) == spec
    assert registry.parse("selectors", registry.spec_of(selector)) == selector


@pytest.mark.parametrize(
    "spec",
    [
        "best(./mine.py:Shortest)",
        "best(scorer=  ./mine.py:Shortest )",
        "best('./mine.py:Shortest')",
        'best("./mine.py:Shortest"(limit=100))',
        "best:./mine.py:Shortest",
        "best(./mine.py:Shortest(100))",
    ],
)
def test_it_may_be_written_in_several_ways(spec):
    assert registry.spec_of(registry.parse("selectors", spec)) == "best(scorer=./mine.py:Shortest)"


def test_a_path_with_spaces_needs_no_quotes_where_no_comma_is_in_it(code):
    (code / "with spaces.py").write_text(MINE)
    selector = registry.parse("selectors", "vote(weight=./with spaces.py:Shortest(limit=3), power=1)")
    assert isinstance(selector, Vote)
    assert registry.spec_of(selector) == "vote(weight='./with spaces.py:Shortest'(limit=3), power=1.0)"


def test_a_file_may_import_its_neighbours():
    assert registry.load("scorers", "./helped.py:Shortest").__name__ == "Shortest"


def test_a_file_that_changed_is_read_again(code):
    assert registry.parse("scorers", "./mine.py:Shortest").limit == 100
    (code / "mine.py").write_text(MINE.replace("= 100", "= 7"))
    os.utime(code / "mine.py", ns=(1, 1))
    assert registry.parse("scorers", "./mine.py:Shortest").limit == 7


def test_a_selector_of_the_user_is_a_strategy_too():
    strategy = registry.parse("strategies", "./mine.py:Last(sampler=iid(n=3))")
    assert registry.spec_of(strategy) == "parallel(sampler=iid(n=3), selector=./mine.py:Last)"
    with pytest.raises(SpecError, match="Shortest is no strategy: it is a scorer"):
        registry.parse("strategies", "mine:Shortest")


def test_a_prompt_is_answered_with_it_and_the_run_goes_on(code):
    strategy = "parallel(selector=best(scorer=./mine.py:Shortest(limit=50)))"
    outcome = ask("五 + 三 = ?", engine="fake", strategy=strategy)
    assert outcome.strategy == strategy
    assert outcome.stopped == "done"
    assert outcome.text == min((c.text for c in outcome.candidates), key=len)

    for _ in range(2):  # a new run, and the same one again
        with RunWriter(code / "run", Session(engine="fake", strategy=strategy).config):
            pass
    with pytest.raises(RecordsError, match="limit=50"):
        RunWriter(code / "run", Session(engine="fake", strategy=strategy.replace("50", "51")).config)


def test_an_instance_of_an_importable_class_has_a_spec_that_names_it():
    scorer = registry.load("scorers", "mylib.rules:Shortest")
    assert registry.spec_of(Best(scorer=scorer(limit=2))) == "best(scorer=mylib.rules:Shortest(limit=2))"


@pytest.mark.parametrize(
    ("kind", "spec", "says"),
    [
        ("scorers", "./min.py:Shortest", "there is no file ./min.py, seen from the current directory"),
        ("scorers", "./mine:Shortest", "./mine is no Python file: write the path of one"),
        ("scorers", "./mine.py:Shortets", "./mine.py has no class 'Shortets'; did you mean 'Shortest'?"),
        ("scorers", "./mine.py:function", "./mine.py has no class 'function'"),
        ("scorers", "mylib.rulez:Shortest", "there is no module 'mylib.rulez'"),
        ("scorers", "jugde:Mine", "nor among the installed packages; did you mean 'judge'?"),
        ("scorers", "./broken.py:X", "./broken.py cannot be imported: JSONDecodeError at broken.py, line 3"),
        ("scorers", "unfinished:X", "unfinished cannot be imported: SyntaxError at unfinished.py, line 2"),
        ("scorers", "./needy.py:X", "ModuleNotFoundError at needy.py, line 2: No module named 'not_installed_anywhere'"),
        ("scorers", "needy:X", "ModuleNotFoundError at needy.py, line 2: No module named 'not_installed_anywhere'"),
        ("scorers", "leaving:X", "leaving cannot be imported: SystemExit at leaving.py, line 1: 3"),
        ("selectors", "./mine.py:Shortest", "Shortest is no selector: it is a scorer"),
        ("scorers", "./mine.py:Last", "Last is no scorer: it is a selector"),
        ("utilities", "./mine.py:Shortest", "Shortest is no utility: it is a scorer"),
        ("engines", "./mine.py:Shortest", "Shortest is no engine: it is a scorer"),
        ("engines", "./mine.py:Mute", "Mute is no engine: it has no name and no capabilities and no generate"),
        ("selectors", "./mine.py:Mute", "Mute is no selector: it has no __call__"),
        ("selectors", "./mine.py:Waits", "Waits is no selector: __call__ must be  async def"),
        ("selectors", "./mine.py:OfTwo", "OfTwo is no selector: __call__ must take (prompt, candidates, ctx)"),
        ("selectors", "./mine.py:Changing", "Changing is no selector: it is no frozen dataclass; write"),
        ("scorers", "./mine.py:Shortest(lim=3)", "./mine.py:Shortest has no parameter 'lim'; did you mean 'limit'?"),
        ("scorers", "./mine.py:Shortest(limit=three)", "./mine.py:Shortest(limit=…): expected `int`, got `str`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(kind, spec, says):
    with pytest.raises(SpecError) as e:
        registry.parse(kind, spec)
    assert says in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "spec",
    [
        "parallel(selector=./broken.py:X)",
        "parallel(selector=best(scorer=mylib.rules:Shortest))",
        "vote(weight='./mine.py:Shortest')",
        "vote(weight='./mine.py:Shortest'(limit=3))",
        "./mine.py:Last",
        "mylib.rules:Last(n=3)",
        "nbest.selection.first:First",
        "vote(weight='broken:X()')",
    ],
)
def test_a_client_names_no_class_in_code_and_nothing_is_imported(spec):
    known = set(sys.modules)
    with pytest.raises(SpecError, match="names a class in code, which is for presets only"):
        registry.parse("strategies", spec, is_from_client=True)
    assert set(sys.modules) == known


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, table in registry.TABLES.items() for n in table])
def test_every_plugin_of_ours_is_of_its_kind_and_of_no_other(kind, name):
    cls = registry.load(kind, name)
    assert [k for k in registry.TABLES if misfit(k, cls) is None] == [kind]


def test_scores_of_the_users_scorer_come_from_it():
    [score] = asyncio.run(registry.parse("scorers", "./mine.py:Shortest(limit=2)")(None, [Text("a")], None))
    assert score.value == 0.5


class Text:
    def __init__(self, text):
        self.text = text
