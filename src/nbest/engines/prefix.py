"""Emitting the deltas of one completion."""

from __future__ import annotations

from nbest.protocols import OnDelta
from nbest.types import Completion, Delta, ReasoningDelta


class PrefixStripper:
    """Passes deltas on to `on_delta`, without the prefix that a server may repeat (`echo`) before the text."""

    def __init__(self, on_delta: OnDelta, *, echo: str = "") -> None:
        self._on_delta = on_delta
        self._echo = echo
        """What may yet be repeated."""
        self._held = ""
        """Text so far, while it may be the echo."""
        self._num_emitted = 0
        """Characters of the text."""
        self._has_emitted_reasoning = False

    def __call__(self, delta: Delta) -> None:
        if isinstance(delta, str):
            self._emit_text(self._without_echo(delta))
            return
        if isinstance(delta, ReasoningDelta):
            self._has_emitted_reasoning = True
        self._on_delta(delta)

    def emit_rest(self, drawn: Completion) -> None:
        """Emits what was not emitted of the completion's reasoning and text: all where it came in one reply."""
        is_untouched = not (self._has_emitted_reasoning or self._num_emitted)
        if drawn.reasoning and is_untouched:
            self(ReasoningDelta(text=drawn.reasoning))
        self._emit_text(drawn.text[self._num_emitted :])

    def _without_echo(self, delta: str) -> str:
        """What can be emitted of the text so far."""
        if not self._echo:
            return delta
        self._held += delta
        may_be_echo = len(self._held) < len(self._echo) and self._echo.startswith(self._held)
        if may_be_echo:
            return ""
        text, self._echo = self._held.removeprefix(self._echo), ""
        return text

    def _emit_text(self, text: str) -> None:
        if text:
            self._num_emitted += len(text)
            self._on_delta(text)
