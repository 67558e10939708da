"""Plants one fault at a time in a copy of src/, runs the tests that should notice, and prints which did.

Faults that the tests of their rooms miss are planted together, and tried with `EVERYTHING`: the tests that fail then,
and do not without a fault, are run with each of them alone. What nothing notices has survived.
Words on the command line choose faults by name; `--control` runs `EVERYTHING` on a copy without a fault.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
EVERYTHING: Final = ("tests/unit", "tests/laws", "tests/contract", "tests/golden")
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


class Fault(NamedTuple):
    """A change of one place in one file of src/nbest, and the tests that should notice it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def _tests(*paths: str) -> tuple[str, ...]:
    return tuple(f"tests/{path}" for path in paths)


SELECTORS = _tests("unit/selection", "unit/strategies", "laws/test_selectors.py")
SEARCHES = _tests("unit/search", "unit/strategies", "laws/test_searches.py")
ESTIMATORS = _tests("unit/evaluate", "unit/arena", "laws/test_estimators.py")
BUDGETS = _tests("unit/test_budget.py", "unit/test_context.py", "unit/accounting", "laws/test_strategies.py")
STREAMS = _tests("unit/engines/openai", "unit/serve/api")
RECORDS = _tests("unit/test_records.py", "unit/test_datasets.py", "unit/test_run.py", "unit/test_resume.py")

FAULTS: Final = (
    # Selectors.
    Fault("vote: ties share the worst rank in Borda", "selection/vote.py",
          "1 + sum(other > s for other", "sum(other >= s for other", SELECTORS),
    Fault("mbr: pruned forgets how often a text was drawn", "selection/mbr.py",
          "references = list(counts.elements())", "references = list(counts)", SELECTORS),
    Fault("chops: a part leaves no room for the second reply", "selection/chops.py",
          "- 2 * self.max_tokens - most_tokens", "- self.max_tokens - most_tokens", SELECTORS),
    Fault("tree: a lookahead judges the step before, not where it began", "strategies/backup.py",
          "judged = self._judged_by_node.get(node.parent, node.parent)", "judged = node.parent", SELECTORS),
    # Searches.
    Fault("rebase: answers finished twice count once", "search/rebase.py",
          'sum(n.count for n in batch.nodes if n.fate == "finished")',
          'sum(n.fate == "finished" for n in batch.nodes)', SEARCHES),
    Fault("beam: one round too many under lookahead", "search/beam.py",
          "if node.depth < self.rounds", "if node.depth <= self.rounds", SEARCHES),
    Fault("particles: finished answers are annealed too", "search/particles.py",
          'if node.fate == "finished" or not self.anneal:', "if not self.anneal:", SEARCHES),
    Fault("abmcts: the normal prior's mean counts n + 1 times", "search/abmcts.py",
          "n * mean**2 / kappa\n", "n * mean**2\n", SEARCHES),
    # Estimators.
    Fault("difficulty bins by lowest rank, not mean rank", "evaluate/estimators.py",
          "np.cumsum(counts) - counts / 2", "np.cumsum(counts) - counts", ESTIMATORS),
    Fault("macro interval from resamples that lack a group", "evaluate/intervals.py",
          "np.stack([np.where(np.isfinite(x), x, np.nan) for x in means_GR]).mean(axis=0)",
          "np.nanmean(np.stack([np.where(np.isfinite(x), x, np.nan) for x in means_GR]), axis=0)", ESTIMATORS),
    Fault("bradley_terry: the prior's games are spread over oneself too", "judging/bradley_terry.py",
          "/ max(1, num_players - 1)", "/ num_players", ESTIMATORS),
    Fault("ingestion: no answer scores as the worst evidence", "evaluate/ingestion.py",
          "failed_score(scorer, [scores.get(c.id) for c in draws])",
          "failed_score(scorer, scores.values())", ESTIMATORS),
    # Budgets.
    Fault("an inner deadline forgets the outer one", "budget.py",
          "min(_deadline_at.get(), time.monotonic() + seconds)", "time.monotonic() + seconds", BUDGETS),
    Fault("the last tokens of a budget cannot be granted", "budget.py",
          "num_tokens > tokens_left", "num_tokens >= tokens_left", BUDGETS),
    Fault("a stream cut at the deadline has no prefix in its prompt", "drawing.py",
          "(*(m.content for m in request.prompt.messages), request.prefix)",
          "m.content for m in request.prompt.messages", BUDGETS),
    Fault("hf_config: every second layer, beginning with the wrong one", "accounting/hf_config.py",
          "(layer + 1) % step == 0", "layer % step == 0", BUDGETS),
    # Streams.
    Fault("stream: a chunk behind the last word takes the finish reason back", "engines/openai/choice_builder.py",
          "delta.finish_reason or self.finish_reason", "delta.finish_reason", STREAMS),
    Fault("usage: shares by characters, not bytes", "engines/openai/usage.py",
          '1 + len(d.text.encode(errors="replace"))', "1 + len(d.text)", STREAMS),
    Fault("reasoning that comes late is emitted after the text", "engines/prefix.py",
          "not (self._has_emitted_reasoning or self._num_emitted)", "not self._has_emitted_reasoning", STREAMS),
    Fault("chat stream: reasoning sent twice behind that of a failed draw", "serve/api/chat_stream.py",
          "not self._sent_reasoning.endswith(reasoning)", "self._sent_reasoning != reasoning", STREAMS),
    # Records.
    Fault("resume: answers that a fallback chose are drawn again", "records.py",
          'head.stopped == "error" and head.error is not None', 'head.stopped == "error"', RECORDS),
    Fault("datasets: blank lines are not counted", "datasets.py",
          "enumerate(lines, 1):\n            if line.strip(",
          "enumerate((x for x in lines if x.strip()), 1):\n            if line.strip(", RECORDS),
    Fault("run: an error hides that the budget ended", "run.py",
          'if error and ctx.stopped == "done" else', "if error else", RECORDS),
    Fault("resume: candidates that were added to a pool go unnoticed", "run.py",
          "return [(c.text, c.error) for c in recorded[: len(pool)]] == texts",
          "return all((c.text, c.error) == t for c, t in zip(recorded, texts, strict=False))", RECORDS),
)  # fmt: skip


def main(words: list[str]) -> int:
    """Prints a table. Exit code 1 where a fault survived, did not apply, or the control failed."""
    with tempfile.TemporaryDirectory() as folder:
        src = Path(folder) / "src"
        if words == ["--control"]:
            failed = _failed(src, [], EVERYTHING)
            print("control, without a fault:", *failed or ["all pass"])
            return bool(failed)

        chosen = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
        applying = [fault for fault in chosen if _applies(fault)]
        test_by_fault = {fault: _first(_failed(src, [fault], fault.tests, "-x")) for fault in applying}
        missed = [fault for fault in applying if test_by_fault[fault] is None]
        failed = _failed(src, missed, EVERYTHING) if missed else []
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
