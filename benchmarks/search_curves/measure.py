"""Accuracy and cost from the records, paired on the same prompts.

P prompts; arrays hold nan where a prompt took no part. Samples are drawn once:
best-of-n, votes and the ceiling are means over the pool's disjoint blocks of n.
"""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from plan import AUCS, BUDGETS, DIFFICULTY, GREEDY, POOLS, REAL, Cell, items, verifier

from nbest import registry
from nbest.accounting.meter import total
from nbest.context import Context
from nbest.evaluate.confidence import Estimate
from nbest.evaluate.estimators import difficulty_bins, is_right
from nbest.evaluate.intervals import mean_interval, resampled_clusters
from nbest.lab.word_steps import WordSteps
from nbest.records import read_outcomes
from nbest.text import classes, extract
from nbest.types import Outcome, Usage

BLOCKS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LEVELS = (20, 15, 10, 8, 6, 5, 4, 3, 2)
"""Prompts per language."""
VERIFIERS = (*(str(auc) for auc in AUCS), *REAL)


class Result(NamedTuple):
    """Of one way to answer, by prompt."""

    right: Any
    tokens: Any
    """Read but not from the cache, and drawn."""
    drawn: Any
    """All that it would cost if every prefix were in the cache."""

    @property
    def num_prompts(self) -> int:
        return int((~np.isnan(self.right)).sum())


class Samples(msgspec.Struct):
    """A recorded pool of one prompt, as numbers: N draws, V verifiers."""

    place: int
    right: list[bool]
    sound: list[bool]
    """Whether every step is right, which a lucky answer is not."""
    answer: list[int]
    """Class of the answer; -1 for none."""
    read: list[int]
    drawn: list[int]
    scores: dict[str, list[float]]


def computed(usage: Usage) -> int:
    """Tokens that a model had to compute: read but not from the cache, or drawn."""
    return usage.prompt - usage.cached + usage.completion


class Study:
    def __init__(self, out: Path) -> None:
        self.out = out
        rows = items(POOLS[0].per_language)
        self.place = {row.prompt.id: i for i, row in enumerate(rows)}
        self.clusters = np.array([str(row.gold["cluster"]) for row in rows])
        self.languages = np.array([row.prompt.language for row in rows])
        self.size = len(rows)
        self._pools = [self._samples(cell) for cell in POOLS]
        self.has_summit = bool(self._pools[1])
        """Whether there are pools of 256."""
        pass1 = self.empty()
        for s in self._samples(DIFFICULTY, scored=False):
            pass1[s.place] = np.mean(s.right)
        self.pass1 = pass1
        self.bins = difficulty_bins(pass1)
        """0 the easiest; from separate samples."""
        self._right: dict[tuple[str, str, int], Any] = {}

    def empty(self):
        return np.full(self.size, np.nan)

    # What was drawn

    def _samples(self, cell: Cell, *, scored: bool = True) -> list[Samples]:
        kept = self.out / f"{cell.folder}.json"
        wanted = min(self.size, len(items(cell.per_language)))
        if (
            kept.exists()
            and len(found := msgspec.json.decode(kept.read_bytes(), type=list[Samples])) >= wanted
        ):
            return found
        if not (self.out / cell.folder).exists():
            return []
        found = [
            self.samples_of(o, scored=scored)
            for o in read_outcomes(self.out / cell.folder)
            if o.prompt.id in self.place
        ]
        if len(found) >= wanted:
            kept.write_bytes(msgspec.json.encode(found))
        return found

    def samples_of(self, outcome: Outcome, *, scored: bool = True) -> Samples:
        pool = outcome.candidates
        keys = classes([extract(c.text, language=outcome.prompt.language) for c in pool])
        numbers = {key: i for i, key in enumerate(k for k in dict.fromkeys(keys) if k is not None)}
        ctx = Context({}, seed=outcome.seed, prompt_id=outcome.prompt.id, gold=outcome.gold)
        sound = asyncio.run(WordSteps()(outcome.prompt, pool, ctx))
        scores: dict[str, list[float]] = {}
        for by in VERIFIERS if scored else ():
            if by in REAL and not any(c.logprobs for c in pool):
                continue
            scorer = registry.parse("scorers", verifier(by))
            found = [s.value for s in asyncio.run(scorer(outcome.prompt, pool, ctx))]
            least = min(v for v in found if v is not None)
            scores[by] = [least if v is None else v for v in found]
        return Samples(
            place=self.place[outcome.prompt.id],
            right=[is_right(c, outcome) for c in pool],
            sound=[s.value == 1 for s in sound],
            answer=[-1 if k is None else numbers[k] for k in keys],
            read=[c.usage.prompt - c.usage.cached for c in pool],
            drawn=[c.usage.completion for c in pool],
            scores=scores,
        )

    def chosen(self, cell: Cell):
        """The `Result` of a recorded cell, nan where a prompt took no part; None without records.

        Counts as many prompts of each language as are recorded for all languages.
        """
        if not (self.out / cell.folder / "outcomes-00000.jsonl").exists():
            return None
        right, tokens, drawn = self.empty(), self.empty(), self.empty()
        for o in read_outcomes(self.out / cell.folder):
            if (at := self.place.get(o.prompt.id)) is None:
                continue
            right[at] = o.selection is not None and is_right(o.selection.winner, o)
            tokens[at] = sum(computed(u) for u in o.usage.values())
            drawn[at] = total(o.usage).completion
        for k in (level for level in LEVELS if level <= POOLS[0].per_language):
            part = [self.place[i.prompt.id] for i in items(k)]
            if not np.isnan(right[part]).any():
                out = np.setdiff1d(np.arange(self.size), part)
                right[out] = tokens[out] = drawn[out] = np.nan
                return Result(right, tokens, drawn)
        return None

    def greedy(self):
        return self.chosen(GREEDY)

    # What can be chosen from samples

    def sampled(self, how: str, by: str, n: int):
        """Best-of-n (`weighted`, `best`, `majority`), or whether n hold `any` right or `sound` one: expected correctness, and tokens."""
        if (how, by, n) not in self._right:
            self._right[how, by, n] = self._sampled(how, by, n)
        return self._right[how, by, n]

    def _sampled(self, how: str, by: str, n: int):
        right, tokens, drawn = self.empty(), self.empty(), self.empty()
        for s in self._pools[0 if n <= 64 else 1]:
            right[s.place] = expected(s, how, by, n)
            drawn[s.place] = n * np.mean(s.drawn)
            tokens[s.place] = sum(s.read[:n]) + drawn[s.place]
        return Result(right, tokens, drawn)

    def on_all(self, own: Result, pair: Result, base: Result) -> Result:
        """On all prompts: correctness of `base`, which is of all, plus the mean difference of `own` from `pair`
        on those that `own` has, without the luck of which were taken; a prompt that took no part costs
        what the others do."""
        has = ~np.isnan(own.right)
        right = base.right + np.where(has, own.right - pair.right, 0) * (self.size / has.sum())
        right /= max(1, right.mean())  # few prompts with a gain may say more than all
        return Result(right, *(np.where(has, cost, np.nanmean(cost)) for cost in own[1:]))

    def best_of(self, n: int, by: str, how: str = "weighted") -> Result:
        """On all prompts; beyond the pool of all prompts, estimated as in `on_all`."""
        found = self.sampled(how, by, n)
        base = self.sampled(how, by, min(n, 64))
        return found if n <= 64 else self.on_all(found, base, base)

    # Intervals

    def mean(self, values, where=None) -> Estimate:
        """Over the prompts that have a value, with an interval over problems, in percent."""
        has = ~np.isnan(values) if where is None else ~np.isnan(values) & where
        return Estimate(*(100 * v for v in mean_interval(values[has], clusters=list(self.clusters[has]))))

    def contrast(self, values, one, other) -> Estimate:
        """Mean of `values` where `one` less that where `other`, in percent."""
        has = ~np.isnan(values)
        share_one, share_other = ((has & w).sum() / has.sum() for w in (one, other))
        return self.mean(values * (one / share_one - other / share_other))

    def cost_ratio(self, result: Result, by: str, unit: str = "tokens") -> Estimate:
        """Tokens that best-of-n weighted needs for the accuracy of a method, divided by the method's own.

        `result` is of all prompts, `unit` is "tokens" or "drawn". Between sizes it is interpolated on the
        logarithm of the tokens; infinite where the largest pools do not get there.
        """
        curve = [self.best_of(n, by) for n in BLOCKS if n <= 64 or self.has_summit]
        _, codes = np.unique(self.clusters, return_inverse=True)
        columns = np.stack([result.right, *(r.right for r in curve)], axis=1)
        sums = np.zeros((codes.max() + 1, columns.shape[1] + 1))
        np.add.at(sums, codes, np.column_stack([columns, np.ones(self.size)]))
        spent = np.log([getattr(r, unit).mean() for r in curve])
        own = np.log(getattr(result, unit).mean())

        def ratio(sums):
            means = sums[:-1] / sums[-1]
            return np.exp(_reached(means[0], means[1:], spent) - own)

        weights = np.concatenate(list(resampled_clusters(sums.shape[0], resamples=2000, seed=0)))
        drawn = np.sort([ratio(w @ sums) for w in weights])
        return Estimate(ratio(sums.sum(axis=0)), drawn[49], drawn[1949])


