"""What is run: methods, verifiers, budgets, and how many prompts each gets."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from nbest.demo import prompts
from nbest.pools import Item

DRAW = "temperature=0.8, max_tokens=160"
"""Of every method, so that they draw from one distribution."""
BUDGETS = (1, 4, 16, 64, 256)
AUCS = (0.7, 0.8, 0.9, 1.0)
SEARCHES = {
    "beam, width 4": lambda n: f"beam(n={n}, width=4)",
    "beam of different steps": lambda n: f"beam(n={n}, width=4, are_copies_kept=false)" if n > 4 else None,
    "beam, width √N": lambda n: f"beam(n={n}, width=none)" if n != 16 else None,  # is width 4
    "rebase": lambda n: f"rebase(n={n})",
    "dvts": lambda n: f"dvts(n={n}, width=4)" if n > 4 else None,  # is beam
    "particles": lambda n: f"particles(n={n})",
    "lookahead 1": lambda n: f"beam(n={n}, width=4, lookahead=1)",
    "dora": lambda n: f"dora(n={n})",
    "abmcts": lambda n: f"abmcts(n={n})",
}
"""Search by n; None where it is the same as one above."""
REAL = ("logprob",)
"""Verifiers that do not know the answer; `verifiers.py` says how good they are."""


class Cell(NamedTuple):
    """One record folder."""

    method: str
    verifier: str
    n: int
    strategy: str
    per_language: int
    seed: int = 0
    concurrency: int = 64

    @property
    def folder(self) -> str:
        name = f"{self.method} {self.verifier} {self.n}"
        return "-".join("".join(ch if ch.isalnum() or ch in ".√" else " " for ch in name).split())


def verifier(name: str) -> str:
    """Its spec: an AUC, or a scorer. The steps of the noisy oracle are checked exactly, for nothing."""
    return f"noisy_oracle(auc={name}, prefix=word_steps)" if name[0].isdigit() else SCORERS[name]


SCORERS = {"logprob": "logprob", "rollouts": "rollouts(k=4, value=share, temperature=0.8, max_tokens=160)"}


def search_cell(method: str, by: str, n: int, per_language: int) -> Cell | None:
    if (search := SEARCHES[method](n)) is None:
        return None
    strategy = f"tree(search={search}, verifier={verifier(by)}, {DRAW})"
    # abmcts has few draws under way at once: with few prompts at a time, its prefixes stay in the cache.
    return Cell(
        method, by, n, strategy, per_language, concurrency=4 if method == "abmcts" else 16 if n > 16 else 64
    )


def sampled(n: int) -> str:
    """The selector makes the record hold log-probabilities."""
    return f"parallel(sampler=iid(n={n}, {DRAW}), selector=best(logprob))"


POOLS = [Cell("samples", "none", n, sampled(n), k) for n, k in ((64, 20), (256, 5))]
"""What best-of-N, voting and the ceiling choose from."""
DIFFICULTY = Cell(
    "difficulty", "none", 64, f"parallel(sampler=iid(n=64, {DRAW}), selector=first)", 40, seed=1
)
"""Separate samples that pass@1 is estimated from."""
GREEDY = Cell("greedy", "none", 1, "parallel(sampler=greedy(max_tokens=160), selector=first)", 40)
REVISIONS = [
    Cell(
        f"revise {s}×{p}",
        "none",
        s * p,
        f"revise(sequential={s}, parallel={p}, {DRAW})",
        5,
    )
    for s, p in ((4, 1), (4, 4), (16, 1))
]
"""Draws do not depend on the verifier, which chooses from them offline."""


BEAM, DIFFERENT, SQUARE, REBASE, DVTS, PARTICLES, LOOKAHEAD, DORA, ABMCTS = SEARCHES
NOISY = tuple(map(str, AUCS))
SAME = {(DIFFERENT, 4): BEAM, (DVTS, 4): BEAM, (SQUARE, 16): BEAM}
"""Methods that are another one at this n."""
STEPS: Sequence[tuple[Sequence[str], int, int, Sequence[str]] | Cell] = [
    GREEDY,
    DIFFICULTY,
    POOLS[0],
    # (methods, n, prompts per language, verifiers): at 64 and more a search takes a second a prompt or longer.
    ((BEAM,), 4, 20, (*NOISY, *REAL)),
    ((BEAM, DIFFERENT), 16, 20, NOISY),
    ((BEAM, DIFFERENT, REBASE), 16, 10, REAL),
    ((REBASE, DVTS, PARTICLES), 16, 20, NOISY),
    ((REBASE, SQUARE, PARTICLES), 4, 10, NOISY),
    ((REBASE,), 4, 10, REAL),
    POOLS[1],
    *REVISIONS,
    ((REBASE,), 16, 20, REAL),
    ((DVTS, PARTICLES), 16, 10, REAL),
    ((LOOKAHEAD, DORA, ABMCTS), 16, 10, NOISY),
    ((LOOKAHEAD, DORA, ABMCTS), 4, 10, NOISY),
    ((BEAM, REBASE), 64, 10, NOISY),
    ((REBASE, BEAM, DVTS, PARTICLES), 64, 5, REAL),
    ((DVTS, PARTICLES), 64, 10, NOISY),
    ((DIFFERENT,), 64, 3, NOISY),
    ((SQUARE, LOOKAHEAD, DORA, ABMCTS), 64, 5, NOISY),
    ((BEAM, REBASE, DVTS, PARTICLES), 256, 5, NOISY),
    ((SQUARE, LOOKAHEAD, DORA, ABMCTS), 256, 3, NOISY),
    *(((SQUARE, LOOKAHEAD, DORA, ABMCTS), n, 3, REAL) for n in (4, 16, 64)),
    ((BEAM, REBASE, DVTS, PARTICLES, SQUARE, LOOKAHEAD, DORA, ABMCTS), 256, 3, REAL),
]


def cells() -> list[Cell]:
    """In the order of the run: what is cheap and needed for every table comes first."""
    wanted: list[Cell | None] = []
    for step in STEPS:
        if isinstance(step, Cell):
            wanted.append(step)
        else:
            methods, n, per_language, verifiers = step
            wanted += [search_cell(m, by, n, per_language) for m in methods for by in verifiers]
    return [c for c in wanted if c is not None]


def parts(cells: Sequence[Cell], part: int, num_parts: int) -> list[Cell]:
    """What one of several processes does: a folder always belongs to the same one."""
    folders = list(dict.fromkeys(c.folder for c in cells))
    return [c for c in cells if folders.index(c.folder) % num_parts == part]


def items(per_language: int) -> list[Item]:
    """As many held-out problems of each language; fewer are part of more.

    Those of different languages are different problems where there is a choice, so that a small number
    of prompts is not a handful of problems.
    """
    by_language: dict[str | None, list[Item]] = {}
    for item in prompts(40):
        by_language.setdefault(item.prompt.language, []).append(item)
    orders = [Random(f"{language}").sample(own, len(own)) for language, own in by_language.items()]
    return [order[rank] for rank in range(per_language) for order in orders]
