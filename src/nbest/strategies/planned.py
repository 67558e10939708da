"""The strategy that a plan names for a prompt's difficulty, language and task."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, cast

import numpy as np

from nbest import registry
from nbest.context import Context
from nbest.demand import Demand, demand_of
from nbest.errors import EngineError
from nbest.plan.difficulty import numbers_of
from nbest.plan.features import Features, features_of
from nbest.plan.plan_file import Plan, read_plan
from nbest.plan.plan_fit import Choice, choose
from nbest.protocols import Sampler, Scorer, ServerPath, Strategy, logprobs_needed
from nbest.text.answer_classes import answer_classes
from nbest.text.language_tags import closest_tag
from nbest.types import Candidate, Prompt, Request, Selection, replace

log = logging.getLogger(__name__)
_FEWEST_FOR_DRIFT = 100
"""Prompts before the mix of bins is compared with the plan's."""
_SIGMAS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Compute-optimal inference (Snell et al. 2024, arXiv 2408.03314, §3): a pilot tells how hard a prompt is, and the
    plan which strategy pays there.

    The first draws of the plan's sampler are made, their agreement, lengths and scores give a bin of difficulty, and the
    strategy of that bin, the prompt's language and task goes on with what is left of the budget. The pilot's draws are
    charged, and are the first draws of a pool from the same sampler. The note and the selection's `details` say the bin,
    why, and the strategy. For a language or task that has no choice of its own the plan's general one is taken; one that
    the plan was not fitted on is noted, as is another model.

    Raises `InputError` for a file that is missing or malformed.
    """

    is_open_to_clients: ClassVar[bool] = False

    file: ServerPath
    budget: float | None = None
    """In mean answers, the pilot included: the largest of the plan's budgets up to it is used. None: the largest that the
    prompt's limits of samples and tokens allow."""

    def __post_init__(self) -> None:
        if self.budget is not None and not self.budget > 0:
            raise ValueError(f"budget must be above 0, got {self.budget:g}")

    def demand(self, n: int, steps: int) -> Demand:
        plan = read_plan(self.file)
        limit = _largest_within(plan, self.budget)
        pilot = demand_of(_sampler(plan.sampler, plan.pilot))
        demands = [demand_of(_strategy(c.strategy), n, steps) for c in plan.choices if c.budget <= limit]
        most = [max(numbers) for numbers in zip(*demands, strict=True)]
        return Demand(*(a + b for a, b in zip(pilot, most, strict=True)))

    async def __call__(self, prompt: Prompt, ctx: Context) -> Selection:
        plan = read_plan(self.file)
        budget = _largest_within(plan, self.budget, ctx)
        pilot = await _draw_pilot(plan, prompt, ctx)
        features = await _features(plan, pilot, prompt, ctx)
        predicted = plan.difficulty.predicted(features)
        bin_ = plan.difficulty.bin_of(predicted)
        choice, is_language, is_task = choose(plan.choices, budget, bin_, prompt.language, prompt.task)
        assert choice is not None  # `read_plan` has seen to it

        _note_fallbacks(plan, prompt, ctx, is_language=is_language, is_task=is_task)
        _note_engines(plan, pilot, choice, ctx)
        _warn_of_mix(self.file, plan, bin_)
        reason = f"bin {bin_} of {plan.difficulty.num_bins}: {_shown(plan, features)} → {choice.strategy}"
        ctx.note(reason)

        selection = await _strategy(choice.strategy)(prompt, ctx)
        told = {
            "bin": bin_,
            "num_bins": plan.difficulty.num_bins,
            "predicted": round(predicted, 4),
            "budget": budget,
            "strategy": choice.strategy,
            "pilot": [c.id for c in pilot],
        }
        return replace(selection, details={**selection.details, "plan": told})


def _largest_within(plan: Plan, budget: float | None, ctx: Context | None = None) -> float:
    """The largest budget of the plan within all limits; its smallest where none is, with a note."""
    limits = [budget]
    if ctx is not None:
        limits.append(ctx.samples_left)
        if ctx.tokens_left is not None:
            limits.append(ctx.tokens_left / plan.mean_length)
    known = [limit for limit in limits if limit is not None]
    within = [b for b in plan.budgets if all(b <= limit for limit in known)]
    if within:
        return within[-1]
    if ctx is not None:
        ctx.note(
            f"the plan's smallest budget, {plan.budgets[0]:g} answers, is above {min(known):.3g}: it is used"
        )
    return plan.budgets[0]


async def _draw_pilot(plan: Plan, prompt: Prompt, ctx: Context) -> list[Candidate]:
    requests = first_draws(_sampler(plan.sampler, None)(prompt, ctx.random("sample")), plan.pilot)
    wanted = _logprobs(plan)
    if wanted is not None:
        requests = [replace(r, params=replace(r.params, logprobs=wanted)) for r in requests]
    return await ctx.sample(requests, is_pilot=True)


def first_draws(requests: Sequence[Request], n: int) -> list[Request]:
    """The requests of the first n draws."""
    first: list[Request] = []
    for request in requests:
        if n > 0:
            first.append(request.part(0, min(n, request.n)))
        n -= request.n
    return first


