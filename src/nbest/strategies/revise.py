"""Sequential revisions in parallel chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from nbest.context import Context
from nbest.drawing import together
from nbest.errors import EngineError
from nbest.protocols import Scorer, logprobs_needed
from nbest.selection.vote import Vote
from nbest.strategies.attempts import Attempt, ids, with_attempts
from nbest.strategies.backup import is_configuration_error
from nbest.strategies.phrases import words_for
from nbest.text.calls import said
from nbest.types import Candidate, Prompt, Request, SamplingParams, Score, Selection, replace

_MOST_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Revise:
    """Revisions (Snell et al. 2024, arXiv 2408.03314, §6): the model sees its attempts and answers again.

    `parallel` chains of `sequential` answers each, N = S·P. The first answers are drawn at once, as
    `iid` draws them; each later one follows the chain's last `shown` attempts (the paper: at most 4), as
    turns of the conversation, each answered by the user's "check and try again" in the prompt's language.
    So it works with any chat model, and better with one trained for it. A right answer may be revised
    into a wrong one, so all answers of a chain compete.

    With a `verifier`, selection is best-of-N weighted: the scores of answers that agree are summed, in each
    chain, then over the winners of the chains (`hierarchical`), or over all at once (`flat`). Without one,
    it is a majority, over all at once unless told otherwise. Every answer is scored once.

    A round is one batch over all chains. A draw that fails leaves its chain as it is. Where a budget pays no
    whole round, the first chains go on with what comes back; what is there in the end competes.
    """

    is_open_to_clients: ClassVar[bool] = True

    sequential: int = 4
    """S, answers in a chain, the first included."""
    parallel: int = 2
    """P, independent chains."""
    verifier: Scorer | None = None
    selection: Literal["auto", "hierarchical", "flat"] = "auto"
    """auto: hierarchical with a verifier, flat without one."""
    sees_attempts: bool = False
    """The verifier reads the attempts before an answer as well, as the paper's does (§6.1)."""
    shown: int = _MOST_SHOWN
    turn: str | None = None
    """The user's turn after an attempt, instead of the one that ships for the language."""
    temperature: float = 0.7
    min_p: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        if self.sequential < 1 or self.parallel < 1:
            raise ValueError(
                f"sequential and parallel must be at least 1, got {self.sequential} and {self.parallel}"
            )
        if self.shown < 1:
            raise ValueError(f"shown must be at least 1, got {self.shown}")
        if self.turn is not None and not self.turn.strip():
            raise ValueError("turn must say something")
        self._params(0)

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        turn = self.turn or words_for(prompt, ctx).try_again
        chains: list[list[Candidate]] = [[] for _ in range(self.parallel)]
        asked: dict[int, Prompt] = {}
        pool: list[Candidate] = []
        for step in range(self.sequential):
            # Seeds of a chain's draws depend on their places alone: larger runs contain smaller ones.
            seed = ctx.random("sample" if step == 0 else f"revise/{step}").getrandbits(31)
            if step == 0:
                requests = [Request(prompt=prompt, n=self.parallel, params=self._params(seed))]
            else:
                requests = [self._revision(prompt, c, turn, seed + i) for i, c in enumerate(chains)]
            drawn = await ctx.sample(requests)
            pool += drawn
            told = requests * self.parallel if step == 0 else requests
            # What a budget leaves out is at the end.
            for chain, request, answer in zip(chains, told, drawn, strict=False):
                asked[answer.id] = request.prompt
                if answer.is_usable:
                    chain.append(answer)
            if not drawn:
                break
        return await self._chosen(prompt, pool, chains, asked, ctx)

    def _revision(self, prompt: Prompt, chain: Sequence[Candidate], turn: str, seed: int) -> Request:
        attempts = [Attempt(c, turn) for c in chain[-self.shown :]]
        return Request(
            prompt=with_attempts(prompt, attempts), params=self._params(seed), parents=ids(attempts)
        )

    def _params(self, seed: int) -> SamplingParams:
        return SamplingParams(
            temperature=self.temperature,
            min_p=self.min_p,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=seed,
            logprobs=logprobs_needed(self.verifier),
        )

    async def _chosen(
        self,
        prompt: Prompt,
        pool: Sequence[Candidate],
        chains: Sequence[Sequence[Candidate]],
        asked: Mapping[int, Prompt],
        ctx: Context,
    ) -> Selection:
        vote = Vote()
        if self.verifier is not None:
            vote = Vote(weight=_Known(await self._scores(self.verifier, prompt, pool, asked, ctx)))
        is_flat = self.selection == "flat" or (self.selection == "auto" and self.verifier is None)
        begun = [chain for chain in chains if chain]
        if is_flat or len(begun) <= 1:
            chosen = await vote(prompt, pool, ctx)  # says what is wrong where there is nothing to choose from
        else:
            winners = [(await vote(prompt, chain, ctx)).winner for chain in begun]
            chosen = await vote(prompt, winners, ctx)
        return replace(chosen, details={"chains": [[c.id for c in chain] for chain in chains]})

    async def _scores(
        self,
        verifier: Scorer,
        prompt: Prompt,
        pool: Sequence[Candidate],
        asked: Mapping[int, Prompt],
        ctx: Context,
    ) -> Mapping[int, Score]:
        """By id, in one batch for each conversation that the verifier reads, all at once.

        Raises what the verifier raises where it scores nothing, or where a person has to mend it. Answers of
        a conversation that it cannot read otherwise have no score, with a note.
        """
        conversations: dict[int, tuple[Prompt, list[Candidate]]] = {}
        for c in pool:
            if c.is_usable:
                read = asked[c.id] if self.sees_attempts else prompt
                conversations.setdefault(id(read), (read, []))[1].append(c)
        scores: dict[int, Score] = {}
        failures: list[EngineError] = []

        async def score(read: Prompt, answers: Sequence[Candidate]) -> None:
            texts = [replace(c, text=said(c)) for c in answers]
            try:
                found = await verifier(read, texts, ctx)
            except EngineError as e:
                if is_configuration_error(e):
                    raise
                failures.append(e)
                found = [Score(value=None)] * len(answers)
            scores.update(zip((c.id for c in answers), found, strict=True))

        await together(score(*each) for each in conversations.values())
        if failures and all(s.value is None for s in scores.values()):
            raise failures[0]
        for e in failures:
            ctx.note(f"revise: the verifier failed, and some answers have no score: {e}")
        return scores


@dataclass(frozen=True, slots=True)
class _Known:
    """Scores that are there already."""

    by_id: Mapping[int, Score]

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        return [self.by_id[c.id] for c in candidates]
