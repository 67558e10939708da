"""Measure a laboratory model through llama.cpp: `python -m nbest.lab.evaluate_base`.

Reports pass@1 greedy, pass@1 and pass@n at a temperature, and majority voting, per language and per number
of steps. Plain sampling: no top-k, top-p or min-p.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from nbest.lab.problems import Problem, extract_answer, problems

SHIPPED_MODEL = Path(str(files("nbest").joinpath("data/nbest-mini.gguf")))
_CONTEXT_LENGTH = 512
_MAX_TOKENS = 192


@dataclass(frozen=True, slots=True)
class ProblemResult:
    """What was measured on one problem."""

    id: str
    language: str
    num_steps: int
    is_greedy_correct: bool
    num_correct: int
    num_samples: int
    is_vote_correct: bool
    """Whether the most frequent answer is right; ties go to the answer seen first."""
    num_unparsed: int
    """Samples without a final answer line."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Means over some problems."""

    num_problems: int
    greedy: float
    pass_at_1: float
    vote: float
    pass_at_n: float


def evaluate(
    model: Path,
    chosen: Sequence[Problem],
    *,
    num_samples: int = 16,
    temperature: float = 0.7,
    seed: int = 0,
    threads: int = 1,
) -> list[ProblemResult]:
    """Sample every problem greedily once and `num_samples` times at the temperature."""
    generate = _generator(model, num_parallel=max(num_samples, 1), threads=threads)

    def measure(problem: Problem) -> ProblemResult:
        greedy = generate(problem.text, 1, 0.0, seed)[0]
        answers = [extract_answer(text) for text in generate(problem.text, num_samples, temperature, seed)]
        votes = Counter(answer for answer in answers if answer is not None)
        return ProblemResult(
            id=problem.id,
            language=problem.language,
            num_steps=problem.num_steps,
            is_greedy_correct=extract_answer(greedy) == problem.answer,
            num_correct=answers.count(problem.answer),
            num_samples=num_samples,
            is_vote_correct=bool(votes) and votes.most_common(1)[0][0] == problem.answer,
            num_unparsed=answers.count(None),
        )

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(measure, chosen))


def summarize(results: Sequence[ProblemResult]) -> Summary:
    """Means over the problems; raises `ValueError` when there are none."""
    if not results:
        raise ValueError("no results to summarize")
    n = len(results)
    return Summary(
        num_problems=n,
        greedy=sum(result.is_greedy_correct for result in results) / n,
        pass_at_1=sum(result.num_correct / result.num_samples for result in results) / n,
        vote=sum(result.is_vote_correct for result in results) / n,
        pass_at_n=sum(result.num_correct > 0 for result in results) / n,
    )


def summarize_by(results: Sequence[ProblemResult], key: Callable[[ProblemResult], str]) -> dict[str, Summary]:
    """One summary for each value of `key`, and "all", the mean over problems."""
    groups: dict[str, list[ProblemResult]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return {name: summarize(group) for name, group in groups.items()} | {"all": summarize(results)}


def table(summaries: Mapping[str, Summary], num_samples: int) -> str:
    """A Markdown table."""
    lines = [
        f"| | problems | greedy | pass@1 | vote@{num_samples} | pass@{num_samples} |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in summaries.items():
        values = " | ".join(f"{value:.2f}" for value in (row.greedy, row.pass_at_1, row.vote, row.pass_at_n))
        lines.append(f"| {name} | {row.num_problems} | {values} |")
    return "\n".join(lines)


def _generator(
    model: Path, *, num_parallel: int, threads: int
) -> Callable[[str, int, float, int], list[str]]:
    xllamacpp: Any = import_module("xllamacpp")  # a binary module without types
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_parallel = num_parallel
    params.n_ctx = num_parallel * _CONTEXT_LENGTH
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    server = xllamacpp.Server(params)

    def generate(text: str, n: int, temperature: float, seed: int) -> list[str]:
        request = {
            "messages": [{"role": "user", "content": text}],
            "n": n,
            "temperature": temperature,
            "seed": seed,
            "max_tokens": _MAX_TOKENS,
            "top_k": 0,
            "top_p": 1.0,
            "min_p": 0.0,
        }
        reply: dict[str, Any] = server.handle_chat_completions(request)
        if "error" in reply:
            raise RuntimeError(f"llama.cpp refused the request: {reply['error']}")
        return [choice["message"]["content"] or "" for choice in reply["choices"]]

    return generate


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    parser.add_argument("--num-problems", type=int, default=60, help="each is asked in every language")
    parser.add_argument("--num-samples", type=int, default=16)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result of every problem to this file")
    args = parser.parse_args()
    results = evaluate(
        args.model,
        problems(args.split, args.num_problems, args.seed),
        num_samples=args.num_samples,
        temperature=args.temperature,
        seed=args.seed,
        threads=args.threads,
    )
    print(table(summarize_by(results, lambda result: result.language), args.num_samples))
    print(table(summarize_by(results, lambda result: f"{result.num_steps} steps"), args.num_samples))
    if args.json is not None:
        content = json.dumps([asdict(result) for result in results], indent=1)
        args.json.write_text(content + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
