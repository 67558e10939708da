"""From recorded outcomes to numbers: one value per prompt and measure, for many prompts at a time.

Texts are read here and not kept. A measure that has no meaning for a prompt is None there.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nbest import registry
from nbest.accounting.costs import Costs, inference_flops, money
from nbest.accounting.meter import total
from nbest.datasets import Pool
from nbest.evaluate.estimators import best_at_k, draws_of, majority_at_k, max_at_k
from nbest.evaluate.intervals import Floats, Ints, codes
from nbest.evaluate.scores import ACCURACY, scores_of
from nbest.text import Answer, answer_keys, equivalent
from nbest.text.grading import accepted_answers, final_answer
from nbest.text.language import passes_lines, passes_words
from nbest.types import Candidate, Outcome, Usage

Columns = Mapping[str, list[float | None]]
"""Measure → its value for each prompt."""


class Row(NamedTuple):
    """What an outcome is measured by."""

    pool: Pool
    """Its candidates, the chosen one behind them where it is none of them."""
    chosen: int | None
    num_recorded: int
    verdicts: Mapping[int, float]
    """What the method thought of the candidates."""
    usage: Mapping[str, Usage]
    seconds: float
    reads_language: bool
    """Whether the language of the chosen text is judged."""
    draws: tuple[int, ...]
    """Candidates that are a sample (`draws_of`)."""
    answers: tuple[int, ...]
    """Whole answers, failed ones included, and the chosen one whatever it is."""
    greedy: int | None
    """The first draw at temperature 0."""


def is_share(name: str, scorer: str | None) -> bool:
    """Whether a measure is a share of ones among zeros and ones, or the expectation of one."""
    of_right = name in {"score", "oracle", "greedy"} or "@" in name
    return name in {"line", "word"} or (scorer == ACCURACY and of_right)


def row_of(outcome: Outcome, *, reads_language: bool = True) -> Row:
    """The parts of an outcome that measures read: of candidates the text, and what scorers look at."""
    drawn, selection = outcome.candidates, outcome.selection
    candidates = [_without_trace(c, i) for i, c in enumerate(drawn)]
    chosen: int | None = None
    if selection is not None:
        chosen = selection.winner.id
        if not 0 <= chosen < len(drawn) or drawn[chosen].text != selection.winner.text:
            chosen = len(drawn)
            candidates.append(_without_trace(selection.winner, chosen))
    whole = {id(c) for c in draws_of(drawn)}
    draws = tuple(i for i, c in enumerate(drawn) if id(c) in whole)
    return Row(
        pool=Pool(outcome.prompt, outcome.gold, tuple(candidates)),
        chosen=chosen,
        num_recorded=len(drawn),
        verdicts={} if selection is None else selection.scores,
        usage=outcome.usage,
        seconds=outcome.seconds,
        reads_language=reads_language,
        draws=draws,
        answers=tuple(
            i for i in range(len(candidates)) if i in {chosen, len(drawn)} or drawn[i].finish != "step"
        ),
        greedy=next((i for i in draws if (p := drawn[i].params) and p.temperature == 0), None),
    )


def _without_trace(c: Candidate, id_: int) -> Candidate:
    return Candidate(
        id=id_, text=c.text, error=c.error, language=c.language, meta=c.meta, tool_calls=c.tool_calls
    )


def measure(rows: Sequence[Row], scorer: str | None, costs: Costs) -> Columns:
    """Every measure of every row.

    `scorer` is a scorer's spec; None where answers cannot be measured. With `oracle` (right or wrong by the
    final answer) equal answers are one class; otherwise equal texts are. A failed candidate scores 0.
    """
    columns: defaultdict[str, list[float | None]] = defaultdict(lambda: [None] * len(rows))
    parsed = [_answers(row) if scorer == ACCURACY else None for row in rows]
    scored = _scores(rows, parsed, scorer)
    same_size: defaultdict[int, list[_Draws]] = defaultdict(list)
    for at, (row, answers, scores) in enumerate(zip(rows, parsed, scored, strict=True)):
        for name, value in (*_spent(row, costs), *_language(row)):
            columns[name][at] = value
        keys = _texts(row) if answers is None else _classes(row, answers)
        draws = row.draws
        columns["distinct"][at] = float(len({keys[i] for i in draws} - {None})) if draws else None
        if scores is None:
            continue
        for name, value in _of_the_choice(row, scores):
            columns[name][at] = value
        if draws:
            verdicts = [row.verdicts.get(i) for i in draws]
            same_size[len(draws)].append(
                _Draws(at, [scores[i] for i in draws], [keys[i] for i in draws], verdicts)
            )
    for n, group in same_size.items():
        judged = [d for d in group if None not in d.verdicts]
        for of, found in (
            (group, _of_smaller_pools(n, group, votes=scorer == ACCURACY)),
            (judged, _of_best_of_k(n, judged) if judged else ()),
        ):
            for name, values in found:
                for draws, value in zip(of, values, strict=True):
                    columns[name][draws.at] = value
    return dict(columns)


class _Draws(NamedTuple):
    at: int
    scores: list[float]
    keys: list[str | None]
    verdicts: list[float | None]


def _answers(row: Row) -> list[Answer | None]:
    """Final answers of the candidates; None for failed ones."""
    return [final_answer(c, row.pool.prompt) for c in row.pool.candidates]


def _classes(row: Row, answers: Sequence[Answer | None]) -> list[str | None]:
    """What a vote would count as one answer; None for failed candidates."""
    there = [c for c in row.pool.candidates if c.is_usable]
    key_by_id = dict(zip((c.id for c in there), answer_keys(there, lambda c: answers[c.id]), strict=True))
    return [key_by_id.get(c.id) for c in row.pool.candidates]


def _texts(row: Row) -> list[str | None]:
    return [c.text if c.is_usable else None for c in row.pool.candidates]


def _scores(
    rows: Sequence[Row], parsed: Sequence[list[Answer | None] | None], scorer: str | None
) -> list[list[float] | None]:
    if scorer is None:
        return [None] * len(rows)
    if scorer == ACCURACY:
        return [_right(row, answers or []) for row, answers in zip(rows, parsed, strict=True)]
    return asyncio.run(_score_all(rows, scorer))


def _right(row: Row, answers: Sequence[Answer | None]) -> list[float] | None:
    if row.pool.gold.get("answer") is None:
        return None
    accepted = accepted_answers(row.pool.gold)
    return [float(any(equivalent(a, gold) for gold in accepted)) for a in answers]


async def _score_all(rows: Sequence[Row], spec: str) -> list[list[float] | None]:
    scorer = registry.parse("scorers", spec)
    found: list[list[float] | None] = []
    for row in rows:
        scores = await scores_of(row.pool, scorer)
        whole = [0.0 if not c.is_usable else scores[c.id] for c in row.pool.candidates]
        found.append(None if None in whole else [s for s in whole if s is not None])
    return found


def _of_the_choice(row: Row, scores: Sequence[float]) -> Iterator[tuple[str, float]]:
    """The chosen answer, the best and the worst there was, and these against greedy (arXiv 2506.20544)."""
    chosen = scores[row.chosen] if row.chosen is not None else 0.0
    yield "score", chosen
    if not row.answers:
        return
    best = max(scores[i] for i in row.answers)
    yield "oracle", best
    yield "regret", best - chosen
    if (greedy := row.greedy) is not None:
        recorded = scores[: row.num_recorded]
        yield "greedy", scores[greedy]
        yield "hope", max(recorded) - scores[greedy]
        yield "risk", min(recorded) - scores[greedy]


def _of_smaller_pools(n: int, group: Sequence[_Draws], *, votes: bool) -> Iterator[tuple[str, list[float]]]:
    """What k of the n draws would have given, k = 1, 2, 4, … and n."""
    scores_PN: Floats = np.array([d.scores for d in group])
    classes_PN: Ints = np.stack([codes(d.keys) for d in group])
    votes_PN = np.array([[key is not None for key in d.keys] for d in group])
    for k in sorted({2**i for i in range(n.bit_length())} | {n}):
        yield f"pass@{k}" if votes else f"max@{k}", max_at_k(scores_PN, k).tolist()
        if votes:
            yield f"maj@{k}", majority_at_k(scores_PN, classes_PN, k, votes_PN=votes_PN).tolist()


def _of_best_of_k(n: int, group: Sequence[_Draws]) -> Iterator[tuple[str, list[float]]]:
    """The same for the choice that the method's own scores would have made."""
    scores_PN: Floats = np.array([d.scores for d in group])
    by_PN: Floats = np.array([d.verdicts for d in group], dtype=np.float64)
    for k in sorted({2**i for i in range(n.bit_length())} | {n}):
        yield f"best@{k}", best_at_k(scores_PN, by_PN, k).tolist()


def _language(row: Row) -> Iterator[tuple[str, float]]:
    """Whether the chosen text stays in the prompt's language (Marchisio et al. 2024)."""
    language = row.pool.prompt.language
    if not row.reads_language or language is None or row.chosen is None:
        return
    text = row.pool.candidates[row.chosen].text
    lines = passes_lines(text, language)
    if lines is not None:
        yield "line", float(lines)
    if lines and (words := passes_words(text, language)) is not None:
        yield "word", float(words)


def _spent(row: Row, costs: Costs) -> Iterator[tuple[str, float]]:
    spent = total(row.usage)
    yield "prompt_tokens", float(spent.prompt)
    yield "cached_tokens", float(spent.cached)
    yield "drawn_tokens", float(spent.completion)
    yield "calls", float(spent.calls)
    yield "seconds", row.seconds
    yield "candidates", float(row.num_recorded)
    for name, of, table in (("flops", inference_flops, costs.sizes), ("money", money, costs.prices)):
        weights: Mapping[str, Any] = table
        found = [(usage, weights.get(role, weights.get("policy"))) for role, usage in row.usage.items()]
        if table and all(weight is not None for _, weight in found):
            yield name, float(sum(of(usage, weight) for usage, weight in found))
