r"""The process behind `expressions`: compares pairs of expressions (the protocol of `nbest.worker_process`).

in   {"id": 1, "pair": ["\frac{1}{2}", "0.5"]}
out  {"id": 1, "equal": true}
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any, Final, TextIO

_MAX_S: Final = 10
"""Twice what `expressions` waits for an answer."""


def main(lines: TextIO, out: TextIO) -> None:
    """Answers until the input ends."""
    import math_verify  # type: ignore[import-not-found]  # noqa: PLC0415

    maths: Any = math_verify
    _write(out, {"ready": True})
    for line in lines:
        request = json.loads(line)
        _end_after(_MAX_S)  # whoever would end it may have been killed
        _write(out, {"id": request["id"], "equal": _are_equal(maths, *request["pair"])})
        _end_after(0)


def _are_equal(maths: Any, a: str, b: str) -> bool:
    """Whatever goes wrong inside `math-verify` is "not equal"."""
    try:
        x, y = (maths.parse(f"${text.strip('$')}$", parsing_timeout=None) for text in (a, b))
        if not x or not y:
            return False
        # It takes the first for gold and is not symmetric.
        return any(maths.verify(gold, other, timeout_seconds=None) for gold, other in ((x, y), (y, x)))
    except Exception:  # noqa: BLE001
        return False


def _end_after(seconds: int) -> None:
    """Ends this process by then, whatever it does, unless it is called again."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def _write(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
