"""Parts of a request for n, as splitting engines and layers ask for them."""

from __future__ import annotations

from nbest.types import Completion, Request, replace


def part(request: Request, start: int, n: int) -> Request:
    """Draws start … start + n − 1 of `request`, under the seeds that they have there."""
    seed = request.params.seed
    params = request.params if seed is None or start == 0 else replace(request.params, seed=seed + start)
    return replace(request, n=n, params=params)


def failed(why: str) -> Completion:
    """A draw that is not there, beside draws of the same request that are."""
    return Completion(text="", finish="error", error=why)
