"""Every `python` and `console` block of the README and the docs runs; generated pages are up to date."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
def test_the_blocks_of_a_page_run_one_after_another(page, tmp_path):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "python" and (file := FILE.match(block)):
            (tmp_path / file[1]).write_text(block, encoding="utf-8")
        if kind == "python":
            command = [sys.executable, "-c", block]
        else:
            lines = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
            command = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_generated_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
