"""Plans on the embedded model: draws pools, searches and revisions of 260 problems, and fits plans to them.

    python benchmarks/plans.py --out runs/plans            # draws, and resumes; about 20 minutes of one core
    python benchmarks/plans.py --out runs/plans --report   # the tables of docs/plans.md

Problems are told in 13 languages, 20 each, other ones in each language.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from nbest.datasets import Item, item_of
from nbest.lab.demo_prompts import row
from nbest.lab.language_data import LANGUAGES
from nbest.lab.problems import problems
from nbest.records import RunWriter
from nbest.session import Session

DRAW = "temperature=0.8, max_tokens=160"
"""Of every method, so that all draw from one distribution."""
PER_LANGUAGE = 20
VERIFIERS = {
    "AUC 0.8": "noisy_oracle(auc=0.8, prefix=word_steps)",
    "AUC 0.9": "noisy_oracle(auc=0.9, prefix=word_steps)",
    "AUC 1.0": "noisy_oracle(auc=1.0, prefix=word_steps)",
    "log-probability": "logprob",
}
SEARCHES = ("beam(n=4, width=4)", "beam(n=16, width=4)", "rebase(n=16)", "dvts(n=16, width=4)")
POOL = f"parallel(sampler=iid(n=64, {DRAW}), selector=best(logprob))"
"""The selector makes the record hold log-probabilities."""
REVISIONS = f"revise(sequential=4, parallel=4, {DRAW})"


def cells() -> dict[str, str]:
    """Strategy by folder, in the order in which they are drawn."""
    found = {"pool": POOL, "revisions": REVISIONS}
    for search in SEARCHES:
        for name, verifier in VERIFIERS.items():
            folder = "".join(ch if ch.isalnum() or ch == "." else "-" for ch in f"{search} {name}")
            found[folder] = f"tree(search={search}, verifier={verifier}, {DRAW})"
    return found


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/plans"))
    parser.add_argument("--engine", default="llamacpp(threads=1)")
    asyncio.run(draw(parser.parse_args().out, parser.parse_args().engine))


if __name__ == "__main__":
    main()
