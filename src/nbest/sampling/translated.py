"""Cross-lingual evidence: the same task, answered in other languages as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from nbest.demand import Demand, demand_of
from nbest.protocols import LanguageCode, Sampler, ServerPath
from nbest.sampling.hedged import Hedged
from nbest.sampling.spread import draws, merged, resized, size
from nbest.sampling.turn_templates import template, wrapped
from nbest.text.language_codes import primary_subtag
from nbest.types import Prompt, Request, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A pool in the prompt's language, then evidence in others (Khairi et al. 2025, arXiv 2506.20544).

    The question stays in its own language; an instruction in the pivot language (usually the model's
    strongest) asks for the answer in that one. `sampler` plans both: the pool by its own n, and for each
    pivot a plan like it, with the table's parameters for that language. Candidates record the
    language that they were asked for in; for `xmbr` those in other languages are evidence that cannot win, for any
    other selector they are candidates like the rest.

    A prompt that is in a pivot language already gets its share of draws in the other pivots, and
    without any other, a pool of n: every prompt costs n draws.
    """

    is_open_to_clients: ClassVar[bool] = True

    sampler: Sampler = field(default_factory=Hedged)
    languages: tuple[LanguageCode, ...] = ("en",)
    """Pivots, ISO 639-1; evidence is dealt to them in turn."""
    n: int | None = None
    """All draws, the pool and the evidence; twice the sampler's n without it. A smaller n leaves out
    evidence first."""
    templates: ServerPath | None = None
    """Directory of `xx.txt` instructions that replace those that ship, with `{prompt}` for the turn."""

    def __post_init__(self) -> None:
        if not self.languages:
            raise ValueError("languages must name at least one, such as  languages=[en]")
        if self.n is None:
            object.__setattr__(self, "n", 2 * size(self.sampler))
        check_sizes(self.sampler, size(self), len(self.languages))
        for language in self.languages:
            template("answer_in", language, self.templates)

    def demand(self, n: int, steps: int) -> Demand:
        return demand_of(resized(self.sampler, size(self)))

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]:
        pivots = pivots_of(prompt, self.languages)
        n = size(self)
        num_own = n
        if pivots:
            num_own = min(n, size(self.sampler))
        own = resized(self.sampler, num_own)(prompt, rng)
        asked = [asked_in(prompt, language, self.templates) for language in pivots]
        return [*own, *evidence(self.sampler, n - num_own, asked, rng)]


def pivots_of(prompt: Prompt, languages: Sequence[str]) -> list[str]:
    """`languages` without the prompt's own, each once."""
    own = primary_subtag(prompt.language)
    return [language for language in dict.fromkeys(languages) if primary_subtag(language) != own]


def asked_in(prompt: Prompt, language: str, templates: str | None = None) -> Prompt:
    """`prompt` with the instruction to answer in `language`, written in that language."""
    return replace(wrapped(prompt, template("answer_in", language, templates)), language=language)


def check_sizes(sampler: Sampler, num_draws: int, num_languages: int) -> None:
    """Raises `ValueError` where `sampler` cannot have one of the pools that draws and evidence may need.

    Those of `num_draws`, for a prompt in the pivot language, and of each pivot's share of the evidence: said now,
    and not at the first prompt that needs one.
    """
    resized(sampler, num_draws)
    num_evidence = num_draws - size(sampler)
    for num_pivots in range(1, num_languages + 1):
        for share in set(_shares(num_evidence, num_pivots)):
            resized(sampler, share)


def _shares(n: int, num_parts: int) -> list[int]:
    """`n` dealt to so many in turn; those that get none are left out."""
    return [(n - i + num_parts - 1) // num_parts for i in range(min(n, num_parts))]


def evidence(sampler: Sampler, n: int, asked: Sequence[Prompt], rng: Random) -> Sequence[Request]:
    """`n` draws planned by `sampler`, dealt to the prompts `asked` in turn; each has its language."""
    if n < 1 or not asked:
        return []
    seed = rng.getrandbits(64)
    shares = _shares(n, len(asked))
    plans = [
        list(draws(resized(sampler, share)(prompt, Random(seed))))  # noqa: S311
        for share, prompt in zip(shares, asked, strict=False)
    ]
    dealt = [plans[i % len(plans)][i // len(plans)] for i in range(n)]
    return merged(replace(r, language=r.prompt.language) for r in dealt)
