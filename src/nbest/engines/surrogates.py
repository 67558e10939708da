r"""Halves of surrogate pairs, which JSON's `\ud83c` escapes can leave alone and which have no UTF-8."""

from __future__ import annotations

_FIRST_HIGH, _LAST_HIGH = "\ud800", "\udbff"


def well_formed(text: str) -> str:
    """`text` with U+FFFD for each lone half; two halves that stand together become their character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class SurrogateJoiner:
    """Well-formed deltas of a text whose surrogate pairs may be cut in two by the ends of deltas."""

    def __init__(self) -> None:
        self._held = ""
        """The first half of a pair, at the end of the text so far."""

    def feed(self, delta: str) -> str:
        """What can be emitted now."""
        text = self._held + delta
        self._held = ""
        if text and _FIRST_HIGH <= text[-1] <= _LAST_HIGH:
            text, self._held = text[:-1], text[-1]
        return well_formed(text)

    @property
    def rest(self) -> str:
        """What is left if the text ends here: U+FFFD for a first half without its second, else nothing."""
        return well_formed(self._held)
