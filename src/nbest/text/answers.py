"""The final answer of a text, and whether two answers are the same."""

from __future__ import annotations

from nbest.text.equivalence import equivalent
from nbest.text.extraction import extract, extract_marked

__all__ = ["equivalent", "extract", "extract_marked"]
