"""How well final answers are read: nbest against what evaluation harnesses use.

    PYTHONPATH=src:tests python benchmarks/answers.py

with `math-verify` and `inspect_ai` installed beside nbest; what is missing is left out and said so.
Two lists: `tests/golden/answers.tsv`, written for this project (so the others meet it unprepared), and
gold answers of MGSM rewritten as people write numbers. Right: the gold answer is accepted. Wrong: a gold
answer that is one more is accepted too, which it must not be.
"""

# ruff: noqa: ARG001
from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Callable
from pathlib import Path

from nbest.text import equivalent, extract

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "answers.tsv"
MGSM_PER_LANGUAGE = 20
Judge = Callable[[str, str, str | None], bool]
"""Text, gold answer, language → whether the text is accepted."""


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


def golden() -> list[tuple[str, str, str | None, str]]:
    """Text, gold, language and kind of each line that has an answer."""
    lines = GOLDEN.read_text(encoding="utf-8").split("\n")[1:]
    rows = [line.split("\t") for line in lines if line]
    return [
        (
            text.replace("\\n", "\n").replace("\\\\", "\\"),
            readings.split(" | ")[0].replace("\\\\", "\\").strip("()"),  # a choice is B
            language or None,
            kind,
        )
        for language, kind, readings, text in rows
        if kind != "none"
    ]


def mgsm() -> list[tuple[str, str, str | None, str]]:
    from unit.answers.test_mgsm import rewritten

    from shared_data import MGSM_LANGUAGES
    from shared_data import mgsm as problems

    return [
        (text, gold.replace(",", ""), language, "number")
        for language in MGSM_LANGUAGES
        for _, gold in problems(language)[:MGSM_PER_LANGUAGE]
        for text in rewritten(gold, language)
    ]


def one_more(gold: str) -> str:
    return str(int(gold) + 1)


def row(name: str, judge: Judge, items: list[tuple[str, str, str | None, str]]) -> str:
    judge(*items[0][:3])  # what loads when first used is not timed
    for language in {item[2] for item in items}:
        judge("7", "7", language)
    started = time.perf_counter()
    right = [judge(text, gold, language) for text, gold, language, _ in items]
    micros = (time.perf_counter() - started) / len(items) * 1e6
    whole = [item for item in items if item[3] == "number" and re.fullmatch(r"-?[0-9]+", item[1])]
    wrong = sum(judge(text, one_more(gold), language) for text, gold, language, _ in whole)
    numbers = [r for r, item in zip(right, items, strict=True) if item[3] == "number"]
    others = [r for r, item in zip(right, items, strict=True) if item[3] != "number"]
    other = f"{sum(others)}/{len(others)}" if others else "–"
    return f"| {name} | {sum(numbers)}/{len(numbers)} | {other} | {wrong}/{len(whole)} | {micros:.0f} |"


def main() -> None:
    lists = {"golden list": golden()}
    try:
        lists["MGSM, rewritten"] = mgsm()
    except BaseException as e:  # noqa: BLE001  pytest's Skipped is no Exception
        print(f"MGSM left out: {e}\n")
    for title, items in lists.items():
        print(f"{title} ({len(items)} lines)\n")
        print("| | numbers right | other answers right | wrong accepted | µs per line |")
        print("|---|---|---|---|---|")
        for name, judge in judges().items():
            print(row(name, judge, items), flush=True)
        print()


if __name__ == "__main__":
    main()
