"""A package that is not ours, with the plug-ins of docs/plugins.md: used by name everywhere, by clients where it is open."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import commandline
import nbest
from nbest import registry
from nbest.errors import InputError, SpecError
from nbest.registry import outside
from nbest.serve.policies import open_strategy

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
BLOCK = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILES = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
METADATA = "Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n"
ENTRY_POINTS = """
[nbest.selectors]
median_length = elsewhere.middling:MedianLength
vote = elsewhere.middling:MedianLength
[nbest.scorers]
brief = elsewhere.rules:Brief
gone = elsewhere.rules:Gone
[nbest.engines]
parrot = elsewhere.parrot:Parrot
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A directory with an installed package, as pip leaves it."""
    site = tmp_path_factory.mktemp("site")
    (site / "elsewhere").mkdir()
    (site / "elsewhere" / "__init__.py").touch()
    for name, text in FILES.items():
        (site / "elsewhere" / name).write_text(text, encoding="utf-8")
    info = site / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return site


@pytest.fixture
def installed(site, monkeypatch):
    """The package, in the process of the test."""
    monkeypatch.syspath_prepend(site)
    outside.declared.cache_clear()
    yield
    outside.declared.cache_clear()


def run(site, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "nbest", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_of_the_page_are_short():
    assert sorted(FILES) == ["middling.py", "parrot.py", "rules.py"]
    assert all(len(text.strip().splitlines()) <= 25 for text in FILES.values())


def test_it_is_used_by_name_on_the_command_line(site):
    said = run(site, "ask", "你好", "--engine", "parrot", "--select", "best(scorer=brief(limit=9))", "--json")
    outcome = json.loads(said)
    assert outcome["strategy"] == "parallel(selector=best(scorer=brief(limit=9)))"
    assert outcome["selection"]["winner"]["text"] == "你好"
    assert outcome["selection"]["scores"]["0"] == pytest.approx(1 - 2 / 9)


@pytest.mark.usefixtures("installed")
def test_it_is_used_by_name_in_toml(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('engine = "fake"\nstrategy = "median_length(sampler=iid(n=7))"\n')
    outcome = json.loads(commandline.nbest("ask", "كم 2+2؟", "--config", file, "--json").stdout)
    assert outcome["strategy"] == "parallel(sampler=iid(n=7), selector=median_length)"
    texts = sorted((c["text"] for c in outcome["candidates"]), key=len)
    assert len(outcome["selection"]["winner"]["text"]) == len(texts[3])


@pytest.mark.usefixtures("installed")
def test_the_list_shows_it_with_its_package_and_what_is_wrong_with_a_declaration():
    listed = commandline.nbest("list", "scorers", "--json").stdout
    plugins = {p["name"]: p for p in json.loads(listed)["scorers"]}
    assert plugins["brief"]["package"] == "elsewhere"
    assert plugins["brief"]["parameters"] == {"limit": "200"}
    assert plugins["judge"]["package"] is None
    assert "elsewhere.rules has no class 'Gone'" in plugins["gone"]["summary"]
    assert "[elsewhere]" in commandline.nbest("list", "selectors").stdout


@pytest.mark.usefixtures("installed")
def test_it_is_used_by_name_in_python():
    outcome = nbest.ask("2足す2は？", engine="parrot", strategy="parallel(selector=median_length)")
    assert outcome.text == "2足す2は？"
    assert outcome.strategy == "parallel(selector=median_length)"


@pytest.mark.usefixtures("installed")
def test_clients_may_name_it_where_its_class_opens_itself():
    open_to_all = open_strategy("parallel(selector=median_length)", max_n=8)
    assert registry.spec_of(open_to_all) == "parallel(selector=median_length)"
    for spec in ("parallel(selector=best(scorer=brief))", "vote(weight=brief(limit=3))"):
        with pytest.raises(InputError, match="brief is for presets only"):
            open_strategy(spec, max_n=8)


@pytest.mark.usefixtures("installed")
def test_our_names_come_first():
    assert registry.load("selectors", "vote").__module__ == "nbest.selection.vote"
    assert registry.package_of("selectors", "vote") is None
    assert {"brief", "judge"} < set(registry.names("scorers"))


def test_two_packages_that_declare_one_name_are_said(site, tmp_path, monkeypatch):
    info = tmp_path / "other-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[nbest.scorers]\nbrief = other.rules:Brief\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(tmp_path)
    outside.declared.cache_clear()
    try:
        with pytest.raises(
            SpecError, match=r"two packages declare 'brief' for nbest\.scorers: .*other\.rules:Brief"
        ):
            registry.parse("scorers", "brief")
        assert registry.parse("scorers", "logprob")  # ours are not disturbed
    finally:
        outside.declared.cache_clear()


def test_our_laws_run_over_it_unchanged(site):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "median_length",
            "tests/laws/test_selectors.py",
        ],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
