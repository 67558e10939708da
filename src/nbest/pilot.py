"""Draws of a pilot, which are the beginning of the pool that follows."""

from __future__ import annotations

from collections.abc import Sequence

from nbest.types import Candidate, Prompt, Request, SamplingParams, replace

_Key = tuple[int, str, str | None, str, SamplingParams]
"""Identity of the prompt, role, name of the engine, prefix, parameters with the draw's own seed, without log-probabilities."""


class Pilot:
    """Candidates by what they were drawn with. A stochastic draw without a seed is never the same twice, and
    is not kept; nor is one given to a request that wants more log-probabilities than it was drawn with."""

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
                    key = key_by_params.get(replace(candidate.params, logprobs=None))
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
                if candidate is None or not _has_logprobs(candidate, request.params.logprobs):
                    missing.append(i)
                else:
                    known.append(candidate)
            rest += [request.part(start, n) for start, n in _runs(missing)]
        return known, rest


def _keys(request: Request) -> list[_Key | None]:
    """Of each draw; None for draws that are not kept."""
    is_repeatable = request.params.seed is not None or request.params.temperature == 0
    if not is_repeatable or request.is_part or request.parents:
        return [None] * request.n
    what = (id(request.prompt), request.role, request.engine, request.prefix)
    return [(*what, replace(request.params_of(i), logprobs=None)) for i in range(request.n)]


def _has_logprobs(candidate: Candidate, wanted: int | None) -> bool:
    """Whether it was drawn with as many log-probabilities as are wanted."""
    if wanted is None:
        return True
    drawn = candidate.params and candidate.params.logprobs
    return drawn is not None and drawn >= wanted


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """(start, length) of each run of consecutive numbers."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and sum(runs[-1]) == place:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((place, 1))
    return runs
