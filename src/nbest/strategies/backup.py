"""What the steps and answers of a search are worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nbest.context import Context
from nbest.errors import REFUSED, EngineError, EngineHttpError
from nbest.protocols import Scorer
from nbest.scoring.aggregate import Reduce, aggregate
from nbest.search.machine import Expansion, Node
from nbest.text.calls import said
from nbest.types import Candidate, Prompt, Score, replace


class StepValues:
    """The verifier's values of one search: it is asked about each text once."""

    def __init__(self, verifier: Scorer, reduce: Reduce, prompt: Prompt, ctx: Context) -> None:
        self._verifier, self._prompt, self._ctx = verifier, prompt, ctx
        self._reduce: Reduce = reduce
        self._scores: dict[tuple[str, bool], Score] = {}
        self._ahead: dict[str, float] = {}
        """What a step's greedy continuation came to, by the step's text."""
        self._judged: dict[int, int] = {}
        """The node that a greedily drawn one was drawn for."""
        self.by_id: dict[int, float] = {}
        """By candidate, where the verifier could say."""

    async def ask(self, candidates: Sequence[Candidate]) -> None:
        """About all new texts in one batch; tool calls are text here.

        Raises what the verifier raises until it has given a score, and then what a person has to mend. Any
        other failure leaves these texts without a value, with a note.
        """
        candidates = [replace(c, text=said(c)) for c in candidates if c.is_usable]
        new = {_text(c): c for c in candidates if _text(c) not in self._scores}
        if new:
            try:
                scores = await self._verifier(self._prompt, list(new.values()), self._ctx)
            except EngineError as e:
                if is_configuration_error(e) or all(s.value is None for s in self._scores.values()):
                    raise
                self._ctx.note(f"tree: the verifier failed, and some texts have no value: {e}")
            else:
                self._scores |= dict(zip(new, scores, strict=True))
        for c in candidates:
            if (value := self._value(c)) is not None:
                self.by_id[c.id] = value

    def backup(self, wishes: Sequence[Expansion], new: Sequence[Node], nodes: Sequence[Node]) -> None:
        """Learns from `new` nodes of a batch what the steps before them lead to, where they were greedy."""
        greedy = {w.node for w in wishes if w.is_greedy}
        for node in new:
            if node.parent not in greedy:
                continue
            judged = self._judged[node.id] = self._judged.get(node.parent, node.parent)
            score = self._scores.get((node.text, node.fate == "open"))
            if score and score.value is not None:
                self._ahead[nodes[judged].text] = score.value

    def propagate(self, nodes: Sequence[Node], drawn: Sequence[Candidate]) -> None:
        """Gives steps that the verifier was not shown the values that the search has for their texts."""
        known = {n.text: n.value for n in nodes if n.fate == "open" and n.value is not None}
        for c in drawn:
            if c.finish == "step" and c.text in known:
                self.by_id.setdefault(c.id, known[c.text])

    def _value(self, candidate: Candidate) -> float | None:
        score = self._scores.get(_text(candidate))
        if score is None or score.value is None or self._reduce == "last":
            return score and score.value
        steps = score.steps or [v for c in self._path(candidate) if (v := self._own(c)) is not None]
        return aggregate(steps, self._reduce)

    def _path(self, candidate: Candidate) -> Iterator[Candidate]:
        """Back to the first step."""
        yield candidate
        while candidate.parents:
            candidate = self._ctx.candidates[candidate.parents[0]]
            yield candidate

    def _own(self, candidate: Candidate) -> float | None:
        """The value of its last step, or what that leads to."""
        score = self._scores.get(_text(candidate))
        return score.value if score and score.value is not None else self._ahead.get(candidate.text)


def is_configuration_error(error: EngineError) -> bool:
    """Whether a server refuses whoever asks, whatever the text."""
    return isinstance(error, EngineHttpError) and not error.is_transient and error.status not in REFUSED


def _text(candidate: Candidate) -> tuple[str, bool]:
    """What a score is of: the same words may be a step and, elsewhere, an answer."""
    return candidate.text, candidate.finish == "step"
