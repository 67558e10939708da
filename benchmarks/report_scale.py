"""How long a report over many prompts takes, how much memory, and how large the page is.

    python benchmarks/report_scale.py --prompts 20000 --runs 5

Makes run directories of invented pools (8 candidates a prompt, five languages, one run that drew them and
four that chose), then times `nbest report` in a process of its own.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nbest.records import RunWriter
from nbest.types import Candidate, Message, Outcome, Prompt, SamplingParams, Selection, Usage

WORDS = {
    "en": [
        "the",
        "model",
        "adds",
        "three",
        "apples",
        "to",
        "seven",
        "and",
        "finds",
        "ten",
        "of",
        "them",
        "in",
        "a",
        "box",
    ],
    "ar": ["يضيف", "النموذج", "ثلاث", "تفاحات", "إلى", "سبع", "ويجد", "عشرا", "منها", "في", "الصندوق"],
    "ja": list("模型は三つのりんごを七つに足して箱の中に十個あることを見つける"),
    "ru": ["модель", "прибавляет", "три", "яблока", "к", "семи", "и", "находит", "в", "ящике", "десять"],
    "th": list("แบบจำลองบวกแอปเปิ้ลสามลูกกับเจ็ดลูกแล้วพบสิบลูกในกล่อง"),
}
SELECTORS = ("first", "vote", "mbr", "best(scorer=oracle)")


def outcomes(num_prompts, num_candidates, chooser, spec):
    rng = random.Random(0)
    choose = random.Random(chooser)
    for i in range(num_prompts):
        language = list(WORDS)[i % len(WORDS)]
        gold = rng.randrange(10, 99)
        candidates = tuple(
            Candidate(
                id=k,
                text=" ".join(rng.choices(WORDS[language], k=45)) + f"\n{gold + rng.choice((0, 0, 1, 2))}",
                params=SamplingParams(temperature=0.7 if k else 0.0),
                usage=Usage(prompt=0 if k > 1 else 60, completion=70, calls=int(k < 2)),
                engine="invented",
            )
            for k in range(num_candidates)
        )
        yield Outcome(
            prompt=Prompt(
                id=f"{i}-{language}",
                messages=(Message(role="user", content=" ".join(rng.choices(WORDS[language], k=30))),),
                language=language,
            ),
            strategy=spec,
            seed=0,
            selection=Selection(winner=candidates[choose.randrange(num_candidates)], weights={0: 1.0}),
            candidates=candidates,
            usage={"policy": Usage(prompt=120, completion=70 * num_candidates, calls=2)},
            gold={"answer": str(gold)},
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=20_000)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="Where to keep the page.")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        specs = ["parallel(sampler=hedged(n=8), selector=mbr)", *SELECTORS]
        paths = [Path(folder) / f"run-{k}" for k in range(a.runs)]
        for k, path in enumerate(paths):
            with RunWriter(path, {"run": k}) as writer:
                for outcome in outcomes(a.prompts, a.candidates, k, specs[k % len(specs)]):
                    writer.append(outcome)
        page = a.keep or Path(folder) / "report.html"
        started = time.monotonic()
        subprocess.run(
            [Path(sys.executable).parent / "nbest", "report", *paths, "--out", page],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        wall = time.monotonic() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{a.prompts} prompts × {a.candidates} candidates, {a.prompts * a.runs} outcomes:"
            f" {wall:.1f} s wall, {used.ru_utime + used.ru_stime:.1f} s CPU,"
            f" {used.ru_maxrss / 2**20:.2f} GB at most, page {page.stat().st_size / 2**20:.2f} MB"
        )


main()
