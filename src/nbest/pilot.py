"""Draws of a pilot, which are the beginning of the pool that follows."""

from __future__ import annotations

from collections.abc import Sequence

from nbest.types import Candidate, Prompt, Request, SamplingParams

_Key = tuple[int, str, str | None, str, SamplingParams]
"""Identity of the prompt, role, name of the engine, prefix, parameters with the draw's own seed."""


class Pilot:
    """Candidates by what they were drawn with. A draw without a seed is never the same twice, and is not kept."""

    def __init__(self) -> None:
        self._candidates: dict[_Key, Candidate] = {}
        self._prompts: list[Prompt] = []
        """Held, so that their identities stay their own."""

    def add(self, requests: Sequence[Request], candidates: Sequence[Candidate]) -> None:
        """Keeps the usable ones of `candidates`, which were drawn for `requests`."""
        for request in requests:
            key_by_params = {key[-1]: key for key in _keys(request) if key is not None}
            self._prompts.append(request.prompt)
            for candidate in candidates:
                key = None
                if candidate.params is not None and candidate.is_usable:
                    key = key_by_params.get(candidate.params)
                if key is not None:
                    self._candidates.setdefault(key, candidate)

    def split(self, requests: Sequence[Request]) -> tuple[list[Candidate], Sequence[Request]]:
        """The candidates that are there already, and requests for the others."""
        if not self._candidates:
            return [], requests
        known: list[Candidate] = []
        rest: list[Request] = []
        for request in requests:
            missing: list[int] = []
            for i, key in enumerate(_keys(request)):
                candidate = None if key is None else self._candidates.get(key)
                if candidate is None:
                    missing.append(i)
                else:
                    known.append(candidate)
            rest += [request.part(start, n) for start, n in _runs(missing)]
        return known, rest


def _keys(request: Request) -> list[_Key | None]:
    """Of each draw; None for draws that are not kept."""
    if request.params.seed is None or request.is_part or request.parents:
        return [None] * request.n
    what = (id(request.prompt), request.role, request.engine, request.prefix)
    return [(*what, request.params_of(i)) for i in range(request.n)]


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """(start, length) of each run of consecutive numbers."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and sum(runs[-1]) == place:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((place, 1))
    return runs
