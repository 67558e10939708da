"""How long stopping rules take on many recorded pools, and how much memory.

    python benchmarks/stop_scale.py --prompts 100000 --draws 16

Writes pools of invented answers in six languages, then times `nbest compare --stop` and `nbest fit stop`, each in a process of its own.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ANSWERS = {
    "en": "So the answer is {}.",
    "ar": "الجواب: {}",
    "zh": "答案是{}",
    "hi": "उत्तर: {}",
    "ru": "Ответ: {}",
    "th": "คำตอบ: {}",
}
RULES = "first_n(8), adaptive_consistency, bayes_factor(10), esc, learned('{}')"


def write_pools(path, num_prompts, num_draws):
    rng = random.Random(0)
    languages = list(ANSWERS)
    with path.open("w", encoding="utf-8") as file:
        for i in range(num_prompts):
            language = languages[i % len(languages)]
            right, share = rng.randrange(1000), rng.random()
            candidates = []
            for _ in range(num_draws):
                said = right if rng.random() < share else rng.randrange(1000)
                text = ANSWERS[language].format(said)
                candidates.append({"text": text, "usage": {"completion": rng.randint(50, 900), "calls": 1}})
            row = {
                "id": str(i),
                "prompt": "?",
                "language": language,
                "answer": str(right),
                "candidates": candidates,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def timed(*arguments):
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "nbest", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL
    )
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--draws", type=int, default=16)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pools, rule = Path(folder) / "pools.jsonl", Path(folder) / "stop.toml"
        write_pools(pools, args.prompts, args.draws)
        print(f"{args.prompts} pools × {args.draws}, {pools.stat().st_size / 1e6:.0f} MB")
        seconds, cpu, memory = timed("fit", "stop", pools, "--out", rule)
        print(f"fit stop:       {seconds:.0f} s ({cpu:.0f} s of CPU), {memory:.2f} GB")
        before = cpu
        seconds, cpu, memory = timed("compare", pools, "--stop", RULES.format(rule))
        print(
            f"compare --stop: {seconds:.0f} s ({cpu - before:.0f} s of CPU), {memory:.2f} GB (the larger of the two)"
        )


if __name__ == "__main__":
    main()
