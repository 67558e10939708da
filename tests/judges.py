"""A judge that says what a test wants, for suites that need one."""

import re
from dataclasses import dataclass, field

from nbest.protocols import Capabilities
from nbest.types import Candidate, Completion, Message, Prompt, Usage

PROMPT = Prompt(id="p", messages=(Message(role="user", content="7 + 5 = ?"),), language="en")
SECTION = re.compile(
    r'<candidate-(?P<tag>[0-9a-f]{8}) n="(?P<label>\w+)">\n(?P<text>.*?)\n</candidate-(?P=tag)>', re.DOTALL
)


@dataclass
class ScriptedJudge:
    """Answers each request with `say(request)`: a text, a completion or an exception."""

    say: object
    requests: list = field(default_factory=list)
    name: str = "scripted"

    async def capabilities(self):
        return Capabilities()

    async def generate(self, request):
        self.requests.append(request)
        said = self.say(request)
        if isinstance(said, Exception):
            raise said
        if isinstance(said, str):
            said = Completion(text=said, usage=Usage(prompt=100, completion=len(said), calls=1))
        return [said] * request.n


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
