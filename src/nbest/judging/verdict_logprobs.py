"""The probability of each option of a verdict, from the log-probabilities of the tokens that spell it. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from math import exp, fsum
from typing import Final

from nbest.types import Logprobs

_DECORATION: Final = frozenset(" \t\r\n▁Ġ[]【】〖〗*_`\"'「」")
"""What may stand around a verdict. `▁` and `Ġ` are how vocabularies write a space."""


def option_probabilities(logprobs: Logprobs, options: Iterable[str]) -> dict[str, float]:
    """The probability of each option, normalised to sum to 1; empty where no option is among the alternatives.

    `logprobs` are those of a reply that begins with the verdict, with alternatives at each place. A vocabulary
    may split an option anywhere (`10` as `1`, `0`; `A>>B` as `A`, `>>`, `B`), so options are followed token by
    token along the drawn text. An alternative that was not drawn is not followed: its probability goes to
    the option that it spells, else in equal parts to the shortest options that begin with it: `B` is
    rather `B>A` than `B>>A`.
    """
    reader = _OptionReader(tuple(options))
    for drawn, alternatives in zip(logprobs.tokens, logprobs.top, strict=False):
        if not reader.read(drawn, alternatives):
            break
    found = reader.finish()
    total = fsum(found.values())
    return {option: p / total for option, p in found.items()} if total > 0 else {}


class _OptionReader:
    """Follows the drawn tokens through the options, and shares out the probability of those not drawn."""

    def __init__(self, options: Sequence[str]) -> None:
        self._found = dict.fromkeys(options, 0.0)
        self._begun = ""
        """The part of an option that was drawn so far."""
        self._mass = 1.0
        """The probability of what was drawn so far."""

    def read(self, drawn: str, alternatives: Mapping[str, float]) -> bool:
        """Takes in one place; False where what follows has nothing to do with the verdict."""
        share_drawn, share_others = 0.0, 0.0
        for token, logprob in alternatives.items():
            probability = exp(logprob)
            if token == drawn:
                share_drawn = probability
            elif self._give(self._extended(token), self._mass * probability):
                share_others += probability

        longer = self._extended(drawn)
        if longer is not None and longer != self._begun:
            self._begun = longer
            self._mass *= share_drawn
            return not self._is_complete(longer)
        if self._begun in self._found:  # it ended here, but for the alternatives that go on
            self._mass *= max(0.0, 1 - share_others)
            return False
        # Decoration, or words before the verdict.
        self._begun = ""
        self._mass *= share_drawn
        return True

    def finish(self) -> dict[str, float]:
        """The probability of each option, not normalised."""
        self._give(self._begun, self._mass)
        return self._found

    def _extended(self, token: str) -> str | None:
        """What was begun with `token` behind it; None where no option begins so."""
        part = _plain(token)
        if part is None:
            return None
        text = self._begun + part
        return text if any(option.startswith(text) for option in self._found) else None

    def _is_complete(self, text: str) -> bool:
        return [o for o in self._found if o.startswith(text)] == [text]

    def _give(self, text: str | None, probability: float) -> bool:
        """Adds `probability` to the options that `text` spells or begins; False where it is neither."""
        if not text:
            return False
        if text in self._found:
            self._found[text] += probability
            return True
        begun = [option for option in self._found if option.startswith(text)]
        shortest = min(map(len, begun), default=0)
        likely = [option for option in begun if len(option) == shortest]
        for option in likely:
            self._found[option] += probability / len(likely)
        return bool(likely)


def _plain(token: str) -> str | None:
    """A token without what may stand around a verdict, digits of any script as ASCII ones.

    None where something else stands inside: `A]` is A, `A good` is none.
    """
    text = unicodedata.normalize("NFKC", token)
    kept = "".join(_ascii_digit(c) for c in text if c not in _DECORATION)
    inner = text.strip("".join(_DECORATION))
    return kept if len(kept) == len(inner) else None


def _ascii_digit(char: str) -> str:
    digit = unicodedata.decimal(char, None)
    return char if digit is None else str(digit)
