"""From recorded outcomes to numbers: one value per prompt and measure, for many prompts at a time.

Texts are read here and not kept. A measure that has no meaning for a prompt is None there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np

from nbest import registry
from nbest.accounting.costs import Costs
from nbest.accounting.meter import spent_of, total
from nbest.evaluate.confidence import Floats, Ints
from nbest.evaluate.estimators import best_at_k, majority_at_k, max_at_k, pool_sizes
from nbest.evaluate.gold_inside import says_gold
from nbest.evaluate.ingestion import MeasuredPrompt, ingest
from nbest.evaluate.intervals import codes
from nbest.evaluate.method import method_of
from nbest.evaluate.scores import is_accuracy
from nbest.evaluate.scoring_engines import ScoringEngines
from nbest.evaluate.smaller_pools import Choosing, best_of_smaller
from nbest.text import answer_keys
from nbest.text.grading import final_answer
from nbest.text.language_rates import passes_lines, passes_words
from nbest.text.reasoning import answer_text
from nbest.types import Outcome

Columns = Mapping[str, list[float | None]]
"""Measure → its value for each prompt."""

Weight = TypeVar("Weight")


class Row(NamedTuple):
    """An outcome to be measured."""

    outcome: Outcome
    reads_language: bool = True
    """Whether the language of the chosen text is judged."""
    chooses_again: bool = True
    """Whether its selector chooses again from smaller pools, where it sees the whole pool."""


def measure(
    rows: Sequence[Row], scorer: str | None, costs: Costs, engines: ScoringEngines | None = None
) -> Columns:
    """Every measure of every row.

    `scorer` is a scorer's spec; None where answers cannot be measured. With `oracle` (right or wrong by the
    final answer) equal answers are one class; otherwise equal texts are. `engines` is for a scorer that asks a
    model.
    """
    columns: defaultdict[str, list[float | None]] = defaultdict(lambda: [None] * len(rows))
    engines = engines or ScoringEngines()
    pools: list[_Pool] = []
    for at, (row, read) in enumerate(zip(rows, engines.run(_read(rows, scorer, engines)), strict=True)):
        prompt, keys, best_at = read
        found = chain(
            best_at.items(),
            _spent(row.outcome, costs),
            _language(row),
            _of_the_pool(prompt, keys),
            _of_the_choice(prompt, scorer),
        )
        for name, value in found:
            columns[name][at] = value
        scores_N = prompt.draw_scores
        if scores_N is not None:
            pools.append(_Pool(at, scores_N, keys, _verdicts(prompt)))

    for pools_of_size in _by_size(pools):
        for name, values in _of_smaller_pools(pools_of_size, votes=is_accuracy(scorer)):
            for pool, value in zip(pools_of_size, values, strict=True):
                columns[name][pool.at] = value
        ranked = [pool for pool in pools_of_size if pool.verdicts_N is not None]
        for name, values in _of_best_of_k(ranked):
            for pool, value in zip(ranked, values, strict=True):
                columns[name][pool.at] = value
    return dict(columns)


class _Pool(NamedTuple):
    """The N draws of one prompt."""

    at: int
    """Place of the prompt among the rows."""
    scores_N: Floats
    keys: Sequence[str | None]
    """The class of each draw's answer; None for a draw without one."""
    verdicts_N: Floats | None
    """How the method itself scored each draw, where that ranks the parts of the pool as well."""


class _Read(NamedTuple):
    """What is read from the texts of one prompt."""

    prompt: MeasuredPrompt
    keys: Sequence[str | None]
    """The class of each draw's answer; None for a draw without one."""
    best_at: Mapping[str, float]
    """`best@k` of a selector that sees the whole pool."""


async def _read(rows: Sequence[Row], spec: str | None, engines: ScoringEngines) -> list[_Read]:
    """Without engines one prompt is read after the other, all of it at once, as readings are remembered."""
    scorer = None
    if spec is not None:
        scorer = registry.parse("scorers", spec)
    class_keys = _texts
    if is_accuracy(spec):
        class_keys = _answer_classes

    async def read(row: Row) -> _Read:
        prompt = await ingest(row.outcome, scorer, engines=engines)
        best_at: Mapping[str, float] = {}
        if scorer is not None:
            how = Choosing(scorer, engines, seed=row.outcome.seed)
            best_at = await best_of_smaller(prompt, how, chooses_again=row.chooses_again)
        return _Read(prompt, class_keys(prompt), best_at)

    return await engines.in_order(rows, read)


def _by_size(pools: Sequence[_Pool]) -> list[list[_Pool]]:
    groups: defaultdict[int, list[_Pool]] = defaultdict(list)
    for pool in pools:
        groups[pool.scores_N.size].append(pool)
    return list(groups.values())


