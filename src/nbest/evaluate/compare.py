"""Selectors against each other at every pool size, from one recorded pool: no new token.

Each prompt's candidates are put into random orders; the pool of size n is the first n of an order. So
larger pools contain smaller ones, every selector sees the same pools, and differences are paired.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from math import fsum
from random import Random
from typing import Any, cast

import numpy as np

from nbest import registry
from nbest.context import Context
from nbest.datasets import Pool
from nbest.errors import CapabilityError, InputError
from nbest.evaluate.estimators import Estimate, draws_of, mean_interval
from nbest.evaluate.intervals import Floats
from nbest.evaluate.scores import ACCURACY, cluster_of, scores_of
from nbest.protocols import Scorer, Selector, Utility
from nbest.run import select
from nbest.selection.mbr import Mbr, NeedsPrompt
from nbest.types import Candidate, Outcome, Usage, Value

_MOST_RECALLED = 4096
"""Texts of a pool whose utilities are all kept at once: 128 MB of them."""


MEAN = "mean"
"""A baseline that is no selector: the mean of the prompt's candidates, what one of them at random is worth."""


class Tokens(Value, frozen=True, kw_only=True):
    """Mean tokens and calls per prompt."""

    prompt: float = 0.0
    cached: float = 0.0
    completion: float = 0.0
    calls: float = 0.0

    @property
    def total(self) -> float:
        """Read and drawn, without what the engine had in its cache."""
        return self.prompt - self.cached + self.completion


class Cell(Value, frozen=True, kw_only=True):
    """One selector at one pool size, over the prompts of one language or of all."""

    select: str
    n: int
    language: str | None
    """None: all languages."""
    num_prompts: int
    num_orders: int
    """Pools per prompt that `value` averages over; 1 for whole pools."""
    value: Estimate
    """Mean score of the choice, over prompts."""
    gain: Estimate | None
    """Paired difference from the baseline at the same n; None for the baseline."""
    usage: Mapping[str, Tokens]
    """Mean spending per prompt by role: the candidates of the pool, and what the choice itself cost."""
    num_failed: int = 0
    """Choices that came to nothing; each counts as the worst candidate of its pool."""


class Comparison(Value, frozen=True, kw_only=True):
    """A table of cells, and how it was made."""

    score: str
    baseline: str
    seed: int
    num_prompts: int
    num_too_small: int
    """Prompts left out: fewer candidates than the largest n."""
    num_unscored: int
    """Prompts left out: no gold answer or reference, or a candidate without a score."""
    cells: tuple[Cell, ...]


async def compare(
    pools: Sequence[Pool],
    selectors: Sequence[str],
    *,
    scorer: Scorer,
    sizes: Sequence[int] | None = None,
    baseline: str | None = None,
    cluster: str | None = None,
    resamples: int = 8,
    seed: int = 0,
    on_prompt: Callable[[], object] = lambda: None,
) -> Comparison:
    """Every selector at every pool size (by default 1, 2, 4, … and all of the smallest pool).

    A size below N is estimated from `resamples` random pools per prompt, drawn without replacement; N
    itself is one pool, chosen from as `nbest select --seed` does. A greedy candidate (temperature 0) is in
    every pool, as in every smaller pool of its sampler; candidates made from others (fused, revised) in
    none. The baseline is the first selector unless named; "mean" is the mean of all candidates. Intervals
    are over prompts; those with the same value in the column `cluster` of their rows are drawn together.

    Raises `InputError` where no prompt is left, `SpecError` for a wrong spec, and `CapabilityError` where
    the record lacks what a selector reads.
    """
    if resamples < 1:
        raise InputError("--resamples is at least 1")
    built = {spec: registry.parse("selectors", spec) for spec in dict.fromkeys(selectors)}
    against = baseline or next(iter(built))
    if against not in built and against != MEAN:
        built = {against: registry.parse("selectors", against), **built}
    drawn = [p._replace(candidates=tuple(draws_of(p.candidates))) for p in pools]
    ns = _sizes(drawn, sizes)
    large_enough = [p for p in drawn if len(p.candidates) >= max(ns)]
    rows: list[_Row] = []
    for pool in large_enough:
        if row := await _row(pool, built, scorer, ns, resamples, seed):
            row.cluster = cluster_of(pool, cluster)
            rows.append(row)
        on_prompt()
    if not rows:
        raise InputError(
            f"no prompt to compare on: of {len(pools)}, {len(pools) - len(large_enough)} have fewer than"
            f" {max(ns, default=1)} candidates drawn as whole answers, and {len(large_enough)} have no score for"
            " each of them"
        )
    languages = sorted({row.language or "" for row in rows})
    groups: list[str | None] = [None, *(lang for lang in languages if lang and len(languages) > 1)]
    score = registry.spec_of(scorer)
    return Comparison(
        score=score,
        baseline=against,
        seed=seed,
        num_prompts=len(rows),
        num_too_small=len(pools) - len(large_enough),
        num_unscored=len(large_enough) - len(rows),
        cells=tuple(
            _cell(
                [r for r in rows if lang is None or r.language == lang],
                spec,
                n,
                lang,
                against,
                is_share=score == ACCURACY,
            )
            for lang in groups
            for spec in built
            for n in ns
        ),
    )


