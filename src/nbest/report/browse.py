"""What the pool browser shows of each prompt, as compact JSON in compressed blocks.

Keys are short because they are written once per candidate:

    prompt  id, lang, task, turns: [[role, text], …], gold, pools: [{run, c: candidates}], choices
    c       i id · t text · s score · T temperature · f finish · p parents · e error · l language · n tokens
            · m other fields of a recorded pool · g engine
    choice  r run · p pool · w winner · text (of a new candidate) · parents · s score · scores · weights · why · d details
            · notes · error · stopped
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from nbest.datasets import Pool
from nbest.evaluate.ingestion import is_new
from nbest.evaluate.recorded_draws import draws_of
from nbest.evaluate.scores import gold_text
from nbest.types import Candidate, Outcome

CANDIDATES_DIFFER = 1
METHODS_DIFFER = 2
ALL_WRONG = 4
FAILED = 8
NOTED = 16
"""Flags of a prompt, by which the browser filters."""
_BLOCK_BYTES = 1 << 21
_HEAD_CHARS = 160
_DIGITS = 5


class Record:
    """One prompt for the browser, added to run by run; texts are kept as encoded JSON."""

    __slots__ = (
        "_choices",
        "_pools",
        "_prompt",
        "flags",
        "head",
        "id",
        "language",
        "num_draws",
        "num_others",
        "num_steps",
        "places",
        "scores",
        "won",
    )

    def __init__(self) -> None:
        """A place for a prompt; `begin` says which."""
        self.id = ""
        self.language: str | None = None
        self.head = ""
        self.flags = 0
        self.places: dict[bytes, int] = {}
        """Number of each pool, by fingerprint."""
        self.scores: list[Mapping[int, float | None]] = []
        self.won: set[str] = set()
        """What methods chose, as fingerprints."""
        self.num_draws = 0
        """Of all its pools, as `draws_of` counts them."""
        self.num_others = 0
        """Whole answers that are no draws: made from others, found by a search, evidence in other languages."""
        self.num_steps = 0
        self._prompt = b""
        self._pools: list[bytes] = []
        self._choices: list[bytes] = []

    @property
    def is_begun(self) -> bool:
        return bool(self._prompt)

    def begin(self, pool: Pool) -> None:
        """Takes the prompt from the run that has it first."""
        prompt = pool.prompt
        self.id = prompt.id
        self.language = prompt.language
        self.head = " ".join(prompt.text.split())[:_HEAD_CHARS]
        fields = {
            "id": prompt.id,
            "lang": prompt.language,
            "task": prompt.task,
            "turns": [[m.role, m.content] for m in prompt.messages],
            "gold": gold_text(pool),
        }
        self._prompt = msgspec.json.encode(_without_none(fields))

    def add_pool(self, key: bytes, outcome: Outcome, scores: Mapping[int, float | None], run: int) -> int:
        """The candidates that run number `run` was the first to show; gives the pool's number."""
        place = self.places[key] = len(self._pools)
        self.scores.append(scores)
        candidates = outcome.candidates
        draws = draws_of(candidates, outcome.prompt)
        answers = [c for c in candidates if c.finish != "step"]
        self.num_draws += len(draws)
        self.num_others += len(answers) - len(draws)
        self.num_steps += len(candidates) - len(answers)
        shown = [_candidate(c, scores.get(c.id), self.language) for c in candidates]
        self._pools.append(msgspec.json.encode({"run": run, "c": shown}))
        differ: set[object] = {c.text for c in answers}
        if scores:
            differ = {scores.get(c.id) for c in answers}
        self.flags |= CANDIDATES_DIFFER * (len(differ) > 1)
        return place

    def add_choice(self, outcome: Outcome, pool: int, run: int, value: float | None) -> None:
        """What run number `run` made of pool number `pool`; `value` is the score of its choice."""
        selection = outcome.selection
        if selection is not None:
            same = selection.winner.text
            if value is not None:
                same = repr(value)
            self.won.add(blake2b(same.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest())
        self.flags |= FAILED * (selection is None) | NOTED * bool(outcome.notes)
        self.flags |= METHODS_DIFFER * (len(self.won) > 1)
        if value:
            self.flags &= ~ALL_WRONG
        elif value == 0 and not self._choices:
            self.flags |= ALL_WRONG
        self._choices.append(msgspec.json.encode(_choice(outcome, pool, run, value)))

    def json(self) -> bytes:
        """One object."""
        return b'%b,"pools":[%b],"choices":[%b]}' % (
            self._prompt[:-1],
            b",".join(self._pools),
            b",".join(self._choices),
        )


def blocks(records: Sequence[Record]) -> Iterator[tuple[list[Record], str]]:
    """Records in blocks of about 2 MB, each with its JSON array as gzip in base64."""
    taken: list[Record] = []
    parts: list[bytes] = []
    size = 0
    for record in records:
        part = record.json()
        taken.append(record)
        parts.append(part)
        size += len(part)
        if size > _BLOCK_BYTES:
            yield taken, packed(b"[" + b",".join(parts) + b"]")
            taken, parts, size = [], [], 0
    if taken:
        yield taken, packed(b"[" + b",".join(parts) + b"]")


def packed(data: bytes) -> str:
    """gzip, always the same for the same data, in base64."""
    return base64.b64encode(gzip.compress(data, compresslevel=6, mtime=0)).decode("ascii")


def _choice(outcome: Outcome, pool: int, run: int, value: float | None) -> dict[str, Any]:
    selection = outcome.selection
    choice: dict[str, Any] = {
        "r": run,
        "p": pool,
        "s": _rounded(value),
        "notes": list(outcome.notes) or None,
        "error": outcome.error,
        "stopped": _unless("done", outcome.stopped),
    }
    if selection is not None:
        winner = selection.winner
        choice |= {
            "w": winner.id,
            "scores": _numbers(selection.scores),
            "weights": _numbers(selection.weights),
            "why": selection.rationale,
            "d": selection.details or None,
        }
        if is_new(winner, outcome.candidates):
            choice |= {"text": winner.text, "parents": list(winner.parents) or None}
    return _without_none(choice)


def _candidate(c: Candidate, score: float | None, language: str | None) -> dict[str, Any]:
    temperature = None
    if c.params is not None:
        temperature = c.params.temperature
    return _without_none(
        {
            "i": c.id,
            "t": c.text,
            "s": _rounded(score),
            "T": temperature,
            "f": _unless("stop", c.finish),
            "p": list(c.parents) or None,
            "e": c.error,
            "l": _unless(language, c.language),
            "n": c.usage.completion or None,
            "m": dict(c.meta) or None,
            "g": c.engine,
        }
    )


def _numbers(values: Mapping[int, float]) -> dict[str, float] | None:
    return {str(i): float(f"{v:.{_DIGITS}g}") for i, v in values.items()} or None


def _unless(usual: str | None, value: str | None) -> str | None:
    """`value`, or None, which is left out, where it is the usual one."""
    if value == usual:
        return None
    return value


def _rounded(value: float | None) -> float | None:
    if value is None:
        return None
    return float(f"{value:.{_DIGITS}g}")


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if v is not None}
