"""Write the shipped demonstration prompts: the same held-out problems in every language, as JSON lines."""

import argparse
import json
from pathlib import Path

from nbest.lab.problems import Problem, problems

NUM_PROBLEMS = 40


def write_demo_prompts(out: Path, num_problems: int = NUM_PROBLEMS, seed: int = 0) -> None:
    """Write `num_problems` test stories in every language, problem-major."""
    with out.open("w", encoding="utf-8", newline="\n") as file:
        for problem in problems("test", num_problems, seed):
            file.write(json.dumps(row(problem), ensure_ascii=False) + "\n")


def row(problem: Problem) -> dict[str, str | int]:
    """A problem as a line of a prompt file."""
    return {
        "id": problem.id,
        "prompt": problem.text,
        "language": problem.language,
        "answer": problem.answer,
        "task": "words",
        "num_steps": problem.num_steps,
        "cluster": problem.story_id,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--num-problems", type=int, default=NUM_PROBLEMS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write_demo_prompts(args.out, args.num_problems, args.seed)


if __name__ == "__main__":
    main()
