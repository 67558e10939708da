"""`nbest serve` in a process of its own."""

import contextlib
import re
import time
from urllib.request import urlopen

from processes import Nbest

NO_KEY = {"OPENAI_API_KEY": ""}
_STARTS_WITHIN_S = 60


@contextlib.contextmanager
def serving(folder, *flags, **how):
    """The address of a gateway that is ready; its log is `folder`/gateway.log. `how` is that of `Nbest`."""
    with running(folder, *flags, **how) as (base, _):
        yield base


@contextlib.contextmanager
def running(folder, *flags, env=None, **how):
    """The address of a gateway that is ready, and its process."""
    flags = ("serve", "--port", "0", *flags)
    process = Nbest(folder, *flags, err="gateway.log", env={**NO_KEY, **(env or {})}, **how)
    try:
        base = announced(process)
        with urlopen(f"{base.removesuffix('/v1')}/ready", timeout=5) as reply:
            assert reply.status == 200
        yield base, process
    finally:
        if process.is_running:
            process.terminate()
        process.wait()


def announced(process):
    """The address that a gateway says when it is ready."""
    ends = time.monotonic() + _STARTS_WITHIN_S
    log = ""
    while time.monotonic() < ends and process.is_running:
        log = process.err.read_text(encoding="utf-8") if process.err.exists() else ""
        if found := re.search(r"nbest answers at (\S+)", log):
            return found[1]
        time.sleep(0.02)
    raise AssertionError(f"the gateway did not start:\n{log}")