def _answer_classes(prompt: MeasuredPrompt) -> list[str | None]:
    """What a vote would count as one answer; None for draws that failed or have no answer."""
    asked = prompt.outcome.prompt
    usable = [c for c in prompt.draws if c.is_usable]
    keys = answer_keys(usable, lambda c: final_answer(c, asked))
    key_by_id = {c.id: key for c, key in zip(usable, keys, strict=True)}
    return [key_by_id.get(c.id) for c in prompt.draws]


def _texts(prompt: MeasuredPrompt) -> list[str | None]:
    return [c.text if c.is_usable else None for c in prompt.draws]


def _verdicts(prompt: MeasuredPrompt) -> Floats | None:
    """The method's own scores of the draws, where it scored each of them by itself."""
    selection = prompt.outcome.selection
    if selection is None or not method_of(prompt.outcome.strategy).scores_one_by_one:
        return None
    known = [selection.scores[c.id] for c in prompt.draws if c.id in selection.scores]
    if len(known) != len(prompt.draws):
        return None
    return np.array(known, dtype=np.float64)


def _of_the_choice(prompt: MeasuredPrompt, scorer: str | None) -> Iterator[tuple[str, float]]:
    """The chosen answer, the best draw, and the best and the worst against greedy (arXiv 2506.20544)."""
    chosen, scores_N, greedy = prompt.value, prompt.draw_scores, prompt.greedy
    if chosen is not None:
        yield "score", chosen
    if chosen is not None and is_accuracy(scorer):
        yield "gold_inside", float(chosen == 0 and _says_gold(prompt.outcome))
    if scores_N is None:
        return

    best, worst = float(scores_N.max()), float(scores_N.min())
    yield "oracle", best
    if chosen is not None:
        yield "regret", best - chosen
    if greedy is not None:
        yield "greedy", greedy
        yield "hope", best - greedy
        yield "risk", worst - greedy


def _says_gold(outcome: Outcome) -> bool:
    selection = outcome.selection
    return selection is not None and says_gold(selection.winner, outcome.gold)


def _of_the_pool(prompt: MeasuredPrompt, keys: Sequence[str | None]) -> Iterator[tuple[str, float]]:
    num_draws = len(prompt.draws)
    yield "candidates", float(num_draws)
    if prompt.outcome.selection is not None:
        yield "truncated", float(prompt.is_truncated)
    if num_draws:
        yield "distinct", float(len(set(keys) - {None}))
        yield "truncated_draws", prompt.num_truncated_draws / num_draws


def _of_smaller_pools(pools: Sequence[_Pool], *, votes: bool) -> Iterator[tuple[str, list[float]]]:
    """What k of the n draws would have given, k = 1, 2, 4, … and n."""
    scores_PN: Floats = np.stack([pool.scores_N for pool in pools])
    classes_PN: Ints = np.stack([codes(pool.keys) for pool in pools])
    votes_PN = np.array([[key is not None for key in pool.keys] for pool in pools])
    name = "max"
    if votes:
        name = "pass"
    for k in pool_sizes(scores_PN.shape[1]):
        yield f"{name}@{k}", max_at_k(scores_PN, k).tolist()
        if votes:
            yield f"maj@{k}", majority_at_k(scores_PN, classes_PN, k, votes_PN=votes_PN).tolist()


def _of_best_of_k(pools: Sequence[_Pool]) -> Iterator[tuple[str, list[float]]]:
    """The same for the choice that the method's own scores would have made."""
    if not pools:
        return
    scores_PN: Floats = np.stack([pool.scores_N for pool in pools])
    by_PN: Floats = np.stack([pool.verdicts_N for pool in pools if pool.verdicts_N is not None])
    for k in pool_sizes(scores_PN.shape[1]):
        yield f"best@{k}", best_at_k(scores_PN, by_PN, k).tolist()


def _language(row: Row) -> Iterator[tuple[str, float]]:
    """Whether the chosen text stays in the prompt's language (Marchisio et al. 2024)."""
    language, text = row.outcome.prompt.language, row.outcome.text
    if not row.reads_language or language is None or text is None:
        return
    text = answer_text(text)
    lines = passes_lines(text, language)
    if lines is None:
        return
    yield "line", float(lines)
    if not lines:
        return
    words = passes_words(text, language)
    if words is not None:
        yield "word", float(words)


def _spent(outcome: Outcome, costs: Costs) -> Iterator[tuple[str, float]]:
    spent = total(outcome.usage)
    yield "input_tokens", float(spent.prompt)
    yield "cached_tokens", float(spent.cached)
    yield "output_tokens", float(spent.completion)
    yield "calls", float(spent.calls)
    yield "seconds", outcome.seconds
    spent_by_engine = spent_of(outcome)
    flops = costs.flops(spent_by_engine)
    if flops is not None:
        yield "flops", flops
    price = costs.money(spent_by_engine)
    if price is not None:
        yield "money", price
