"""What is run: methods, verifiers, budgets, and how many prompts each gets."""

from collections.abc import Sequence
from typing import NamedTuple

from nbest.datasets import Item, item_of
from nbest.lab.demo_prompts import row
from nbest.lab.language_data import LANGUAGES
from nbest.lab.problems import problems

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


ALL, MOST, SOME = 20, 4, 2
"""Prompts per language up to n = 16, at 64 and at 256, where a search takes a second a prompt and longer."""
POOLS = [Cell("samples", "none", n, sampled(n), k) for n, k in ((64, ALL), (256, SOME))]
"""What best-of-N, voting and the ceiling choose from."""
DIFFICULTY = Cell(
    "difficulty", "none", 64, f"parallel(sampler=iid(n=64, {DRAW}), selector=first)", ALL, seed=1
)
"""Separate samples that pass@1 is estimated from."""
GREEDY = Cell("greedy", "none", 1, "parallel(sampler=greedy(max_tokens=160), selector=first)", ALL)
REVISIONS = [
    Cell(f"revise {s}×{p}", "none", s * p, f"revise(sequential={s}, parallel={p}, {DRAW})", MOST)
    for s, p in ((4, 1), (4, 4), (16, 1))
]
"""Draws do not depend on the verifier, which chooses from them offline."""


BEAM, DIFFERENT, SQUARE, REBASE, DVTS, PARTICLES, LOOKAHEAD, DORA, ABMCTS = SEARCHES
MAIN = (BEAM, REBASE, DVTS, PARTICLES)
WIDE = (*MAIN, LOOKAHEAD, DORA, ABMCTS, SQUARE)
NOISY = tuple(map(str, AUCS))
SAME = {(DIFFERENT, 4): BEAM, (DVTS, 4): BEAM, (SQUARE, 16): BEAM}
"""Methods that are another one at this n."""
STEPS: Sequence[tuple[Sequence[str], int, int, Sequence[str]] | Cell] = [
    GREEDY,
    DIFFICULTY,
    POOLS[0],
    # (methods, n, prompts per language, verifiers)
    (WIDE, 16, ALL, NOISY),
    POOLS[1],
    *REVISIONS,
    ((DIFFERENT,), 16, ALL, NOISY),
    (WIDE, 4, ALL, NOISY),
    (MAIN, 16, ALL, REAL),
    (MAIN, 64, MOST, NOISY),
    (WIDE, 64, SOME, NOISY),
    (MAIN, 256, SOME, NOISY),
    (WIDE, 256, SOME, NOISY),
    *((WIDE, n, k, REAL) for n, k in ((4, ALL), (16, ALL), (64, SOME), (256, SOME))),
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
    return list(dict.fromkeys(c for c in wanted if c is not None))


def parts(cells: Sequence[Cell], part: int, num_parts: int) -> list[Cell]:
    """What one of several processes does: a folder always belongs to the same one."""
    folders = list(dict.fromkeys(c.folder for c in cells))
    return [c for c in cells if folders.index(c.folder) % num_parts == part]


def items(per_language: int) -> list[Item]:
    """Held-out problems, each told in one language, the languages in turn; fewer are part of more.

    As many different problems as prompts: translations of one problem are hard and easy together, and
    would count as little more than one.
    """
    languages = tuple(LANGUAGES)
    told = problems("test", per_language * len(languages))  # all languages of the first, of the second, …
    mine = [told[i * len(languages) + i % len(languages)] for i in range(per_language * len(languages))]
    return [item_of(row(p), p.id, default_id=p.id) for p in mine]
