"""Scores of one prompt's candidates, by scorer: each text is asked about once, and what was found is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbest.errors import NbestError
from nbest.protocols import Scorer, depends_on_pool
from nbest.registry import spec_of
from nbest.types import Candidate, Prompt, Score

_Key = tuple[int, str, bool, str | None, int | None]
"""What a score depends on: the prompt's identity, the text, whether it is a step, its language; and the candidate,
where it carries more than its text that a scorer may read."""


class AskedScores:
    """What scorers have said. `known` are scores of a record, by scorer and candidate, of the texts in `text_by_id`."""

    def __init__(
        self,
        known: Mapping[str, Mapping[int, Score]] | None = None,
        text_by_id: Mapping[int, str] | None = None,
    ) -> None:
        self._known = known or {}
        self._text_by_id = text_by_id or {}
        self._by_text: dict[tuple[str, _Key], Score] = {}
        self._prompts: list[Prompt] = []
        """Held, so that their identities stay their own."""
        self.by_scorer: dict[str, dict[int, Score]] = {}
        """Spec → candidate id → score, where there is a value."""

    def unknown(self, scorer: Scorer, prompt: Prompt, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those that the scorer has to be asked about: one for each text that has no score yet.

        All of them, where scores depend on the other candidates of a call.
        """
        spec = _recorded_spec(scorer)
        if spec is None or depends_on_pool(scorer):
            return list(candidates)

        first_by_key: dict[_Key, Candidate] = {}
        for candidate in candidates:
            if self._find(spec, prompt, candidate) is None:
                first_by_key.setdefault(_key(prompt, candidate), candidate)
        return list(first_by_key.values())

    def add(
        self, scorer: Scorer, prompt: Prompt, candidates: Sequence[Candidate], scores: Sequence[Score]
    ) -> None:
        """What the scorer has said of `candidates`."""
        spec = _recorded_spec(scorer)
        if spec is None:
            return
        if not any(known is prompt for known in self._prompts):
            self._prompts.append(prompt)
        for candidate, score in zip(candidates, scores, strict=True):
            if score.value is not None:
                self._by_text[spec, _key(prompt, candidate)] = score
                self.by_scorer.setdefault(spec, {})[candidate.id] = score

    def of(self, scorer: Scorer, prompt: Prompt, candidates: Sequence[Candidate]) -> list[Score]:
        """One score per candidate, in order, of those that were asked about; they are recorded for each."""
        spec = _recorded_spec(scorer)
        assert spec is not None
        found: list[Score] = []
        for candidate in candidates:
            score = self._find(spec, prompt, candidate) or Score(value=None)
            if score.value is not None:
                self.by_scorer.setdefault(spec, {})[candidate.id] = score
            found.append(score)
        return found

    def _find(self, spec: str, prompt: Prompt, candidate: Candidate) -> Score | None:
        recorded = self._known.get(spec)
        if recorded is not None and self._text_by_id.get(candidate.id) == candidate.text:
            score = recorded.get(candidate.id)
            if score is not None:
                return score
        return self._by_text.get((spec, _key(prompt, candidate)))


def is_recorded(scorer: Scorer) -> bool:
    """Whether the scorer's scores are kept: one without a name in specs (a strategy's own) has no place in records."""
    return _recorded_spec(scorer) is not None


def _recorded_spec(scorer: Scorer) -> str | None:
    if not getattr(scorer, "is_recorded", True):
        return None
    try:
        return spec_of(scorer)
    except NbestError:
        return None


def _key(prompt: Prompt, candidate: Candidate) -> _Key:
    carries_more = candidate.logprobs is not None or bool(candidate.meta)
    own_id = candidate.id if carries_more else None
    return id(prompt), candidate.text, candidate.finish == "step", candidate.language, own_id