def subsets(
    candidates: Sequence[Candidate], n: int, resamples: int, seed: int, prompt_id: str
) -> list[tuple[Candidate, ...]]:
    """Pools of `n` of the candidates, by id, the greedy one always among them; all of them: one pool.

    Pool r of n is contained in pool r of n + 1.
    """
    if n >= len(candidates):
        return [tuple(candidates)]
    pools: list[tuple[Candidate, ...]] = []
    for r in range(resamples):
        order = list(candidates)
        Random(f"{seed}/{prompt_id}/order/{r}").shuffle(order)  # noqa: S311
        order.sort(key=lambda c: not _is_greedy(c))
        pools.append(tuple(sorted(order[:n], key=lambda c: c.id)))
    return pools


def usage_of(candidates: Iterable[Candidate], drawn: Sequence[Candidate]) -> Usage:
    """What the calls that drew `candidates` would have cost for them alone.

    A call for n charges its prompt to the first of its draws; here, to whichever of them are wanted.
    """
    head_by_id: dict[int, Candidate] = {}
    head: Candidate | None = None
    for c in drawn:
        head = c if head is None or c.usage.calls or c.usage.prompt else head
        head_by_id[c.id] = head
    wanted = list(candidates)
    calls = {h.id: h.usage for h in (head_by_id[c.id] for c in wanted)}
    asked = sum(calls.values(), Usage())
    completion = sum(c.usage.completion for c in wanted)
    return Usage(prompt=asked.prompt, cached=asked.cached, completion=completion, calls=asked.calls)


def _is_greedy(candidate: Candidate) -> bool:
    return candidate.params is not None and candidate.params.temperature == 0


def _sizes(pools: Sequence[Pool], given: Sequence[int] | None) -> list[int]:
    if given is not None:
        if not given or min(given) < 1:
            raise InputError("--n takes numbers of candidates from 1")
        return sorted(set(given))
    smallest = min((len(p.candidates) for p in pools if p.candidates), default=1)
    return sorted({2**k for k in range(smallest.bit_length()) if 2**k <= smallest} | {smallest})


class _Row:
    """One prompt: mean score and spending at each (selector, n), over the orders."""

    def __init__(self, language: str | None, mean: float) -> None:
        self.language = language
        self.cluster = ""
        self.mean = mean
        self.score: dict[tuple[str, int], float] = {}
        self.usage: dict[tuple[str, int], dict[str, Tokens]] = {}
        self.num_orders: dict[int, int] = {}
        self.num_failed: dict[tuple[str, int], int] = {}


async def _row(
    pool: Pool,
    selectors: Mapping[str, Selector],
    scorer: Scorer,
    ns: Sequence[int],
    resamples: int,
    seed: int,
) -> _Row | None:
    try:
        scores = await scores_of(pool, scorer)
    except CapabilityError:  # the prompt's row lacks what the scorer reads
        return None
    known = {i: s for i, s in scores.items() if s is not None}
    if len(known) < len(scores):
        return None
    row = _Row(pool.prompt.language, fsum(known.values()) / len(known))
    texts, made = [c.text for c in pool.candidates if c.is_usable], dict[str, _Recalled]()
    recalling = {spec: _recalling(s, texts, made) for spec, s in selectors.items()}
    for n in ns:
        parts = subsets(pool.candidates, n, resamples, seed, pool.prompt.id)
        row.num_orders[n] = len(parts)
        for spec, selector in recalling.items():
            values: list[float] = []
            spent: dict[str, list[Usage]] = defaultdict(list)
            failed = 0
            for r, part in enumerate(parts):
                chosen = await select(pool._replace(candidates=part), selector, seed=seed + r)
                failed += chosen.selection is None
                values.append(await _value(chosen, pool, part, known, scorer))
                for role, usage in chosen.usage.items():
                    spent[role].append(usage if role != "policy" else usage_of(part, pool.candidates))
            row.score[spec, n] = fsum(values) / len(values)
            row.usage[spec, n] = {role: _mean_tokens(u, len(parts)) for role, u in spent.items()}
            row.num_failed[spec, n] = failed
    return row


