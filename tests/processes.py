"""`nbest …` in processes of their own that start at once: they are forked from one that has imported everything."""

import importlib
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "processes",
        "nbest.cli.main",
        "nbest.cli.display.run_progress",
        "nbest.cli.display.run_summary",
        "nbest.cli.display.verdicts",
        "nbest.arena.judged_games",
        "nbest.arena.pairings",
        "nbest.arena.winrate",
        "nbest.engines.fake",
        "nbest.engines.layers",
        "nbest.engines.openai",
        "nbest.records",
        "nbest.sampling.hedged",
        "nbest.selection.mbr",
        "nbest.selection.random",
        "nbest.serve.start",
        "nbest.session",
        "nbest.settings.run",
        "nbest.strategies.parallel",
        "nbest.tasks",
        "nbest.utilities.chrf",
        "typer._adapters",  # it imports pydantic
    ]
)


class Nbest:
    """A command under way; its standard output and error go to files in `folder`.

    `constants` are set in modules of the new process, as {"nbest.serve.start": {"_RETRY_S": 0.1}}. `max_files`
    is its limit on open files, soft and hard, `max_bytes` that on its address space.
    """

    def __init__(
        self,
        folder,
        *arguments,
        err="process.err",
        env=None,
        cwd=None,
        constants=None,
        max_files=None,
        max_bytes=None,
    ):
        self.out, self.err = Path(folder) / "process.out", Path(folder) / err
        given = (
            list(map(str, arguments)),
            self.out,
            self.err,
            env or {},
            cwd,
            constants or {},
            max_files,
            max_bytes,
        )
        self._process = _CONTEXT.Process(target=_main, args=given)
        self._process.start()

    @property
    def is_running(self):
        return self._process.is_alive()

    @property
    def pid(self):
        return self._process.pid

    def kill(self):
        """As `kill -9` does. Gives the exit code: another one where it had ended before."""
        self._process.kill()
        return self.wait()[0]

    def terminate(self):
        """As `kill` does."""
        self._process.terminate()

    def wait(self):
        """Exit code, standard output and standard error."""
        self._process.join(60)
        assert not self.is_running
        return self._process.exitcode, *(log.read_text(encoding="utf-8") for log in (self.out, self.err))


def until(is_so, process, *, within_s=20):
    """Waits for `is_so()`, or for the process to end."""
    ends = time.monotonic() + within_s
    while not is_so() and process.is_running and time.monotonic() < ends:
        time.sleep(0.002)


def _main(arguments, out, err, env, cwd, constants, max_files, max_bytes):
    for descriptor, log in ((1, out), (2, err)):
        with log.open("w") as file:
            os.dup2(file.fileno(), descriptor)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    os.environ.update(env)
    if max_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, max_files))
    if max_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    if cwd is not None:
        os.chdir(cwd)
    for module, values in constants.items():
        vars(importlib.import_module(module)).update(values)
    sys.argv = ["nbest", *arguments]
    from nbest.cli.main import main

    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
