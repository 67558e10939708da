"""`nbest eval` on a large recorded run: wall time, and CPU time and peak memory of all its processes.

    python benchmarks/eval_scale.py --prompts 100000 --out /tmp/eval-scale

The run is made from the packaged problems in 13 languages: each of the 8 candidates of a prompt has a worked
solution of a few lines in the prompt's language and a final answer behind the language's own word for it; no two
texts are alike. An existing --out is used again.
"""

import argparse
import random
import resource
import subprocess
import sys
import threading
import time
from importlib.resources import files
from pathlib import Path

from nbest.datasets import read_prompts
from nbest.records import RunWriter
from nbest.tasks.instructions import template
from nbest.types import Candidate, Outcome, SamplingParams, Selection, Usage, replace

GREEDY, SAMPLED = SamplingParams(temperature=0), SamplingParams(temperature=0.7)


def marker(language):
    """The word for "answer" with its colon, out of the language's own instruction."""
    instruction = template("math", language).partition("\n\n")[0].replace("：", ":")
    head = instruction.rpartition(":")[0]
    for mark in '«“„「"':
        head = head.rpartition(mark)[2]
    return head.strip() + ":"


def solution(rng, sentences, word, answer):
    lines = []
    for sentence in rng.sample(sentences, k=min(len(sentences), rng.randint(3, 5))):
        a, b = rng.randint(2, 9999), rng.randint(2, 999)
        lines.append(f"{sentence} {a} + {b} = {a + b}.")
    return "\n".join([*lines, f"{word} {answer}" if word else f"{rng.choice(sentences)}: {answer}."])


def make(out, num_prompts, num_candidates, *, marked):
    problems = read_prompts(str(files("nbest") / "data" / "prompts" / "mini.jsonl"))
    words = {p.prompt.language: marker(p.prompt.language) if marked else None for p in problems}
    sentences = {
        p.prompt.id: [s.strip() for s in p.prompt.text.replace("。", ".").split(".") if s.strip()]
        for p in problems
    }
    rng = random.Random(0)
    with RunWriter(out, {"made by": "benchmarks/eval_scale.py"}) as writer:
        for i in range(num_prompts):
            problem = problems[i % len(problems)]
            skill = rng.random()
            pool = []
            for j in range(num_candidates):
                gold = problem.gold["answer"]
                answer = gold if rng.random() < skill else rng.randint(1, 60)
                text = solution(rng, sentences[problem.prompt.id], words[problem.prompt.language], answer)
                usage = Usage(prompt=80 if j == 0 else 0, completion=len(text) // 3, calls=1)
                pool.append(
                    Candidate(id=j, text=text, params=SAMPLED if j else GREEDY, engine="made", usage=usage)
                )
            writer.append(
                Outcome(
                    prompt=replace(problem.prompt, id=f"{i}"),
                    strategy="made",
                    seed=0,
                    selection=Selection(
                        winner=pool[0],
                        weights={0: 1.0},
                        scores={c.id: rng.random() for c in pool},
                    ),
                    candidates=tuple(pool),
                    usage={"policy": sum((c.usage for c in pool), Usage())},
                    gold={"answer": problem.gold["answer"], "cluster": i // len(words)},
                )
            )


def resident_bytes(root):
    """Of a process and all below it."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append((int(stat.parent.name), int(fields[21]) * 4096))
    total, waiting = 0, [root]
    while waiting:
        parent = waiting.pop()
        for pid, rss in children.get(parent, []):
            total += rss
            waiting.append(pid)
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument(
        "--unmarked", action="store_true", help="no word for the answer: all texts are read whole"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if not (args.out / "manifest.json").exists():
        make(args.out, args.prompts, args.candidates, marked=not args.unmarked)
    size = sum(f.stat().st_size for f in args.out.glob("outcomes-*"))
    print(f"{args.prompts} outcomes of {args.candidates} candidates, {size / 1e6:.0f} MB", flush=True)
    peak, done = 0, threading.Event()
    started = time.monotonic()
    command = [sys.executable, "-m", "nbest", "eval", str(args.out), "--params", "8e9", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    me = process.pid

    def watch():
        nonlocal peak
        while not done.wait(0.2):
            own = Path(f"/proc/{me}/statm")
            try:
                here = int(own.read_text().split()[1]) * 4096
            except OSError:
                break
            peak = max(peak, here + resident_bytes(me))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    wall = time.monotonic() - started
    done.set()
    watcher.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"nbest eval: exit {code}, {wall:.1f} s wall, {used.ru_utime + used.ru_stime:.1f} s CPU, "
        f"{peak / 1e6:.0f} MB peak resident, all processes together"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
