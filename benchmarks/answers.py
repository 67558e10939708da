"""How well final answers are read: nbest against what evaluation harnesses use, on the same lines.

    PYTHONPATH=src:tests python benchmarks/answers.py [--cases FILE.jsonl]

with `math-verify` and `inspect_ai` installed beside nbest; what is missing is left out and said so. Four lists:

- `tests/golden/answers.tsv` and `tests/golden/final_lines.tsv`, written for this project and among its tests
- gold answers of MGSM rewritten as people write numbers, and worked solutions around them
- with `--cases`, rows `{kind, language, text, gold, equal, stretch?}` of a file: the share that is read wrongly

Right: a gold answer is accepted where it should be, and not where it should not. Of the golden list and of
MGSM it is also counted how often the gold answer and one more is accepted, which it must not be.
"""

# ruff: noqa: ARG001
from __future__ import annotations

import argparse
import importlib.util
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from nbest.text import equivalent, extract

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
MGSM_PER_LANGUAGE = 20
Judge = Callable[[str, str, str | None], bool]
"""Text, gold answer, language → whether the text is accepted."""


class Line(NamedTuple):
    """A text, an answer, and whether the text gives it."""

    text: str
    gold: str
    language: str | None
    kind: str
    is_equal: bool = True


def nbest(text: str, gold: str, language: str | None) -> bool:
    return equivalent(extract(text, language=language), gold)


