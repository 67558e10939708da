"""Ground truth about every step of a word problem, for verifiers of a known quality."""

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

    A step is a line. It is right if its numbers and operators, in any script, are those of the same line of
    the true solution in the same order; the true solution is made again from the prompt's id. The last line
    of a partial solution, while it is unfinished, is right if it is a prefix of the true line. A finished
    solution is right if all its lines are: a right final number after a wrong step does not count. It knows
    the truth, so it is an upper bound and not usable as a method.

    Raises `CapabilityError` for prompts that are not problems of the laboratory.
    """

    is_open_to_clients: ClassVar[bool] = False

    split: Split = "test"
    seed: int = 0

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        true_lines = [_signs(line) for line in solution(self._problem(prompt)).splitlines()]
        return [self._score(candidate, true_lines) for candidate in candidates]

    def _score(self, candidate: Candidate, true_lines: Sequence[Sequence[str]]) -> Score:
        if not candidate.is_usable:
            return Score(value=None)

        lines = [_signs(line) for line in candidate.text.splitlines() if line.strip()]
        is_partial = candidate.finish == "step"
        # Lines beyond the true solution have no partner, and are wrong.
        are_right = [line == true for line, true in zip(lines, true_lines, strict=False)]
        has_partners = 0 < len(lines) <= len(true_lines)
        if is_partial and has_partners and not is_at_end(candidate.text):
            true_text = " ".join(true_lines[len(lines) - 1])
            are_right[-1] = true_text.startswith(" ".join(lines[-1]))

        num_right = are_right.index(False) if False in are_right else len(are_right)
        steps = tuple(float(i < num_right) for i in range(len(lines)))
        if not is_partial and len(lines) < len(true_lines):
            return Score(value=0.0, steps=steps)
        # Before the first line nothing is wrong.
        return Score(value=steps[-1] if steps else 1.0, steps=steps)

    def _problem(self, prompt: Prompt) -> Problem:
        match = _ID.fullmatch(prompt.id)
        if match and match["language"] in LANGUAGES:
            index = int(match["index"])
            story = _stories(self.split, self.seed, index // _CHUNK + 1)[index]
            made = tell(story, match["language"], f"p{index:04d}")
            if made.text == prompt.text:
                return made
        raise CapabilityError(
            f"word_steps scores the problems of nbest.lab only, and {prompt.id!r} is not one of"
            f" split={self.split}, seed={self.seed}"
        )


@lru_cache(maxsize=8)
def _stories(split: Split, seed: int, num_chunks: int) -> list[Story]:
    return stories(split, num_chunks * _CHUNK, seed)


def _signs(line: str) -> list[str]:
    """Numbers in ASCII digits, and operators, in order."""
    plain = unicodedata.normalize("NFKC", line).translate({ord("−"): "-", ord("–"): "-"})
    return _SIGN.findall("".join(str(unicodedata.decimal(c, c)) for c in plain))
