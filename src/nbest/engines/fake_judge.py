"""What the fake engine says where it is asked to judge, to check or to fuse: the form that the templates ask for.

It likes texts by their `merit`, whatever their order and the language of the instructions, so that what a method
makes of the verdicts can be worked out in a test.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from math import log
from random import Random
from typing import Any

from nbest.text.language import is_in_language
from nbest.types import Completion, Logprobs, Request, Usage

_MARK = re.compile(r'<candidate-([0-9a-f]{8}) n="')
_NUM_CRITERIA = 6
_BEST_GRADE = 10
_WRONG_BELOW = 0.2
"""A step of less merit is wrong."""
_VOTE_SPREAD = 0.1
"""By how much sampled votes differ on a step."""
_CLEAR_GAP = 0.3
"""A difference in merit that makes an answer much better."""


def merit(text: str) -> float:
    """How much the fake judge likes a text: from 0 to below 1, by the text alone without outer white space."""
    digest = hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def judged_text(request: Request, rng: Random) -> str | None:
    """The reply to a request that was made from one of the templates; None for any other request."""
    name = request.prompt.id.rpartition("/")[2]
    shown = shown_candidates(request)
    if name in _FUSIONS and shown:
        return _fused(request, shown)
    if name not in _VERDICTS or not shown:
        return None

    verdict = _VERDICTS[name](shown, _with_seed(request, rng))
    is_repair = any(m.role == "assistant" for m in request.prompt.messages)
    if is_repair:
        return f"[[{verdict}]]"
    return f"{_first_line(request)}\n{_assessment(shown)}\n\n[[{verdict}]]"


def judged_token(request: Request) -> Completion | None:
    """The one token of a request for a yes or no, or for the mark of a step; None for any other request."""
    words = _offered_words(request)
    if words is None or not request.params.logprobs:
        return None

    shown = shown_candidates(request)
    texts = list(shown.values()) or [m.content for m in request.prompt.messages if m.role == "user"]
    likely = 0.05 + 0.9 * merit("\n".join(texts))
    top = {words[0]: log(likely), words[1]: log(1 - likely)}
    token = max(top, key=lambda word: top[word])
    return Completion(
        text=token,
        finish="length",
        logprobs=Logprobs(tokens=(token,), values=(top[token],), top=(top,)),
        usage=Usage(completion=1, calls=1),
    )


def shown_candidates(request: Request) -> dict[str, str]:
    """Texts by label, as a judge sees them; empty where none are shown."""
    for message in request.prompt.messages:
        first = _MARK.search(message.content)
        if first is None:
            continue
        tag = first[1]
        section = re.compile(f'<candidate-{tag} n="(\\w+)">\n(.*?)\n</candidate-{tag}>', re.DOTALL)
        return dict(section.findall(message.content))
    return {}


def _best(shown: Mapping[str, str], _: Random | None) -> str:
    return max(shown, key=lambda label: merit(shown[label]))


def _comparison(shown: Mapping[str, str], _: Random | None) -> str:
    better, worse = sorted("AB", key=lambda label: -merit(shown[label]))
    gap = merit(shown[better]) - merit(shown[worse])
    if gap == 0:
        return "A=B"
    if gap > _CLEAR_GAP:
        return f"{better}>>{worse}"
    return f"{better}>{worse}"


def _grade(shown: Mapping[str, str], _: Random | None) -> str:
    """1 to 10, of one text, or of how two agree."""
    return str(1 + int(_BEST_GRADE * merit("\n".join(shown.values()))))


def _first_wrong_step(shown: Mapping[str, str], rng: Random | None) -> str:
    """The number of the first step of little merit, 0 for none; sampled votes differ."""
    shift = 0.0
    if rng is not None:
        shift = rng.uniform(-_VOTE_SPREAD, _VOTE_SPREAD)
    wrong = [label for label, step in shown.items() if merit(step) + shift < _WRONG_BELOW]
    return [*wrong, "0"][0]


def _same_result(shown: Mapping[str, str], _: Random | None) -> str:
    """1 where one of the other texts stands in the first, whatever the case; else 0."""
    judged, *accepted = (unicodedata.normalize("NFKC", text).casefold().strip() for text in shown.values())
    return str(int(any(text in judged for text in accepted)))


def _keep_or_change(shown: Mapping[str, str], _: Random | None) -> str:
    """1 for an answer that may stay, 2 for one that has to be changed."""
    return "1" if merit("\n".join(shown.values())) > 0.5 else "2"  # noqa: PLR2004


_VERDICTS: Mapping[str, Callable[[Mapping[str, str], Random | None], str]] = {
    "agree": _grade,
    "chops": _best,
    "critique": _keep_or_change,
    "grade": _same_result,
    "pairwise": _comparison,
    "score": _grade,
    "steps": _first_wrong_step,
}
"""By the name of the template, which ends the id of the judge's prompt."""
_FUSIONS = {"fuse", "rsa"}


def _fused(request: Request, shown: Mapping[str, str]) -> str:
    """The text of most merit that is in the prompt's language; where none is, a number, which is in every language."""
    wanted = request.prompt.language
    texts = [text for text in shown.values() if text.strip()]
    fitting = [text for text in texts if wanted is None or is_in_language(text, wanted) is not False]
    if fitting:
        return max(fitting, key=merit)
    return str(int(100 * max(map(merit, shown.values()))))


def _with_seed(request: Request, rng: Random) -> Random | None:
    """The randomness of a sampled verdict; None for a greedy one."""
    if request.params.temperature > 0:
        return rng
    return None


def _first_line(request: Request) -> str:
    """How the instructions begin: the judge writes in their language."""
    return "".join(request.prompt.messages[0].content.splitlines()[:1])


def _assessment(shown: Mapping[str, str]) -> str:
    """A checklist: how many criteria each text meets."""
    rows: list[str] = []
    for label, text in shown.items():
        num_met = round(_NUM_CRITERIA * merit(text))
        rows.append(f"{label}: {'✓' * num_met}{'✗' * (_NUM_CRITERIA - num_met)}")
    return "\n".join(rows)


def _offered_words(request: Request) -> tuple[str, str] | None:
    """The two tokens between which the request lets the model choose, the approving one first."""
    name = request.prompt.id.rpartition("/")[2]
    if name == "token_prm":
        return ("+", "-")
    if name == "yes_no":
        return _yes_and_no(request.prompt.text)
    return None


def _yes_and_no(question: str) -> tuple[str, str] | None:
    """The two words that the end of the question offers, in whatever language."""
    end = "".join(question.splitlines()[-1:])
    offered = [(yes, no) for yes, no in _yes_no_words() if yes in end and no in end]
    return max(offered, key=lambda words: len(words[0]) + len(words[1]), default=None)


@cache
def _yes_no_words() -> Sequence[tuple[str, str]]:
    names = resources.files("nbest.text") / "language_names.toml"
    table: Mapping[str, Any] = tomllib.loads(names.read_text(encoding="utf-8"))
    return [(words["yes"][0], words["no"][0]) for words in table.values() if "yes" in words]
