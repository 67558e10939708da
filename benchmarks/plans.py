"""Plans on the embedded model: draws pools, searches and revisions of 260 problems, and fits a plan for each verifier.

    python benchmarks/plans.py --out runs/plans            # draws, and resumes; about 40 minutes of one core
    python benchmarks/plans.py --out runs/plans --report   # fits the plans of docs/plans.md to what is drawn

Problems are told in 13 languages, 20 each, other ones in each language.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from nbest import registry
from nbest.datasets import Item, item_of
from nbest.evaluate.plan_learning import learn_plan
from nbest.evaluate.plan_options import Wanted
from nbest.lab.demo_prompts import row
from nbest.lab.language_data import LANGUAGES
from nbest.lab.problems import problems
from nbest.plan.plan_file import write_plan
from nbest.records import RunWriter, read_outcomes
from nbest.report import plan_tables
from nbest.session import Session

DRAW = "temperature=0.8, max_tokens=160"
"""Of every method, so that all draw from one distribution."""
PER_LANGUAGE = 20
BUDGETS = (8.0, 16.0, 24.0, 32.0)
VERIFIERS = {
    "AUC 0.8": "noisy_oracle(auc=0.8, prefix=word_steps)",
    "AUC 0.9": "noisy_oracle(auc=0.9, prefix=word_steps)",
    "AUC 1.0": "noisy_oracle(auc=1.0, prefix=word_steps)",
    "log-probability": "logprob",
}
SEARCHES = ("beam(n=16, width=4)", "rebase(n=16)")
POOL = f"parallel(sampler=iid(n=64, {DRAW}), selector=best(logprob))"
"""The selector makes the record hold log-probabilities."""
REVISIONS = f"revise(sequential=4, parallel=4, {DRAW})"


def cells() -> dict[str, str]:
    """Strategy by folder, in the order in which they are drawn."""
    found = {"pool": POOL}
    for search in SEARCHES:
        for name, verifier in VERIFIERS.items():
            found[folder_of(search, name)] = f"tree(search={search}, verifier={verifier}, {DRAW})"
    found["revisions"] = REVISIONS
    return found


def folder_of(search: str, verifier: str) -> str:
    """The folder of a search with a verifier."""
    return "".join(ch if ch.isalnum() or ch == "." else "-" for ch in f"{search} {verifier}")


def items() -> list[Item]:
    """Held-out problems, each told in one language, the languages in turn."""
    languages = tuple(LANGUAGES)
    num_prompts = PER_LANGUAGE * len(languages)
    told = problems("test", num_prompts)  # all languages of the first, of the second, …
    mine = [told[i * len(languages) + i % len(languages)] for i in range(num_prompts)]
    return [item_of(row(p), p.id, default_id=p.id) for p in mine]


async def draw(out: Path, engine: str) -> None:
    """Draws what is not recorded yet."""
    rows = items()
    for folder, strategy in cells().items():
        started = time.process_time()
        async with Session(engine=engine, strategy=strategy) as session:
            with RunWriter(out / folder, session.config) as writer:
                await session.run(rows, out=writer, concurrency=32)
        print(f"{time.process_time() - started:6.0f} CPU s  {folder}", flush=True)


def report(out: Path) -> None:
    """Fits a plan for each verifier to the runs that are there, and prints its tables."""
    for name, verifier in VERIFIERS.items():
        others = [out / folder_of(search, name) for search in SEARCHES] + [out / "revisions"]
        runs = [str(out / "pool"), *(str(path) for path in others if _is_whole(path))]
        wanted = Wanted(
            budgets=BUDGETS, verifier=registry.parse("scorers", verifier), stops=("bayes_factor(10)",)
        )
        provenance = {"runs": [Path(run).name for run in runs], "score": "oracle"}
        work = learn_plan(runs, registry.parse("scorers", "oracle"), wanted, provenance=provenance)
        plan = asyncio.run(work)
        write_plan(plan, out / f"{name}.toml")
        print(f"\n## {name}\n")
        for table in (plan_tables.held_out(plan), plan_tables.saved(plan), plan_tables.bins(plan)):
            print(table.markdown(), end="\n\n")


def _is_whole(path: Path) -> bool:
    """Whether every problem of a run is recorded."""
    if not path.is_dir():
        return False
    return sum(1 for _ in read_outcomes(path)) == PER_LANGUAGE * len(LANGUAGES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/plans"))
    parser.add_argument("--engine", default="llamacpp(threads=1)")
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    if arguments.report:
        report(arguments.out)
        return
    asyncio.run(draw(arguments.out, arguments.engine))


if __name__ == "__main__":
    main()