async def _features(plan: Plan, pilot: Sequence[Candidate], prompt: Prompt, ctx: Context) -> Features:
    """Where answers cannot be compared, as if no draw had one."""
    keys: Sequence[str | None] = [None] * len(pilot)
    try:
        keys = await answer_classes(pilot, prompt, seconds=ctx.seconds_left)
    except EngineError as e:
        ctx.note(f"the pilot's answers were not compared: {e}")
    scores: list[float | None] = []
    if plan.scorer is not None:
        scores = await _scores(_scorer(plan.scorer), pilot, prompt, ctx)
    return features_of(pilot, keys, prompt=prompt, scores=scores, mean_length=plan.mean_length)


async def _scores(
    scorer: Scorer, pilot: Sequence[Candidate], prompt: Prompt, ctx: Context
) -> list[float | None]:
    usable = [c for c in pilot if c.is_usable]
    found = await ctx.score(scorer, prompt, usable)
    value_by_id = {c.id: score.value for c, score in zip(usable, found, strict=True)}
    return [value_by_id.get(c.id) for c in pilot]


def _shown(plan: Plan, features: Features) -> str:
    """What the bin was predicted from, in a few words: `agreement 0.4, score 0.71`."""
    numbers = numbers_of(features)
    parts = [f"agreement {numbers['agreement']:.2g}"]
    if plan.scorer is not None:
        parts.append(f"mean score {numbers['mean_score']:.2g}")
    return ", ".join(parts)


def _note_fallbacks(plan: Plan, prompt: Prompt, ctx: Context, *, is_language: bool, is_task: bool) -> None:
    """Notes a language or task that the plan was not fitted on, and what was taken in its place."""
    is_known = closest_tag(prompt.language, plan.languages) is not None
    if prompt.language and plan.languages and not is_known and not is_language:
        ctx.note(
            f"the plan was not fitted on language {prompt.language}: the choice for all languages is taken"
        )
    if prompt.task and plan.tasks and prompt.task not in plan.tasks and not is_task:
        ctx.note(f"the plan was not fitted on task {prompt.task}: the choice for all tasks is taken")


def _note_engines(plan: Plan, pilot: Sequence[Candidate], choice: Choice, ctx: Context) -> None:
    """Notes a model or verifier that the plan was not fitted on."""
    others = sorted({c.engine for c in pilot if c.engine is not None} - set(plan.engines))
    if plan.engines and others:
        ctx.note(
            f"the plan was fitted on {', '.join(plan.engines)}, and {', '.join(others)} answers: fit it anew"
        )
    if plan.verifiers and "verifier=" in choice.strategy:
        verifier = ctx.engine_for("verifier").name
        if verifier not in plan.verifiers:
            ctx.note(
                f"the plan was fitted with verifier {', '.join(plan.verifiers)}, not {verifier}: fit it anew"
            )


# The mix of bins.


@dataclass(slots=True)
class _Mix:
    """The bins of the prompts that this process has met under one plan."""

    plan: Plan
    num_by_bin: Counter[int] = field(default_factory=Counter[int])
    has_warned: bool = False


_mix_by_file: dict[str, _Mix] = {}


def _warn_of_mix(file: str, plan: Plan, bin_: int) -> None:
    """Logs once where the bins that this process meets differ from the plan's.

    Not a note: an outcome depends on its own prompt alone.
    """
    mix = _mix_by_file.get(file)
    if mix is None or mix.plan is not plan:
        mix = _mix_by_file[file] = _Mix(plan)
    mix.num_by_bin[bin_] += 1
    found = None
    if not mix.has_warned:
        found = drifted_bin(plan, mix.num_by_bin)
    if found is not None:
        mix.has_warned = True
        log.warning("%s: %s", file, found)


def drifted_bin(plan: Plan, num_by_bin: Counter[int]) -> str | None:
    """Which bin has far more or fewer prompts than on the prompts that the plan was fitted on; None where none has.

    Far is four standard errors of a share, of at least 100 prompts.
    """
    total = num_by_bin.total()
    if total < _FEWEST_FOR_DRIFT:
        return None
    for bin_, share in enumerate(plan.difficulty.shares, 1):
        found = num_by_bin[bin_] / total
        error = float(np.sqrt(max(share * (1 - share), 1 / total) / total))
        if abs(found - share) > _SIGMAS * error:
            return (
                f"the mix of difficulty has changed: {found:.0%} of {total} prompts are in bin {bin_},"
                f" {share:.0%} when the plan was fitted: fit it anew"
            )
    return None


# Specs of the plan.


def _logprobs(plan: Plan) -> int | None:
    """What the draws must carry for the scorer of the plan and for any of its strategies."""
    plugins = [_strategy(c.strategy) for c in plan.choices]
    needed = [logprobs_needed(plugin) for plugin in plugins]
    if plan.scorer is not None:
        needed.append(logprobs_needed(_scorer(plan.scorer)))
    return max((n for n in needed if n is not None), default=None)


@lru_cache(maxsize=256)
def _strategy(spec: str) -> Strategy:
    return registry.parse("strategies", spec)


@lru_cache(maxsize=64)
def _scorer(spec: str) -> Scorer:
    return registry.parse("scorers", spec)


@lru_cache(maxsize=64)
def _sampler(spec: str, n: int | None) -> Sampler:
    sampler: Any = registry.parse("samplers", spec)
    if n is not None and hasattr(sampler, "n"):
        return cast("Sampler", dataclasses.replace(sampler, n=n))
    return sampler