def lm_eval_flexible(text: str, gold: str, language: str | None) -> bool:
    """lm-evaluation-harness, lm_eval/tasks/gsm8k/gsm8k.yaml: `flexible-extract`, then `exact_match`."""
    found = re.findall(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", text)
    last = next((g for g in found[-1] if g), "") if found else ""
    for ignored in (r",", r"\$", r"(?s).*#### ", r"\.$"):
        last, gold = re.sub(ignored, "", last), re.sub(ignored, "", gold)
    return last.lower() == gold.lower()


def inspect_numeric(text: str, gold: str, language: str | None) -> bool:
    """inspect_ai, `match(location="end", numeric=True)`."""
    from inspect_ai.scorer._common import match_str

    return match_str(text, gold, location="end", numeric=True)[1]


def math_verify(text: str, gold: str, language: str | None) -> bool:
    """math-verify with its default extraction."""
    from math_verify import parse, verify

    return verify(parse(gold, parsing_timeout=None), parse(text, parsing_timeout=None), timeout_seconds=None)


def judges() -> dict[str, Judge]:
    known: dict[str, tuple[Judge, str | None]] = {
        "nbest.text": (nbest, None),
        "math-verify": (math_verify, "math_verify"),
        "inspect match(numeric)": (inspect_numeric, "inspect_ai"),
        "lm-eval flexible-extract": (lm_eval_flexible, None),
    }
    missing = [m for _, m in known.values() if m and importlib.util.find_spec(m) is None]
    if missing:
        print(f"left out, not installed: {', '.join(missing)}\n")
    return {name: judge for name, (judge, m) in known.items() if m not in missing}


def golden() -> list[Line]:
    """Each line of `answers.tsv` that has an answer."""
    rows = [line.split("\t") for line in (GOLDEN / "answers.tsv").read_text("utf-8").splitlines()[1:]]
    return [
        Line(
            text.replace("\\n", "\n").replace("\\\\", "\\"),
            readings.split(" | ")[0].replace("\\\\", "\\").strip("()"),  # a choice is B
            language or None,
            kind,
        )
        for language, kind, readings, text in rows
        if kind != "none"
    ]


def final_lines() -> list[Line]:
    from unit.text.test_final_lines import rows

    return [Line(text, gold, language, kind, is_equal) for kind, language, is_equal, gold, text in rows()]


def mgsm_rewritten() -> list[Line]:
    from shared_data import MGSM_LANGUAGES, mgsm
    from unit.text.test_mgsm import rewritten

    return [
        Line(text, gold.replace(",", ""), language, "number")
        for language in MGSM_LANGUAGES
        for _, gold in mgsm(language)[:MGSM_PER_LANGUAGE]
        for text in rewritten(gold, language)
    ]


def mgsm_solutions() -> list[Line]:
    from shared_data import MGSM_LANGUAGES, mgsm
    from unit.text.test_solutions import LAST_LINES, MARKED, body

    rng, lines = random.Random(0), list[Line]()
    for language in MGSM_LANGUAGES:
        for question, gold in mgsm(language)[:MGSM_PER_LANGUAGE]:
            plain = gold.replace(",", "")
            for kind, endings in (("marked", MARKED), ("plain last line", LAST_LINES[language])):
                texts = [f"{body(question, int(plain), rng)}\n\n{end.format(plain)}" for end in endings]
                lines += [Line(text, plain, language, kind) for text in texts]
    return lines


def cases(file: str) -> list[Line]:
    rows = map(json.loads, Path(file).read_text("utf-8").splitlines())
    return [
        Line(r["text"], r["gold"], r["language"], "stretch" if r.get("stretch") else r["kind"], r["equal"])
        for r in rows
    ]


def accepts(judge: Judge, line: Line, gold: str | None = None) -> bool:
    """What `judge` says; one that raises accepts nothing."""
    try:
        return bool(judge(line.text, line.gold if gold is None else gold, line.language))
    except Exception:  # noqa: BLE001
        return False


def show_by_answer(name: str, lines: Sequence[Line], all_judges: dict[str, Judge]) -> None:
    print(
        f"| {name}, {len(lines)} lines | numbers right | other answers right | wrong accepted | µs per line |"
    )
    print("|---|---|---|---|---|")
    for title, judge in all_judges.items():
        for language in {line.language for line in lines}:
            accepts(judge, Line("7", "7", language, ""))  # what loads when first used is not timed
        started = time.perf_counter()
        right = [accepts(judge, line) for line in lines]
        micros = (time.perf_counter() - started) / len(lines) * 1e6
        whole = [x for x in lines if x.kind == "number" and re.fullmatch(r"-?[0-9]+", x.gold)]
        wrong = sum(accepts(judge, x, str(int(x.gold) + 1)) for x in whole)
        numbers = [r for r, x in zip(right, lines, strict=True) if x.kind == "number"]
        others = [r for r, x in zip(right, lines, strict=True) if x.kind != "number"]
        cells = [f"{sum(of)}/{len(of)}" if of else "–" for of in (numbers, others)]
        print(f"| {title} | {cells[0]} | {cells[1]} | {wrong}/{len(whole)} | {micros:.0f} |", flush=True)
    print()


def show_by_kind(name: str, lines: Sequence[Line], all_judges: dict[str, Judge]) -> None:
    num_by_kind = Counter(line.kind for line in lines)
    print(f"| {name}, read wrongly | lines | {' | '.join(all_judges)} |")
    print(f"|---|---|{'---|' * len(all_judges)}")
    wrong = {title: wrongly_read(judge, lines) for title, judge in all_judges.items()}
    for kind, num in sorted(num_by_kind.items()):
        print(f"| {kind} | {num} | {' | '.join(str(w[kind]) for w in wrong.values())} |")
    counted = sum(num for kind, num in num_by_kind.items() if kind != "stretch")
    shares = [sum(n for kind, n in w.items() if kind != "stretch") / counted for w in wrong.values()]
    print(
        f"| all but stretch | {counted} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |\n",
        flush=True,
    )


def wrongly_read(judge: Judge, lines: Iterable[Line]) -> Counter[str]:
    return Counter(line.kind for line in lines if accepts(judge, line) != line.is_equal)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", help="a JSONL file of lines of one's own")
    options = parser.parse_args()

    all_judges = judges()
    show_by_answer("golden list", golden(), all_judges)
    show_by_answer("MGSM golds rewritten", mgsm_rewritten(), all_judges)
    show_by_kind("worked solutions of MGSM", mgsm_solutions(), all_judges)
    show_by_kind("final lines by kind", final_lines(), all_judges)
    if options.cases:
        show_by_kind(Path(options.cases).stem, cases(options.cases), all_judges)


if __name__ == "__main__":
    main()
