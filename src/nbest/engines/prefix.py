"""A text said while it is written."""

from __future__ import annotations

from nbest.protocols import OnDelta
from nbest.types import Completion, Delta, ReasoningDelta


class PrefixStripper:
    """Passes pieces of a text on, without the prefix that the server may repeat first."""

    def __init__(self, on_delta: OnDelta, *, echo: str = "") -> None:
        self._on_text = on_delta
        self._echo = echo
        """What may yet be repeated."""
        self._held = ""
        self._num_said = 0
        self._has_thought = False

    def __call__(self, piece: Delta) -> None:
        if not isinstance(piece, str):
            self._has_thought = self._has_thought or isinstance(piece, ReasoningDelta)
            self._on_text(piece)
            return
        if self._echo:
            self._held += piece
            if len(self._held) < len(self._echo) and self._echo.startswith(self._held):
                return
            piece, self._echo = self._held.removeprefix(self._echo), ""
        if piece:
            self._num_said += len(piece)
            self._on_text(piece)

    def say_the_rest(self, drawn: Completion) -> None:
        """Says what of the whole was not said: all of it, where it came in one piece."""
        if drawn.reasoning and not (self._has_thought or self._num_said):
            self(ReasoningDelta(text=drawn.reasoning))
        if rest := drawn.text[self._num_said :]:
            self._num_said = len(drawn.text)
            self._on_text(rest)
