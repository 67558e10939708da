"""Final answers in any script: where they stand in a text, and when two are the same."""

from nbest.text.answer import Answer, Kind
from nbest.text.classes import answer_keys, classes
from nbest.text.equivalence import equivalent
from nbest.text.extraction import extract, extract_marked
from nbest.text.readers import read

__all__ = ["Answer", "Kind", "answer_keys", "classes", "equivalent", "extract", "extract_marked", "read"]
