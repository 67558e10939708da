"""The verifier's values of the steps and answers of one search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nbest.context import Context
from nbest.errors import EngineError, EngineHttpError
from nbest.protocols import Scorer, depends_on_pool
from nbest.scoring.aggregate import Reduce, aggregate
from nbest.search.machine import Expansion, Node
from nbest.text.calls import said
from nbest.types import Candidate, Prompt, Score, replace

_TextKey = tuple[str, bool]
"""A text, and whether it is a step: the same words may be a step here and an answer there."""


class StepValues:
    """Asks the verifier about each text of a search once, and reduces scores of steps to values of answers."""

    def __init__(self, verifier: Scorer, reduce: Reduce, prompt: Prompt, ctx: Context) -> None:
        self._verifier, self._prompt, self._ctx = verifier, prompt, ctx
        self._reduce: Reduce = reduce
        self._score_by_text: dict[_TextKey, Score] = {}
        self._lookahead_value_by_text: dict[str, float] = {}
        """Of a step: the value of what its greedy continuation came to."""
        self._judged_by_node: dict[int, int] = {}
        """Node of a greedy continuation → node that it was drawn to judge."""
        self._asked_by_text: dict[_TextKey, Candidate] = {}
        self._last_error: EngineError | None = None
        """Of the verifier's last call, if it failed."""
        self._has_given_up = False
        self.by_id: dict[int, float] = {}
        """Candidate id → value, where the verifier gave one."""

    async def ask(self, candidates: Sequence[Candidate]) -> None:
        """Scores the texts that are new, in one batch. Tool calls are scored as text.

        A call that fails leaves its texts without a value, with a note. A verifier that has never given a
        score, or whose server refuses whatever it is asked (a wrong key), is not asked again, and the
        outcome's `stopped` is "error".
        """
        as_texts = [replace(c, text=said(c)) for c in candidates if c.is_usable]
        new = {_key(c): c for c in as_texts if _key(c) not in self._score_by_text}
        if new and not self._has_given_up:
            await self._score(new)

        self._record(as_texts)
        for candidate in as_texts:
            value = self._value(candidate)
            if value is not None:
                self.by_id[candidate.id] = value
            self._asked_by_text.setdefault(_key(candidate), candidate)

    def _record(self, candidates: Sequence[Candidate]) -> None:
        """Puts the verifier's scores of texts that were drawn more than once into the outcome for each candidate."""
        scored = [c for c in candidates if _key(c) in self._score_by_text]
        scores = [self._score_by_text[_key(c)] for c in scored]
        self._ctx.scores.add(self._verifier, self._prompt, scored, scores)

    async def make_comparable(self) -> None:
        """Puts the values of different rounds on one scale, where the verifier's depend on the candidates of a call.

        All texts that have a score are asked about once more, together. Such verifiers (`rollouts`) remember
        what they drew, so that this costs nothing; one that fails leaves the values as they are, with a note.
        """
        if not depends_on_pool(self._verifier) or self._has_given_up:
            return
        scored = [key for key, score in self._score_by_text.items() if score.value is not None]
        together = [self._asked_by_text[key] for key in scored]
        try:
            scores = await self._ctx.ask_scorer(self._verifier, self._prompt, together)
        except EngineError as e:
            self._ctx.note(f"tree: values of different rounds were compared as they are: {e}")
            return

        self._score_by_text |= dict(zip(scored, scores, strict=True))
        for id_ in self.by_id:
            value = self._value(self._as_text(id_))
            if value is not None:
                self.by_id[id_] = value

    def _as_text(self, id_: int) -> Candidate:
        candidate = self._ctx.candidates[id_]
        return replace(candidate, text=said(candidate))

    def scores(self) -> Mapping[int, Score]:
        """Candidate id → score, where there is a value."""
        return {id_: Score(value=value) for id_, value in self.by_id.items()}

    def report_missing(self, pool: Sequence[Candidate]) -> None:
        """Says in the outcome that answers of `pool` have no value because the verifier is down."""
        is_down = self._last_error is not None and not self._last_error.is_about_the_text
        if is_down and any(c.is_usable and c.id not in self.by_id for c in pool):
            self._ctx.fall_back(f"tree: the verifier is down, and answers have no value: {self._last_error}")

    def backup(self, expansions: Sequence[Expansion], new: Sequence[Node], nodes: Sequence[Node]) -> None:
        """Gives the steps that greedy `expansions` looked ahead from the values of what came of them.

        `new` are the nodes of this batch, `nodes` all, by id.
        """
        greedy = {expansion.node for expansion in expansions if expansion.is_greedy}
        for node in new:
            if node.parent not in greedy:
                continue
            # A lookahead of several steps judges the node where it began.
            judged = self._judged_by_node.get(node.parent, node.parent)
            self._judged_by_node[node.id] = judged
            score = self._score_by_text.get((node.text, node.fate == "open"))
            if score and score.value is not None:
                self._lookahead_value_by_text[nodes[judged].text] = score.value

    def propagate(self, nodes: Sequence[Node], drawn: Sequence[Candidate]) -> None:
        """Gives steps without a value the one that the search has for their text."""
        known = {n.text: n.value for n in nodes if n.fate == "open" and n.value is not None}
        for candidate in drawn:
            if candidate.finish == "step" and candidate.text in known:
                self.by_id.setdefault(candidate.id, known[candidate.text])

    async def _score(self, new: Mapping[_TextKey, Candidate]) -> None:
        try:
            scores = await self._ctx.ask_scorer(self._verifier, self._prompt, list(new.values()))
        except EngineError as e:
            self._last_error = e
            has_scored = any(s.value is not None for s in self._score_by_text.values())
            if _is_permanent(e) or not has_scored:
                self._has_given_up = True
                self._ctx.fall_back(f"tree: the verifier failed, and is not asked again: {e}")
            else:
                self._ctx.note(f"tree: the verifier failed, and some texts have no value: {e}")
        else:
            self._last_error = None
            self._score_by_text |= dict(zip(new, scores, strict=True))

    def _value(self, candidate: Candidate) -> float | None:
        score = self._score_by_text.get(_key(candidate))
        if score is None or score.value is None:
            return None
        if self._reduce == "last":
            return score.value
        steps = score.steps or self._values_on_path(candidate)
        return aggregate(steps, self._reduce)

    def _values_on_path(self, candidate: Candidate) -> list[float]:
        values = [self._step_value(c) for c in self._path(candidate)]
        return [v for v in values if v is not None]

    def _path(self, candidate: Candidate) -> Iterator[Candidate]:
        """The candidate, and the steps before it, back to the first."""
        yield candidate
        while candidate.parents:
            candidate = self._ctx.candidates[candidate.parents[0]]
            yield candidate

    def _step_value(self, candidate: Candidate) -> float | None:
        """The value of the candidate's last step, or of what that led to."""
        score = self._score_by_text.get(_key(candidate))
        if score and score.value is not None:
            return score.value
        return self._lookahead_value_by_text.get(candidate.text)


def _is_permanent(error: EngineError) -> bool:
    """Whether the server refuses whatever it is asked (a wrong key, model or address), until a person mends it."""
    return isinstance(error, EngineHttpError) and not (error.is_transient or error.is_about_the_text)


def _key(candidate: Candidate) -> _TextKey:
    return candidate.text, candidate.finish == "step"
