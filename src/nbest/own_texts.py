"""Outcomes as records hold them: each text and each log-probability once.

A step's text is the answer so far. In a record it is what the step added; the rest is its parent's, from which it is
joined again when the record is read.
"""

from __future__ import annotations

from nbest.types import Candidate, Logprobs, Outcome, Selection, replace


def with_own_texts(outcome: Outcome) -> Outcome:
    """`outcome` with what each candidate added to the one that it was made from."""
    by_id = {c.id: c for c in outcome.candidates}
    candidates = outcome.candidates
    if any(c.parents for c in candidates):
        candidates = tuple(_own(c, by_id) for c in candidates)
    return replace(outcome, candidates=candidates, selection=_without_logprobs(outcome.selection, by_id))


def with_joined_texts(outcome: Outcome) -> Outcome:
    """What `with_own_texts` was made from; outcomes of older records are as they were."""
    joined: dict[int, Candidate] = {}
    is_changed = False
    for c in outcome.candidates:
        whole = _joined(c, joined)
        is_changed = is_changed or whole is not c
        joined[c.id] = whole

    selection = outcome.selection
    if selection is not None and selection.winner.after is not None:
        logprobs = joined[selection.winner.after].logprobs
        winner = replace(selection.winner, after=None, logprobs=logprobs)
        outcome = replace(outcome, selection=replace(selection, winner=winner))
    if not is_changed:
        return outcome
    return replace(outcome, candidates=tuple(joined.values()))


def _own(candidate: Candidate, by_id: dict[int, Candidate]) -> Candidate:
    if len(candidate.parents) != 1:
        return candidate
    parent = by_id.get(candidate.parents[0])
    # A record is read from its first candidate on.
    if parent is None or parent.id >= candidate.id or not parent.text:
        return candidate
    if not candidate.text.startswith(parent.text):
        return candidate

    num_shared = _num_shared(parent.logprobs, candidate.logprobs)
    logprobs = candidate.logprobs
    if logprobs is not None and num_shared:
        logprobs = _behind(logprobs, num_shared)
    own = candidate.text[len(parent.text) :]
    return replace(candidate, text=own, logprobs=logprobs, after=parent.id, num_logprobs_before=num_shared)


def _joined(candidate: Candidate, joined: dict[int, Candidate]) -> Candidate:
    if candidate.after is None:
        return candidate
    parent = joined[candidate.after]
    logprobs, num_shared = candidate.logprobs, candidate.num_logprobs_before
    if logprobs is not None and parent.logprobs is not None and num_shared:
        logprobs = Logprobs(
            tokens=parent.logprobs.tokens[:num_shared] + logprobs.tokens,
            values=parent.logprobs.values[:num_shared] + logprobs.values,
            top=(*parent.logprobs.top[:num_shared], *logprobs.top),
        )
    text = parent.text + candidate.text
    return replace(candidate, text=text, logprobs=logprobs, after=None, num_logprobs_before=0)


def _without_logprobs(selection: Selection | None, by_id: dict[int, Candidate]) -> Selection | None:
    """The winner without log-probabilities that the candidate has as well."""
    if selection is None or selection.winner.logprobs is None:
        return selection
    winner = selection.winner
    candidate = by_id.get(winner.id)
    if candidate is None or candidate.logprobs != winner.logprobs:
        return selection
    return replace(selection, winner=replace(winner, logprobs=None, after=winner.id))


def _num_shared(before: Logprobs | None, whole: Logprobs | None) -> int:
    """Tokens of `before` with which `whole` begins: all of them, or none."""
    if before is None or whole is None:
        return 0
    num = len(before.values)
    tops = (bool(before.top) == bool(whole.top), before.top == whole.top[: len(before.top)])
    is_beginning = (whole.tokens[:num], whole.values[:num]) == (before.tokens, before.values)
    return num if is_beginning and all(tops) else 0


def _behind(logprobs: Logprobs, num: int) -> Logprobs:
    return Logprobs(tokens=logprobs.tokens[num:], values=logprobs.values[num:], top=logprobs.top[num:])
