"""Log-probabilities asked for where a plug-in reads them."""

from __future__ import annotations

from collections.abc import Sequence

from nbest.identity_cache import remembered_by_identity
from nbest.protocols import logprobs_needed
from nbest.types import Request, replace

_needed = remembered_by_identity(logprobs_needed)


def with_logprobs(requests: Sequence[Request], reader: object) -> Sequence[Request]:
    """`requests` that ask for the log-probabilities that `reader`, or a plug-in inside it, reads."""
    k = _needed(reader)
    if k is None:
        return requests
    return [replace(r, params=replace(r.params, logprobs=k)) for r in requests]
