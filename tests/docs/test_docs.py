"""Every `python` and `console` block of the README and the docs runs; generated pages are up to date."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from commandline import nbest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# (\w+\.py)\n")
"""How a block begins that is a file, which later blocks use."""


def pages_with_blocks():
    for page in PAGES:
        if BLOCK.search(page.read_text(encoding="utf-8")):
            yield pytest.param(page, id=str(page.relative_to(ROOT)))


@pytest.mark.parametrize("page", list(pages_with_blocks()))
def test_the_blocks_of_a_page_run_one_after_another(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "python" and (file := FILE.match(block)):
            (tmp_path / file[1]).write_text(block, encoding="utf-8")
        if kind == "python":
            exec(compile(block, str(page), "exec"), {"__name__": "__main__"})
            continue
        lines = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
        if all(map(stands_alone, lines)):
            for line in lines:
                run_line(line)
        else:
            run_in_bash("\n".join(lines))


def stands_alone(line):
    """Whether a line of a block needs nothing of a shell that goes on from line to line."""
    return line.startswith(("nbest ", "printf ", "echo ")) and not line.endswith("&")


def run_line(line):
    """A command of `nbest` in this process, with its output in a file where the line says so; else bash."""
    words = list(shlex.shlex(line, posix=True, punctuation_chars="<>|&;"))
    operators = [w for w in words if set(w) <= set("<>|&;")]
    if words[0] != "nbest" or operators not in ([], [">"]):
        run_in_bash(line)
        return
    command, _, file = line.partition(" > ") if operators else (line, "", "")
    done = nbest(*shlex.split(command)[1:], may_fail=False)
    if file:
        Path(file).write_text(done.stdout, encoding="utf-8")


def run_in_bash(script):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stderr}"


def test_generated_pages_are_up_to_date():
    generate = runpy.run_path(str(ROOT / "scripts" / "generate_docs.py"))
    for file, text in generate["pages"]().items():
        assert file.read_text(encoding="utf-8") == text, f"{file.name}: run  python scripts/generate_docs.py"


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
