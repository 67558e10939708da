"""Exact truth about every step of a word problem, for verifiers of a known quality."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from nbest.context import Context
from nbest.errors import CapabilityError
from nbest.lab.language_data import LANGUAGES
from nbest.lab.problems import Problem, solution, stories, tell
from nbest.lab.stories import Split, Story
from nbest.scoring.step_texts import is_at_end
from nbest.types import Candidate, Prompt, Score

_ID = re.compile(r"p(?P<index>\d{1,6})-(?P<language>[a-z]{2})")
_SIGN = re.compile(r"\d+|[-+×÷=]")
_CHUNK = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSteps:
    """1 while every step of a solution to a problem of `nbest.lab` is right, 0 from the first wrong one on.

    A step is a line. It is right where its numbers and operators are, in order, those of the same line of
    the true solution, in any script: the problem is made again from its id. That is what "can still
    succeed" means here, for each line follows from the one before. The last line of a beginning, while it has
    no end, is right as long as it can become that of the true solution. A finished solution is right where all
    its lines are, which a lucky answer is not. An upper bound, never a method.

    Raises `CapabilityError` for prompts that are no problem of the laboratory.
    """

    is_open_to_clients: ClassVar[bool] = False

    split: Split = "test"
    seed: int = 0

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        true = [_signs(line) for line in solution(self._problem(prompt)).splitlines()]
        return [self._score(c, true) if c.is_usable else Score(value=None) for c in candidates]

    def _score(self, candidate: Candidate, true: Sequence[Sequence[str]]) -> Score:
        lines = [_signs(line) for line in candidate.text.splitlines() if line.strip()]
        rights = [line == is_so for line, is_so in zip(lines, true, strict=False)]
        if candidate.finish == "step" and not is_at_end(candidate.text) and len(rights) == len(lines) > 0:
            rights[-1] = " ".join(true[len(lines) - 1]).startswith(" ".join(lines[-1]))
        first_wrong = next((i for i, is_right in enumerate(rights) if not is_right), len(rights))
        steps = tuple(float(i < first_wrong) for i in range(len(lines)))
        is_complete = candidate.finish == "step" or len(lines) >= len(true)
        # Nothing written yet: all is still open.
        return Score(value=(steps[-1] if steps else 1.0) if is_complete else 0.0, steps=steps)

    def _problem(self, prompt: Prompt) -> Problem:
        if (match := _ID.fullmatch(prompt.id)) and match["language"] in LANGUAGES:
            index = int(match["index"])
            story = _stories(self.split, self.seed, index // _CHUNK + 1)[index]
            made = tell(story, match["language"], f"p{index:04d}")
            if made.text == prompt.text:
                return made
        raise CapabilityError(
            f"word_steps knows the problems of nbest.lab alone, and {prompt.id!r} is none of"
            f" split={self.split}, seed={self.seed}"
        )


@lru_cache(maxsize=8)
def _stories(split: Split, seed: int, num_chunks: int) -> list[Story]:
    return stories(split, num_chunks * _CHUNK, seed)


def _signs(line: str) -> list[str]:
    """Numbers in ASCII digits, and operators, in order."""
    plain = unicodedata.normalize("NFKC", line).translate({ord("−"): "-", ord("–"): "-"})
    return _SIGN.findall("".join(str(unicodedata.decimal(c, c)) for c in plain))
