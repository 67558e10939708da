"""Plants one fault at a time in a copy of src/, runs the tests that should notice, and prints which did.

Faults that the tests of their rooms miss are planted together, and tried with `EVERYTHING`: the tests that fail then,
and do not without a fault, are run with each of them alone. What nothing notices has survived.
Words on the command line choose lists (`first`, `second`, …) or faults by name; with `--rooms` what the rooms miss is
not tried with `EVERYTHING`; `--control` runs `EVERYTHING` on a copy without a fault.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from fault_lists import LISTS, Fault

ROOT: Final = Path(__file__).parents[1]
EVERYTHING: Final = ("tests/unit", "tests/laws", "tests/contract", "tests/golden", "tests/gateway")
TIMEOUT_S: Final = 3600
_FAILED = re.compile(r"^(?:FAILED|ERROR) ([^\s[]+)", re.MULTILINE)
"""A test of the summary, without its parameters."""
_CHECK: Final = '''
import subprocess, sys
import nbest

def pytest_configure(config):
    """Fails unless this process and those that it starts import the copy."""
    child = [sys.executable, "-c", "import nbest; print(nbest.__file__)"]
    named = [nbest.__file__, subprocess.run(child, capture_output=True, text=True, check=True).stdout]
    assert all(name.startswith({copy!r}) for name in named), named
'''


def main(words: list[str]) -> int:
    """Prints a table. Exit code 1 where a fault survived, did not apply, or the control failed."""
    with tempfile.TemporaryDirectory() as folder:
        src = Path(folder) / "src"
        if words == ["--control"]:
            failed = _failed(src, [], EVERYTHING)
            print("control, without a fault:", *failed or ["all pass"])
            return bool(failed)

        is_quick = "--rooms" in words
        words = [word for word in words if word != "--rooms"]
        chosen = [f for name, faults in LISTS.items() for f in faults if _is_meant(name, f, words)]
        applying = [fault for fault in chosen if _applies(fault)]
        test_by_fault: dict[Fault, str | None] = {}
        for fault in applying:
            test_by_fault[fault] = _first(_failed(src, [fault], fault.tests, "-x"))
            print(f"{fault.name}: {test_by_fault[fault]}", file=sys.stderr, flush=True)
        missed = [fault for fault in applying if test_by_fault[fault] is None]
        failed = _failed(src, missed, EVERYTHING) if missed and not is_quick else []
        broken = _failed(src, [], tuple(failed)) if failed else []  # without any fault
        noticing = tuple(test for test in failed if test not in broken)
        for fault in missed if noticing else ():
            test_by_fault[fault] = _first(_failed(src, [fault], noticing, "-x"))

    print("| fault | file | | first test that failed |\n|---|---|---|---|")
    for fault in chosen:
        test = test_by_fault.get(fault)
        verdict = "noticed" if test else "**survived**"
        if fault not in applying:
            verdict = "does not apply: its text does not stand once in the file"
        print(f"| {fault.name} | `{fault.file}` | {verdict} | {f'`{test}`' if test else ''} |")
    num_noticed = sum(test is not None for test in test_by_fault.values())
    print(f"\nnoticed: {num_noticed} of {len(chosen)}")
    return num_noticed < len(chosen)


def _is_meant(list_name: str, fault: Fault, words: list[str]) -> bool:
    """Whether the command line chooses the fault: by its list or its name, or all by no word."""
    return not words or list_name in words or any(word in fault.name for word in words)


def _applies(fault: Fault) -> bool:
    return (ROOT / "src" / "nbest" / fault.file).read_text(encoding="utf-8").count(fault.old) == 1


def _first(tests: list[str]) -> str | None:
    return next(iter(tests), None)


def _failed(src: Path, faults: list[Fault], paths: tuple[str, ...], *options: str) -> list[str]:
    """The tests of `paths` that fail where the package is a copy, in `src`, with `faults`."""
    shutil.rmtree(src, ignore_errors=True)
    shutil.copytree(ROOT / "src", src, ignore=shutil.ignore_patterns("__pycache__"))
    (src / "imports_the_copy.py").write_text(_CHECK.replace("{copy!r}", repr(str(src))), encoding="utf-8")
    for fault in faults:
        file = src / "nbest" / fault.file
        file.write_text(file.read_text(encoding="utf-8").replace(fault.old, fault.new), encoding="utf-8")

    # No byte code: a copy of the same size and second as the last one would be taken for it.
    env = os.environ | {
        "PYTHONPATH": str(src),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(src.parent / "hypothesis"),
    }
    common = ["-n", "0", "-p", "no:cacheprovider", "-p", "imports_the_copy", "--hypothesis-seed=0"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", *common, *options, *paths],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    found = list(dict.fromkeys(_FAILED.findall(done.stdout)))
    if done.returncode != 0 and not found:  # the check of what is imported, or pytest itself
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout}{done.stderr}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
