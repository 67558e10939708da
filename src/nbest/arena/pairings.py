"""Which answers of recorded runs meet: every pair on every prompt that both answered, in both orders."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

from nbest.errors import InputError
from nbest.evaluate.prompt_index import PromptIndex, contents_of
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

    Prompts are the same where they ask the same (`PromptIndex`), and have the id of the first system that was
    asked. Prompts that only one run has, or that one has no answer to, give no game (`unanswered` counts them).
    Raises `InputError` where runs mean different prompts by the same id, the baseline is no system, or no
    two systems answer the same prompt.
    """
    if baseline is not None and baseline not in systems:
        raise InputError(f"no run is called {baseline!r}; known: {', '.join(systems)} (`baseline`)")
    base = baseline or next(iter(systems), None)
    aligned = same_ids(systems)
    games: list[Game] = []
    for a, b in combinations(aligned, 2):
        if pairs == "all" or base in {a, b}:
            games += _games_of_pair(a, aligned[a], b, aligned[b])
    if not games:
        raise InputError(f"no prompt is answered by two of the runs {', '.join(systems)}: name two or more")
    return games


def same_ids(systems: Mapping[str, Mapping[str, Answer]]) -> dict[str, dict[str, Answer]]:
    """The answers of each system, under ids that are the same for prompts that ask the same.

    Raises `InputError` where runs mean different prompts by the same id.
    """
    index = PromptIndex()
    aligned: dict[str, dict[str, Answer]] = {}
    for name, answers in systems.items():
        prompts = (replace(answer.prompt, id=id_) for id_, answer in answers.items())
        number_by_id = index.add(name, contents_of(prompts))
        aligned[name] = {index.ids[number_by_id[id_]]: answer for id_, answer in answers.items()}
    return aligned


def unanswered(systems: Mapping[str, Mapping[str, Answer]]) -> dict[str, int]:
    """For each system, how many of all prompts it lacks or has no answer to; without the zeros."""
    aligned = same_ids(systems)
    num_prompts = len({id_ for answers in aligned.values() for id_ in answers})
    num_answered = {
        name: sum(answer.text is not None for answer in answers.values()) for name, answers in aligned.items()
    }
    missing = {name: num_prompts - num for name, num in num_answered.items()}
    return {name: num for name, num in missing.items() if num}


def game_id(prompt_id: str, first: str, second: str) -> str:
    """Names of systems have no slash, so the parts can be told apart from the right."""
    return f"{prompt_id}/{first}/{second}"


def _games_of_pair(a: str, ours: Mapping[str, Answer], b: str, theirs: Mapping[str, Answer]) -> list[Game]:
    games: list[Game] = []
    for id_ in sorted(ours.keys() & theirs.keys()):
        x, y = ours[id_], theirs[id_]
        if x.text is not None and y.text is not None:
            games += _both_orders(id_, a, x, b, y)
    return games


def _both_orders(id_: str, a: str, ours: Answer, b: str, theirs: Answer) -> list[Game]:
    # One of the two rows speaks for both, whatever the order in which the runs were named.
    row, other = (ours, theirs) if a < b else (theirs, ours)
    gold = {**other.gold, **row.gold}
    seats = (((a, ours), (b, theirs)), ((b, theirs), (a, ours)))
    return [
        Game(
            replace(row.prompt, id=game_id(id_, seat[0][0], seat[1][0])),
            (_shown(0, *seat[0]), _shown(1, *seat[1])),
            gold,
        )
        for seat in seats
    ]


def _shown(place: int, system: str, answer: Answer) -> Candidate:
    meta = {"system": system, "candidate": answer.candidate}
    return Candidate(id=place, text=answer.text or "", meta=meta)
