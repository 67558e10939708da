"""Server-sent events from bytes. Source: the HTML standard, section 9.2."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z|\n)")
"""A carriage return that is the last byte so far may be half of one."""
_BOM = b"\xef\xbb\xbf"


class Events:
    """(name, data) of each event in a stream of bytes that may be cut anywhere, inside characters too.

    Comments, ids and retry times are left out. A field `error`, which some servers have invented,
    counts as the data of an event with that name.
    """

    def __init__(self) -> None:
        self._held: list[bytes] = [b""]
        """Of the line that has not ended."""
        self._name = ""
        self._data: list[bytes] = []
        self._is_first_line = True

    def feed(self, chunk: bytes) -> Iterator[tuple[str, bytes]]:
        """The events that end in `chunk`."""
        may_end = b"\n" in chunk or b"\r" in chunk or self._held[-1].endswith(b"\r")
        self._held.append(chunk)
        if not may_end:  # a long line in many chunks is joined once
            return
        *lines, rest = _LINE_END.split(b"".join(self._held))
        self._held = [rest]
        for line in lines:
            yield from self._line(line)

    def close(self) -> Iterator[tuple[str, bytes]]:
        """The event that the end of the stream ends: servers forget the last empty line."""
        rest, self._held = b"".join(self._held), [b""]
        for line in (rest.removesuffix(b"\r"), b""):
            yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[tuple[str, bytes]]:
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                yield self._name, b"\n".join(self._data)
            self._name, self._data = "", []
            return

        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field in {b"data", b"error"}:
            self._data.append(value)
        if field == b"error":
            self._name = "error"
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