async def _value(
    chosen: Outcome, pool: Pool, part: Sequence[Candidate], known: Mapping[int, float], scorer: Scorer
) -> float:
    """Score of the choice; of the worst candidate where nothing was chosen."""
    worst = min(known[c.id] for c in part)
    if chosen.selection is None:
        return worst
    winner = chosen.selection.winner
    if any(c.id == winner.id and c.text == winner.text for c in part):
        return known[winner.id]
    new = (await scores_of(pool, scorer, (winner,)))[winner.id]
    return worst if new is None else new


def _mean_tokens(usages: Sequence[Usage], num: int) -> Tokens:
    total = sum(usages, Usage())
    return Tokens(
        prompt=total.prompt / num,
        cached=total.cached / num,
        completion=total.completion / num,
        calls=total.calls / num,
    )


def _cell(
    rows: Sequence[_Row], spec: str, n: int, language: str | None, baseline: str, *, is_share: bool
) -> Cell:
    values = np.array([r.score[spec, n] for r in rows])
    base = np.array([r.mean if baseline == MEAN else r.score[baseline, n] for r in rows])
    clusters = [r.cluster for r in rows]
    usages = [r.usage[spec, n] for r in rows]
    roles = sorted({role for u in usages for role in u})
    return Cell(
        select=spec,
        n=n,
        language=language,
        num_prompts=len(rows),
        num_orders=max(r.num_orders[n] for r in rows),
        value=mean_interval(values, clusters=clusters, is_share=is_share),
        gain=None if spec == baseline else _gain(values - base, clusters, n, baseline),
        usage={role: _mean([u.get(role, Tokens()) for u in usages]) for role in roles},
        num_failed=sum(r.num_failed[spec, n] for r in rows),
    )


def _gain(differences: Floats, clusters: Sequence[str], n: int, baseline: str) -> Estimate:
    """Exactly nothing among pools of one candidate, where every selector has the same choice."""
    if n == 1 and baseline != MEAN and not differences.any():
        return Estimate(0.0, 0.0, 0.0)
    return mean_interval(differences, clusters=clusters)


def _mean(tokens: Sequence[Tokens]) -> Tokens:
    return Tokens(**{f: fsum(getattr(t, f) for t in tokens) / len(tokens) for f in Tokens.__struct_fields__})


class _Recalled:
    """A utility that compares all texts of one pool once, for whatever parts of it are asked about."""

    def __init__(self, utility: Utility, texts: Iterable[str]) -> None:
        self._utility = utility
        self._place = {text: i for i, text in enumerate(sorted(set(texts)))}
        self._matrix: Floats | None = None

    async def __call__(self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context) -> Floats:
        if not self._place.keys() >= {*hypotheses, *references}:
            return await self._utility(hypotheses, references, ctx)
        if self._matrix is None:
            texts = list(self._place)
            self._matrix = await self._utility(texts, texts, ctx)
        rows, columns = ([self._place[t] for t in texts] for texts in (hypotheses, references))
        return self._matrix[np.ix_(rows, columns)]


def _recalling(plugin: Any, texts: Sequence[str], made: dict[str, _Recalled]) -> Any:
    """`plugin` with every exact MBR inside it, at whatever depth, remembering its utilities."""
    if not is_dataclass(plugin) or isinstance(plugin, type):
        return plugin
    if isinstance(plugin, Mbr):
        if plugin.mode != "exact" or isinstance(plugin.utility, NeedsPrompt) or len(texts) > _MOST_RECALLED:
            return plugin
        spec = registry.spec_of(plugin.utility)
        return replace(plugin, utility=made.setdefault(spec, _Recalled(plugin.utility, texts)))
    inner = {f.name: getattr(plugin, f.name) for f in fields(plugin) if f.init}
    new = {name: _recalling(value, texts, made) for name, value in inner.items()}
    changed = {name: value for name, value in new.items() if value is not inner[name]}
    return cast("Any", replace(plugin, **changed)) if changed else plugin
