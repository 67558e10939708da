"""The numbers of the page, in tables."""

from typing import NamedTuple

import numpy as np
from measure import BUDGETS, VERIFIERS, Result, Study
from plan import (
    ABMCTS,
    AUCS,
    BEAM,
    DIFFERENT,
    DORA,
    DVTS,
    LOOKAHEAD,
    PARTICLES,
    REBASE,
    SAME,
    SEARCHES,
    SQUARE,
    search_cell,
)

from nbest.evaluate.confidence import Estimate
from nbest.report.table import Scale, Table, count

SCALE = Scale(decimals=1)
DUELS = (
    *((BEAM, DIFFERENT), (SQUARE, BEAM), (LOOKAHEAD, BEAM)),
    *((REBASE, BEAM), (DVTS, BEAM), (ABMCTS, BEAM)),
    *((PARTICLES, REBASE), (DORA, REBASE)),
)
FEWEST = 100
"""Prompts that are divided into quintiles: fewer would be a handful in each."""
QUINTILES = ("1 (easiest)", "2", "3", "4", "5 (hardest)")


class Found(NamedTuple):
    """A search at a budget, on the prompts that it was run on (nan elsewhere), and best-of-n there."""

    method: str
    n: int
    own: Result
    base: Result

    @property
    def gain(self):
        return self.own.right - self.base.right


