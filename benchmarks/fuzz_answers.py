"""Fuzzes the reading of answers: random texts, and real final lines cut, joined and mixed.

    python benchmarks/fuzz_answers.py --minutes 10

Fails, printing the text, at the first exception and at every text that takes longer than a second. With
a long run this is what the tests of tests/unit/text/test_answers.py do in a few seconds.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from nbest.text import classes, equivalent, extract
from nbest.text.answer_words import languages
from nbest.text.language import is_in_language
from nbest.text.language_rates import pass_rates
from nbest.text.reasoning import answer_text

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
LIMIT_S = 1.0
PIECES = (
    *"0123456789.,;:-−–~%/=()[]{}\\$^*#|'\"’«»「」 \n\t٫٬٣๑२一二十百千万億〇点分之第半余つが은는입다כא'×÷±√π≤<>½²①Ⓑ\u200f\u202e\u0301\u064e\ud800\x00",
    *("\\boxed{", "\\frac{1}{2}", "\\text{", "#### ", "Answer:", "答案：", "الجواب:", "उत्तर:", "คำตอบ", "**", "<think>"),
    *("</think>", "<answer>", "</answer>", "wait, ", "Check: ", " and ", " or ", " to ", " is ", "5 h 30 min", "3元5角", "1,234"),
    *("A: ", "B) ", "x = ", "17 R 3", "5:30 PM", "March 5, 2024", "令和6年", "세 번째", "zweiundvierzig", '{"answer": 1}', "```\n"),
)  # fmt: skip


def real_lines() -> list[str]:
    """The texts of the golden files."""
    found = [
        line.split("\t")[-1] for f in GOLDEN.glob("*.tsv") for line in f.read_text("utf-8").splitlines()[1:]
    ]
    return [text.replace("\\n", "\n").replace("\\\\", "\\") for text in found]


def made(rng: random.Random, lines: list[str]) -> str:
    """A text: pieces at random, a real line changed at a few places, several joined, or one repeated many times."""
    kind = rng.random()
    if kind < 0.25:
        return "".join(rng.choices(PIECES, k=rng.randint(0, 60)))
    text = rng.choice(lines)
    if kind < 0.75:
        for _ in range(rng.randint(1, 5)):
            i = rng.randint(0, len(text))
            j = min(len(text), i + rng.randint(0, 3))
            text = text[:i] + rng.choice(("", *PIECES, rng.choice(lines)[:10])) + text[j:]
        return text
    if kind < 0.95:
        return rng.choice(("\n", "\n\n", " ", "")).join(rng.choices(lines, k=rng.randint(2, 6)))
    piece = rng.choice((text, rng.choice(PIECES), rng.choice(PIECES) + rng.choice(PIECES)))
    return piece * (rng.choice((100, 10_000, 300_000)) // max(1, len(piece)))


def check(text: str, language: str | None) -> None:
    """Whatever a text is, reading it raises nothing, and an answer equals itself and is of its own class."""
    answer = extract(text, language=language)
    assert equivalent(answer, answer) is (answer is not None)
    classes([answer, answer])
    answer_text(text)
    equivalent(answer, text[:200])
    if language and len(text) < 2000:
        is_in_language(text, language)
        pass_rates([text], language)


def main() -> int:
    """Runs until the time is over; the exit status is 1 where a text failed or took too long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, lines = random.Random(options.seed), real_lines()
    for language in languages():
        check(lines[0], language)  # what loads when first used is not timed
    end = time.monotonic() + 60 * options.minutes
    num_texts, slowest, num_bad = 0, (0.0, ""), 0
    while time.monotonic() < end:
        text, language = made(rng, lines), rng.choice((None, *languages()))
        start = time.process_time()
        try:
            check(text, language)
        except Exception as e:  # noqa: BLE001
            num_bad += 1
            print(f"{type(e).__name__}: {e}: {language} {text[:300]!r} ({len(text)} characters)")
        seconds = time.process_time() - start
        num_texts += 1
        slowest = max(slowest, (seconds, f"{language} {text[:120]!r} ({len(text)} characters)"))
        if seconds > LIMIT_S:
            num_bad += 1
            print(f"{seconds:.2f} s: {language} {text[:300]!r} ({len(text)} characters)")
    print(f"{num_texts} texts, {num_bad} failed; the slowest took {slowest[0]:.2f} s: {slowest[1]}")
    return int(num_bad > 0)


if __name__ == "__main__":
    sys.exit(main())
