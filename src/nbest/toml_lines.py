"""Which line of a TOML file says what: `tomllib` gives values without places."""

from __future__ import annotations

import re
import tomllib

Keys = tuple[str | int, ...]
"""Where a value stands: keys of tables, and places in arrays counted from 0."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*""""{0,2}'
    r"|'''(?:[^']|'(?!''))*''''{0,2}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


def lines_by_keys(text: str) -> dict[Keys, int]:
    """Lines, from 1, of every key, table and array item of valid TOML; of a table, its first mention.

    Lines of `text` end in a line feed alone, as those of text files do in Python.
    """
    scan = _Scan(text)
    scan.document()
    return scan.lines


class _Scan:
    """Walks over the text and notes where things begin."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self.lines: dict[Keys, int] = {}
        self._lengths: dict[Keys, int] = {}
        """Of arrays of tables."""

    def document(self) -> None:
        table: Keys = ()
        while self._next():
            if self._next() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Keys:
        """`[a.b]` or `[[a.b]]`; under an array of tables, its last item is meant."""
        line = self._line
        is_item = self._text.startswith("[[", self._at)
        self._at += 1 + is_item
        names = self._names()
        self._at += 1 + is_item
        keys: Keys = ()
        for name in names[:-1]:
            keys = self._last((*keys, name))
        keys = (*keys, names[-1])
        if is_item:
            self._note(keys, line)
            self._lengths[keys] = self._lengths.get(keys, 0) + 1
        keys = self._last(keys)
        self._note(keys, line)
        return keys

    def _last(self, keys: Keys) -> Keys:
        return (*keys, self._lengths[keys] - 1) if keys in self._lengths else keys

    def _pair(self, table: Keys) -> None:
        line = self._line
        keys = table
        for name in self._names():
            keys = (*keys, name)
            self._note(keys, line)
        self._at += 1  # the equals sign
        self._take(_BLANK)
        self._value(keys)

    def _names(self) -> list[str]:
        """A key, dotted or not, and the blanks around it."""
        names: list[str] = []
        while True:
            self._take(_BLANK)
            is_quoted = self._text[self._at] in "\"'"
            if is_quoted:
                quoted = self._take(_STRING)
                names.append(tomllib.loads(f"key = {quoted}")["key"])
            else:
                names.append(self._take(_BARE))
            self._take(_BLANK)
            if self._text[self._at] != ".":
                return names
            self._at += 1

    def _value(self, keys: Keys) -> None:
        match self._text[self._at]:
            case "[":
                self._items(keys, "]")
            case "{":
                self._items(keys, "}")
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_SCALAR)

    def _items(self, keys: Keys, end: str) -> None:
        """Of an array, or of a table in one line."""
        self._at += 1
        index = 0
        while self._next() != end:
            if end == "}":
                self._pair(keys)
            else:
                self._note((*keys, index), self._line)
                self._value((*keys, index))
            index += 1
            if self._next() == ",":
                self._at += 1
        self._at += 1

    def _note(self, keys: Keys, line: int) -> None:
        for end in range(1, len(keys) + 1):
            self.lines.setdefault(keys[:end], line)

    def _next(self) -> str:
        """What stands after blanks, ends of lines and comments."""
        self._take(_GAP)
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        assert found, f"no valid TOML at character {self._at}"
        self._at = found.end()
        self._line += found[0].count("\n")
        return found[0]
