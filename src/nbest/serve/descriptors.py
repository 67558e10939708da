"""File descriptors: how many this process may have, and how many of them are for clients' connections."""

from __future__ import annotations

import resource

_MOST = 1 << 20
"""Taken for a limit that is infinite, or larger than any gateway needs."""
_MAX_RESERVE = 5000
"""Descriptors for connections to upstream servers, files and pipes; half of a limit below 10 000."""


def raise_limit() -> int:
    """Raises the limit on open files to the most that this process may have, and returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # a system that allows less than it says
            wanted = soft
    return wanted


def max_connections(limit: int) -> int:
    """How many clients may be connected at once under a limit on open files."""
    return limit - min(limit // 2, _MAX_RESERVE)
