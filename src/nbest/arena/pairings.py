"""Which answers of recorded runs meet: every pair on every prompt that both answered, in both orders."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

from nbest.errors import InputError
from nbest.records import read_outcomes
from nbest.types import Candidate, Json, Prompt, replace

Pairing = Literal["all", "baseline"]
"""Which systems meet: each with each, or each with the baseline."""


class Answer(NamedTuple):
    """What one system said to one prompt; `text` is None where it has no answer."""

    prompt: Prompt
    text: str | None
    candidate: int
    gold: Mapping[str, Json]


class Game(NamedTuple):
    """A row to be judged: two answers, the first shown as A."""

    prompt: Prompt
    """The original one, but for its id."""
    candidates: tuple[Candidate, Candidate]
    gold: Mapping[str, Json]


def read_answers(run: Path | str) -> dict[str, Answer]:
    """The chosen answers of a run, by prompt id. Raises `RecordsError`."""
    return {
        o.prompt.id: Answer(o.prompt, o.text, o.selection.winner.id if o.selection else 0, o.gold)
        for o in read_outcomes(run)
    }


def named_runs(given: Sequence[str]) -> dict[str, Path]:
    """`NAME=DIRECTORY` or `DIRECTORY`, which is called by its last part. Raises `InputError`."""
    runs: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not name.isidentifier():
            name, path = Path(os.path.abspath(text)).name, text  # noqa: PTH100 (a link keeps its name)
        if name in runs:
            raise InputError(
                f"two runs are called {name!r}: name them, as in  {name}_1={runs[name]} {name}_2={path}"
            )
        runs[name] = Path(path)
    return runs


def games_between(
    systems: Mapping[str, Mapping[str, Answer]], *, baseline: str | None = None, pairs: Pairing = "all"
) -> list[Game]:
    """Both games of every pair of answers to the same prompt. Without `baseline` it is the first system.

    Prompts that only one run has, or that one has no answer to, give no game (`unanswered` counts them).
    Raises `InputError` where runs mean different prompts by the same id, the baseline is no system, or no
    two systems answer the same prompt.
    """
    if baseline is not None and baseline not in systems:
        raise InputError(f"no run is called {baseline!r}; known: {', '.join(systems)} (--baseline)")
    base = next(iter(systems), None) if baseline is None else baseline
    games: list[Game] = []
    for a, b in combinations(systems, 2):
        if pairs == "all" or base in {a, b}:
            games += _games_of_pair(a, systems[a], b, systems[b])
    if not games:
        raise InputError(f"no prompt is answered by two of the runs {', '.join(systems)}: name two or more")
    return games


def unanswered(systems: Mapping[str, Mapping[str, Answer]]) -> dict[str, int]:
    """For each system, how many of all prompts it lacks or has no answer to; without the zeros."""
    prompts = {id_ for answers in systems.values() for id_ in answers}
    missing = {
        name: sum(id_ not in answers or answers[id_].text is None for id_ in prompts)
        for name, answers in systems.items()
    }
    return {name: n for name, n in missing.items() if n}


def game_id(prompt_id: str, first: str, second: str) -> str:
    """Names of systems have no slash, so the parts can be told apart from the right."""
    return f"{prompt_id}/{first}/{second}"


def _games_of_pair(a: str, ours: Mapping[str, Answer], b: str, theirs: Mapping[str, Answer]) -> list[Game]:
    games: list[Game] = []
    for id_ in sorted(ours.keys() & theirs.keys()):
        x, y = ours[id_], theirs[id_]
        if x.prompt.messages != y.prompt.messages:
            raise InputError(f"prompt {id_!r} of {a} is another one than {id_!r} of {b}")
        if x.text is not None and y.text is not None:
            games += _both_orders(a, x, b, y)
    return games


def _both_orders(a: str, ours: Answer, b: str, theirs: Answer) -> list[Game]:
    # One of the two rows speaks for both, whatever the order in which the runs were named.
    row, other = (ours, theirs) if a < b else (theirs, ours)
    gold = {**other.gold, **row.gold}
    seats = (((a, ours), (b, theirs)), ((b, theirs), (a, ours)))
    return [
        Game(
            replace(row.prompt, id=game_id(row.prompt.id, seat[0][0], seat[1][0])),
            (_shown(0, *seat[0]), _shown(1, *seat[1])),
            gold,
        )
        for seat in seats
    ]


def _shown(place: int, system: str, answer: Answer) -> Candidate:
    meta = {"system": system, "candidate": answer.candidate}
    return Candidate(id=place, text=answer.text or "", meta=meta)