class Results:
    """All searches that are recorded, by verifier."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.has_summit = study.has_summit
        self.by_verifier = {
            by: [f for m in SEARCHES for n in budgets(study) if (f := self._found(m, by, n))]
            for by in VERIFIERS
        }

    def _found(self, method: str, by: str, n: int) -> Found | None:
        cell = search_cell(SAME.get((method, n), method), by, n, 40) if n > 1 else None
        chosen = self.study.chosen(cell) if cell else None
        return Found(method, n, chosen, self.study.sampled("weighted", by, n)) if chosen else None

    def of(self, by: str, method: str, n: int) -> Found | None:
        return next((f for f in self.by_verifier[by] if (f.method, f.n) == (method, n)), None)

    def on_all(self, f: Found, by: str) -> Result:
        """As it would be on all prompts."""
        return self.study.on_all(f.own, f.base, self.study.best_of(f.n, by))


def budgets(study: Study) -> list[int]:
    """Those that samples were drawn for."""
    return [n for n in BUDGETS if n <= 64 or study.has_summit]


def signed(e: Estimate | None) -> str:
    return SCALE.interval(e, signed=True)


def ratio(e: Estimate) -> str:
    def one(value: float) -> str:
        return "∞" if np.isinf(value) else f"{value:.2g}"

    return f"{one(e.value)} [{one(e.low)}, {one(e.high)}]"


def tokens(result: Result) -> str:
    """Read + drawn."""
    drawn, read = np.nanmean(result.drawn), np.nanmean(result.tokens - result.drawn)
    return f"{count(round(read))} + {count(round(drawn))}"


def share(found: Estimate) -> Estimate:
    """Nothing is right more often than always, whatever was estimated from few prompts."""
    return Estimate(found.value, max(0.0, found.low), min(100.0, found.high))


def baselines(results: Results) -> Table:
    """What needs no verifier."""
    study = results.study
    greedy = study.greedy()
    rows = [("greedy", "1", SCALE.interval(study.mean(greedy.right)), tokens(greedy))] if greedy else []
    for how, name in (
        ("majority", "majority vote"),
        ("any", "a right one among n: the ceiling"),
        ("sound", "one with right steps among n"),
    ):
        for n in budgets(study):
            found = study.best_of(n, VERIFIERS[0], how)
            if n > 1 or how != "any":
                label = "one sample" if n == 1 and how == "majority" else name
                rows.append((label, str(n), SCALE.interval(share(study.mean(found.right))), tokens(found)))
    columns = ("method", "n", "right, %", "tokens, input + output")
    return Table(title="Without a verifier", columns=columns, rows=tuple(rows))


def methods(results: Results, by: str) -> Table:
    """Every method at every budget under one verifier."""
    study = results.study
    rows = []

    def row(name: str, n: int, result: Result, gain, num_prompts: int):
        is_base = gain is None
        rows.append(
            (
                name,
                str(n),
                SCALE.number(100 * result.right.mean()),
                "" if is_base else signed(study.mean(gain)),
                tokens(result),
                "" if is_base else ratio(study.cost_ratio(result, by)),
                "" if is_base else ratio(study.cost_ratio(result, by, "drawn")),
                str(num_prompts),
            )
        )

    for how, name in (("weighted", "best-of-n weighted"), ("best", "best-of-n")):
        for n in budgets(study)[1:]:
            taken, base = study.sampled(how, by, n), study.sampled("weighted", by, n)
            gain = None if how == "weighted" else taken.right - base.right
            row(name, n, study.best_of(n, by, how), gain, taken.num_prompts)
    for f in results.by_verifier[by]:
        if (f.method, f.n) not in SAME:
            row(f.method, f.n, results.on_all(f, by), f.gain, f.own.num_prompts)
    columns = (
        "method",
        "n",
        "right, %",
        "− best-of-n weighted",
        "tokens, input + output",
        "times cheaper",
        "times cheaper, output alone",
        "prompts",
    )
    return Table(title=f"Verifier: {title(by)}", columns=columns, rows=tuple(rows))


def duels(results: Results) -> Table:
    """Searches against each other, paired."""
    rows = []
    for one, other in DUELS:
        for n in BUDGETS:
            if SAME.get((one, n), one) == SAME.get((other, n), other):
                continue
            cells = []
            for by in VERIFIERS:
                a, b = results.of(by, one, n), results.of(by, other, n)
                cells.append(signed(results.study.mean(a.own.right - b.own.right)) if a and b else "–")
            if any(c != "–" for c in cells):
                rows.append((f"{one} − {other}", str(n), *cells))
    return Table(
        title="Searches against each other, in points, paired",
        columns=("", "n", *map(title, VERIFIERS)),
        rows=tuple(rows),
    )


def over_greedy(results: Results) -> Table:
    """What a verifier and n answers are worth in all: on all prompts, estimated as in `Study.on_all`."""
    study = results.study
    greedy = study.greedy().right
    rows = []
    for n in BUDGETS[1:4]:
        base = [signed(study.mean(study.best_of(n, by).right - greedy)) for by in VERIFIERS]
        rows.append(("best-of-n weighted", str(n), *base))
        for m in (BEAM, DVTS, REBASE, PARTICLES):
            found = [results.of(by, m, n) for by in VERIFIERS]
            if any(found) and (m, n) not in SAME:
                cells = [
                    signed(study.mean(results.on_all(f, by).right - greedy)) if f else "–"
                    for f, by in zip(found, VERIFIERS, strict=True)
                ]
                rows.append((m, str(n), *cells))
    return Table(
        title="Less greedy decoding, in points, paired",
        columns=("", "n", *map(title, VERIFIERS)),
        rows=tuple(rows),
    )


def title(by: str) -> str:
    return f"noisy_oracle, AUC {by}" if by[0].isdigit() else by


def quintiles(results: Results, method: str) -> Table:
    """Where the gain is: by difficulty, from samples that take no part in it."""
    study = results.study
    rows = []
    for by in VERIFIERS:
        for n in BUDGETS[1:]:
            if (f := results.of(by, method, n)) is None or f.own.num_prompts < FEWEST:
                continue
            cells = [signed(study.mean(f.gain, study.bins == b)) for b in range(5)]
            hard = study.contrast(f.gain, study.bins >= 3, study.bins <= 1)
            rows.append((title(by), str(n), *cells, signed(hard), str(f.own.num_prompts)))
    columns = ("verifier", "n", *QUINTILES, "4–5 less 1–2", "prompts")
    return Table(
        title=f"{method} − best-of-n weighted, in points, by difficulty", columns=columns, rows=tuple(rows)
    )


def levels(results: Results) -> Table:
    """What best-of-n leaves to be gained in each quintile."""
    study = results.study

    def row(name: str, n: int, values):
        return (name, str(n), *(SCALE.number(100 * values[study.bins == b].mean()) for b in range(5)))

    rows = [
        ("prompts", "", *(str((study.bins == b).sum()) for b in range(5))),
        row("one sample", 1, study.sampled("any", "", 1).right),
        *(row(f"best-of-n weighted, AUC {a}", 16, study.sampled("weighted", str(a), 16).right) for a in AUCS),
        row("a right one among n", 64, study.sampled("any", "", 64).right),
    ]
    return Table(title="Right, in %, by difficulty", columns=("", "n", *QUINTILES), rows=tuple(rows))


def languages(results: Results, method: str, n: int = 16) -> Table:
    study = results.study
    found = {by: f for by in VERIFIERS if (f := results.of(by, method, n))}
    rows = []
    for language in dict.fromkeys(study.languages.tolist()):
        where = study.languages == language
        cells = [
            text
            for by, f in found.items()
            for text in (
                SCALE.number(study.mean(study.sampled("weighted", by, n).right, where).value),
                signed(study.mean(f.gain, where)),
            )
        ]
        rows.append(
            (language, SCALE.number(study.mean(study.sampled("any", "", 1).right, where).value), *cells)
        )
    columns = (
        "language",
        "one sample",
        *(c for by in found for c in (f"best-of-n, {by}", f"search − best-of-n, {by}")),
    )
    return Table(
        title=f"By language, n = {n}: best-of-n weighted, and {method} less it",
        columns=columns,
        rows=tuple(rows),
    )
