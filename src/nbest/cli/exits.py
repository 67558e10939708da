"""How a command ends: errors as one line on standard error, and the exit codes.

0: done · 1: a prompt of a run has no answer · 2: something that the user can mend · 130: interrupted (Ctrl-C) ·
141: the reader of a pipe went away.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer

from nbest.cli.flags import with_flags
from nbest.errors import NbestError

R = TypeVar("R")

FAILED_PROMPTS = 1
USER_ERROR = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


def run_app(app: Callable[[], object]) -> None:
    """Runs `app`, and turns what the user can mend into one line on standard error and exit code 2."""
    try:
        try:
            app()
        finally:
            print(end="", flush=True)
    except NbestError as e:
        _fail(with_flags(str(e)))
    except BrokenPipeError:
        _end_of_pipe()
    except OSError as e:  # a file or directory that cannot be read or written
        _fail(_file_error(e))
    except SystemExit as e:  # typer turns a broken pipe into this
        if isinstance(e.__context__, BrokenPipeError):
            _end_of_pipe()
        raise


def interruptible(work: Coroutine[Any, Any, R], out: Path) -> R:
    """Runs a coroutine that records into `out`. Ctrl-C says how to go on, and exits with 130."""
    import asyncio  # noqa: PLC0415 (slow to import)

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        print(
            f"\nstopped; what was answered is in {out}. Run the same command again to go on.", file=sys.stderr
        )
        raise typer.Exit(INTERRUPTED) from None


def _file_error(error: OSError) -> str:
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or repr(error)


def _fail(message: str) -> NoReturn:
    from rich.console import Console  # noqa: PLC0415 (slow to import)

    Console(stderr=True, soft_wrap=True, highlight=False).print("error:", style="bold red", end=" ")
    print(" ".join(message.split()), file=sys.stderr)
    sys.exit(USER_ERROR)


def _end_of_pipe() -> NoReturn:
    """The reader went away, as in `nbest list | head`: the exit code that shells give after SIGPIPE."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what Python flushes at its very end
    sys.exit(BROKEN_PIPE)
