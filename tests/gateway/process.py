"""`nbest serve` in a process of its own."""

import contextlib
import re
import time
from urllib.request import urlopen

from processes import Nbest

NO_KEY = {"OPENAI_API_KEY": ""}
_STARTS_WITHIN_S = 60


@contextlib.contextmanager
def serving(folder, *flags, cwd=None, constants=None):
    """The address of a gateway that is ready; its log is `folder`/gateway.log."""
    flags = ("serve", "--port", "0", *flags)
    process = Nbest(folder, *flags, err="gateway.log", env=NO_KEY, cwd=cwd, constants=constants)
    try:
        base = _announced(process)
        with urlopen(f"{base.removesuffix('/v1')}/ready", timeout=5) as reply:
            assert reply.status == 200
        yield base
    finally:
        process.terminate()
        process.wait()


def _announced(process):
    ends = time.monotonic() + _STARTS_WITHIN_S
    log = ""
    while time.monotonic() < ends and process.is_running:
        log = process.err.read_text(encoding="utf-8") if process.err.exists() else ""
        if found := re.search(r"nbest answers at (\S+)", log):
            return found[1]
        time.sleep(0.02)
    raise AssertionError(f"the gateway did not start:\n{log}")
