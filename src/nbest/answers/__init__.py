"""Final answers in any script: where they stand in a text, and when two are the same."""

from nbest.answers.answer import Answer, Kind
from nbest.answers.classes import answer_keys, classes
from nbest.answers.equivalence import equivalent
from nbest.answers.extract import extract, extract_marked
from nbest.answers.readers import read

__all__ = ["Answer", "Kind", "answer_keys", "classes", "equivalent", "extract", "extract_marked", "read"]
