"""What a judge is shown, and verdicts of scripted judges."""

import re

from nbest.types import Candidate

SECTION = re.compile(
    r'<candidate-(?P<tag>[0-9a-f]{8}) n="(?P<label>\w+)">\n(?P<text>.*?)\n</candidate-(?P=tag)>', re.DOTALL
)


def shown(request) -> dict[str, str]:
    """Label → text, as the judge saw them in its first turn."""
    asked = next(m.content for m in request.prompt.messages if m.role == "user")
    return {m["label"]: m["text"] for m in SECTION.finditer(asked)}


def is_repair(request) -> bool:
    return any(m.role == "assistant" for m in request.prompt.messages)


def pool_of(*texts: str) -> list[Candidate]:
    return [Candidate(id=i, text=t) for i, t in enumerate(texts)]


def prefers(best):
    """Names the shown text that `best` (a key function) likes most, in the form of CHOPS."""

    def say(request):
        texts = shown(request)
        return f"Checklist: …\n[[{max(texts, key=lambda label: best(texts[label]))}]]"

    return say


def compares(value):
    """Grades A and B by `value`: a difference above 1 is much."""

    def say(request):
        texts = shown(request)
        gap = value(texts["A"]) - value(texts["B"])
        if gap == 0:
            return "[[A=B]]"
        sign = ">>" if abs(gap) > 1 else ">"
        return f"[[A{sign}B]]" if gap > 0 else f"[[B{sign}A]]"

    return say
