"""Server-sent events, piece by piece. Source: the HTML standard, section 9.2."""

from __future__ import annotations

import re
from collections.abc import Iterator

_END = re.compile(rb"\r\n|\n|\r(?!\Z|\n)")
"""Of a line. A carriage return that is the last byte so far may be half of one."""
_BOM = b"\xef\xbb\xbf"


class Events:
    """(name, data) of each event in a stream of bytes that may be cut anywhere, inside characters too.

    Comments, ids and retry times are left out. A field `error`, which some servers have invented,
    counts as the data of an event with that name.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = [b""]
        """Of the line that has not ended."""
        self._name = ""
        self._data: list[bytes] = []
        self._is_first = True

    def feed(self, piece: bytes) -> Iterator[tuple[str, bytes]]:
        """The events that end in `piece`."""
        may_end = b"\n" in piece or b"\r" in piece or self._parts[-1].endswith(b"\r")
        self._parts.append(piece)
        if not may_end:  # a long line in small pieces is joined once
            return
        *lines, rest = _END.split(b"".join(self._parts))
        self._parts = [rest]
        for line in lines:
            yield from self._line(line)

    def close(self) -> Iterator[tuple[str, bytes]]:
        """The event that the end of the stream ends: servers forget the last empty line."""
        rest, self._parts = b"".join(self._parts), [b""]
        for line in (rest.removesuffix(b"\r"), b""):
            yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[tuple[str, bytes]]:
        if self._is_first:
            self._is_first, line = False, line.removeprefix(_BOM)
        if not line:
            if self._data:
                yield self._name, b"\n".join(self._data)
            self._name, self._data = "", []
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name in {b"data", b"error"}:
            self._data.append(value)
        if name == b"error":
            self._name = "error"
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