def _reached(value: float, curve, spent) -> float:
    """The least log-tokens where the curve is at `value`."""
    if value <= curve[0]:
        return spent[0]
    for i in range(1, len(curve)):
        if curve[i] >= value:
            low = max(curve[:i])
            part = (value - low) / (curve[i] - low)
            return spent[i - 1] + part * (spent[i] - spent[i - 1])
    return np.inf


def expected(s: Samples, how: str, by: str, n: int) -> float:
    """Mean over the blocks of n draws; a class is right where its members are."""
    right = np.array(s.right).reshape(-1, n)
    if how == "any":
        return float(right.any(axis=1).mean())
    if how == "sound":
        return float(np.array(s.sound).reshape(-1, n).any(axis=1).mean())
    if how == "best":
        best = np.array(s.scores[by]).reshape(-1, n).argmax(axis=1)
        return float(right[np.arange(len(right)), best].mean())
    answers = np.array(s.answer).reshape(-1, n)
    scores = np.ones(right.shape) if how == "majority" else np.array(s.scores[by]).reshape(-1, n)
    return float(np.mean([_voted(a, v, r) for a, v, r in zip(answers, scores, right, strict=True)]))


def _voted(answers, scores, right) -> float:
    """As `vote` chooses: scores below zero are logarithms, those that are all 0 count 1 each, and of equal classes
    the oldest wins."""
    has = answers >= 0
    if not has.any():
        return float(right[int(scores.argmax())])
    weights = np.exp(scores - scores.max()) if scores.min() < 0 or scores.max() == 0 else scores
    totals = np.bincount(answers[has], weights[has])
    kinds, first = np.unique(answers[has], return_index=True)
    tied = kinds[totals[kinds] == totals[kinds].max()]
    oldest = min(tied, key=lambda k: first[list(kinds).index(k)])
    return float(right[has][answers[has] == oldest][0])


__all__ = ["BLOCKS", "BUDGETS", "VERIFIERS", "Study", "computed", "expected"]
