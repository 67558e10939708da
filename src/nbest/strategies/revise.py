"""Sequential revisions in parallel chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from nbest.context import Context
from nbest.demand import Demand, answers, demand_of, total
from nbest.drawing import together
from nbest.errors import EngineError
from nbest.protocols import FreeText, Scorer, logprobs_needed
from nbest.selection.vote import Vote
from nbest.strategies.attempts import Attempt, ids, with_attempts
from nbest.strategies.known_scores import KnownScores
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
    it is a majority vote, over all at once unless `selection` says otherwise. Every answer is scored once. Where
    the verifier fails, the answers are chosen by the scores there are, and `stopped` is "error".

    A round is one batch over all chains. A draw that fails leaves its chain as it is. Where the budget does not
    cover a whole round, the first chains go on; all answers drawn compete.
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
    turn: FreeText | None = None
    """The user's turn after an attempt, in place of the shipped one for the prompt's language."""
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
            raise ValueError("turn must not be empty")
        self._params(0)

    def demand(self, n: int, steps: int) -> Demand:
        num_answers = self.sequential * self.parallel
        return total(answers(num_answers, self.max_tokens), demand_of(self.verifier, num_answers))

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        drawn = _Drawn(chains=[[] for _ in range(self.parallel)])
        for step in range(self.sequential):
            # Seeds of a chain's draws depend on their places alone: larger runs contain smaller ones.
            purpose = "sample"
            if step > 0:
                purpose = f"revise/{step}"
            seed = ctx.random(purpose).getrandbits(31)
            requests = self._round(prompt, drawn.chains, seed, ctx, is_first=step == 0)

            answers = await ctx.sample(requests)
            if not answers:
                break
            drawn.add(answers, requests * self.parallel if step == 0 else requests)

        selection = await self._select(prompt, drawn, ctx)
        chains = [[c.id for c in chain] for chain in drawn.chains]
        return replace(selection, details={"chains": chains})

    def _round(
        self,
        prompt: Prompt,
        chains: Sequence[Sequence[Candidate]],
        seed: int,
        ctx: Context,
        *,
        is_first: bool,
    ) -> list[Request]:
        """The first answers in one request, later ones in one for each chain."""
        if is_first:
            return [Request(prompt=prompt, n=self.parallel, params=self._params(seed))]
        turn = self.turn or words_for(prompt, ctx).try_again
        return [self._revision(prompt, chain, turn, seed + i) for i, chain in enumerate(chains)]

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

    async def _select(self, prompt: Prompt, drawn: _Drawn, ctx: Context) -> Selection:
        """Raises `SelectionError` where no answer is usable."""
        vote = Vote()
        if self.verifier is not None:
            scores = await self._scores(self.verifier, prompt, drawn, ctx)
            vote = Vote(weight=KnownScores(by_id=scores))

        return await _voted(self, vote, prompt, drawn.chains, drawn.pool, ctx)

    async def _scores(
        self, verifier: Scorer, prompt: Prompt, drawn: _Drawn, ctx: Context
    ) -> Mapping[int, Score]:
        """Candidate id → score, in one batch for each conversation that the verifier reads, all at once.

        Answers of a batch that fails have no score, with a note. Where the verifier scores nothing, or
        refuses more than the text of one conversation, `stopped` is "error".
        """
        scores: dict[int, Score] = {}
        failures: list[EngineError] = []

        async def score(read: Prompt, answers: Sequence[Candidate]) -> None:
            as_texts = [replace(c, text=said(c)) for c in answers]
            try:
                found = await ctx.ask_scorer(verifier, read, as_texts)
            except EngineError as e:
                failures.append(e)
                return
            scores.update(zip((c.id for c in answers), found, strict=True))

        await together(score(*each) for each in self._conversations(prompt, drawn))
        has_scored = any(s.value is not None for s in scores.values())
        for e in failures:
            report = ctx.note if has_scored and e.is_about_the_text else ctx.fall_back
            report(f"revise: the verifier failed, and some answers have no score: {e}")
        return scores

    def _conversations(self, prompt: Prompt, drawn: _Drawn) -> list[tuple[Prompt, list[Candidate]]]:
        """What the verifier reads, each with the usable answers to it."""
        by_prompt: dict[int, tuple[Prompt, list[Candidate]]] = {}
        for candidate in drawn.pool:
            if candidate.is_usable:
                read = prompt
                if self.sees_attempts:
                    read = drawn.prompt_by_id[candidate.id]
                by_prompt.setdefault(id(read), (read, []))[1].append(candidate)
        return list(by_prompt.values())


async def choose_from_chains(
    revise: Revise, prompt: Prompt, chains: Sequence[Sequence[Candidate]], ctx: Context
) -> Selection:
    """What `revise`, which has no verifier, chooses from chains that are there.

    Raises `SelectionError` where no answer is usable.
    """
    pool = [c for chain in chains for c in chain]
    return await _voted(revise, Vote(), prompt, chains, pool, ctx)


async def _voted(
    revise: Revise,
    vote: Vote,
    prompt: Prompt,
    chains: Sequence[Sequence[Candidate]],
    pool: Sequence[Candidate],
    ctx: Context,
) -> Selection:
    is_flat = revise.selection == "flat" or (revise.selection == "auto" and revise.verifier is None)
    begun = [chain for chain in chains if chain]
    if is_flat or len(begun) <= 1:
        return await vote(prompt, pool, ctx)
    winners = [(await vote(prompt, chain, ctx)).winner for chain in begun]
    return await vote(prompt, winners, ctx)


@dataclass(slots=True, kw_only=True)
class _Drawn:
    """The answers so far."""

    chains: list[list[Candidate]]
    """The usable answers of each chain, in order."""
    pool: list[Candidate] = field(default_factory=list[Candidate])
    """All answers, failed ones included."""
    prompt_by_id: dict[int, Prompt] = field(default_factory=dict[int, Prompt])
    """Candidate id → the conversation that it answers."""

    def add(self, answers: Sequence[Candidate], requests: Sequence[Request]) -> None:
        """One answer per chain and request; those that the budget left out are missing at the end."""
        self.pool += answers
        for chain, request, answer in zip(self.chains, requests, answers, strict=False):
            self.prompt_by_id[answer.id] = request.prompt
            if answer.is_usable:
                chain.append(answer)
