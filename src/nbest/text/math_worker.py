"""The process behind `expressions`: one JSON pair of expressions per line in, `true` or `false` out."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO


def main(lines: TextIO, out: TextIO) -> None:
    """Answers until the input ends. Whatever goes wrong inside `math-verify` is "not equal"."""
    import math_verify  # type: ignore[import-not-found]  # noqa: PLC0415

    maths: Any = math_verify
    for line in lines:
        a, b = json.loads(line)
        try:
            parsed = [maths.parse(f"${x.strip('$')}$", parsing_timeout=None) for x in (a, b)]
            is_equal = all(parsed) and any(
                maths.verify(x, y, timeout_seconds=None) for x, y in (parsed, reversed(parsed))
            )
        except Exception:  # noqa: BLE001
            is_equal = False
        out.write(json.dumps(bool(is_equal)) + "\n")
        out.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
