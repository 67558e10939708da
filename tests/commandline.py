"""`nbest …` in the process of the test, for tests in which the process itself is not the point."""

import contextlib
import io
import sys
from dataclasses import dataclass
from unittest import mock

from nbest.cli.main import main


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def nbest(*arguments, stdin="", may_fail=True):
    """Runs the command line; with `may_fail=False` an exit code other than 0 fails the test."""
    out, err = io.StringIO(), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    code = 0
    with (
        mock.patch.object(sys, "argv", ["nbest", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", given),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as e:
            code = e.code or 0
    done = Done(code, out.getvalue(), err.getvalue())
    if not may_fail:
        assert done.returncode == 0, done.stderr
    return done
