"""A pool asked for in several ways."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import ClassVar

import msgspec

from nbest.demand import Demand, demand_of
from nbest.errors import InputError
from nbest.protocols import FreeText, Sampler, ServerPath
from nbest.sampling.hedged import Hedged
from nbest.sampling.spread import draws, merged, resized, size
from nbest.sampling.turn_templates import PLACE, checked, wrapped
from nbest.text.language_tags import closest_tag
from nbest.types import Prompt, Request, replace


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of a file of variants."""

    text: str
    language: str | None = None
    task: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Prompt variants × temperature: any sampler's plan, its draws dealt to the variants in turn.

    A variant is a text with `{prompt}` where the last user turn goes; `"{prompt}"` alone is the turn as
    the user wrote it. Draw i takes variant i mod V, so of `hedged` the greedy draw takes the first one:
    put the plain turn there to keep what the user gets today in the pool.
    """

    is_open_to_clients: ClassVar[bool] = True

    sampler: Sampler = field(default_factory=Hedged)
    variants: tuple[FreeText, ...] = ()
    file: ServerPath | None = None
    """TOML file instead: rows `[[variants]]` with `text`, and `language` and `task` where a row is for
    prompts of that kind only; rows for `pt` hold for `pt-BR` where there are none for that. A prompt that no
    row fits is asked as it is."""
    n: int | None = None
    """Size of the pool; the sampler's own without it."""

    def __post_init__(self) -> None:
        if bool(self.variants) == bool(self.file):
            raise ValueError(
                f'prompts needs either variants=["{PLACE}", "… {PLACE} …"] or file=PATH of such texts'
            )
        for text in self.variants:
            checked(text, f"variant {text!r}")
        if self.n is None:
            object.__setattr__(self, "n", size(self.sampler))
        object.__setattr__(self, "sampler", resized(self.sampler, size(self)))

    def demand(self, n: int, steps: int) -> Demand:
        within = demand_of(self.sampler)
        most_copies = max((text.count(PLACE) for text in self.variants), default=1)
        return within._replace(copies=within.copies * most_copies)

    def __call__(self, prompt: Prompt, rng: Random) -> Sequence[Request]:
        plan = self.sampler(prompt, rng)
        worded_by_place: dict[tuple[int, str], Prompt] = {}
        """Each wording once, however many draws have it: prompts may be long."""

        def worded(request: Request, i: int) -> Request:
            texts = self.variants or _fitting(self.file or "", request.prompt)
            text = texts[i % len(texts)]
            place = (id(request.prompt), text)
            if place not in worded_by_place:
                worded_by_place[place] = wrapped(request.prompt, text)
            return replace(request, prompt=worded_by_place[place])

        return merged(worded(request, i) for i, request in enumerate(draws(plan)))


def _fitting(path: str, prompt: Prompt) -> Sequence[str]:
    """The texts for the prompt's task, of those for a language the ones that fit the prompt's best."""
    variants = [v for v in _read(path) if v.task in {None, prompt.task}]
    language = closest_tag(prompt.language, [v.language for v in variants if v.language is not None])
    return [v.text for v in variants if v.language in {None, language}] or [PLACE]


@cache
def _read(path: str) -> list[Variant]:
    try:
        rows = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("variants", [])
        variants = msgspec.convert(rows, list[Variant])
        for v in variants:
            checked(v.text, f"{path}: variant {v.text!r}")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file (of prompt variants)") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as e:
        raise InputError(f"{path}: {e}") from None
    except ValueError as e:
        raise InputError(str(e)) from None
    if not variants:
        raise InputError(f"{path}: no variants: write rows  [[variants]]  with  text")
    return variants
