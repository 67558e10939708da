"""What a recorded strategy was made of: its sampler, its selector, and a short name for it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from nbest import registry
from nbest.demand import plugins_within
from nbest.errors import NbestError
from nbest.selection.best import Best
from nbest.selection.likelihood import Likelihood
from nbest.selection.vote import Vote

_NAMES_CODE: Final = re.compile(r"[\w./-]:[A-Za-z_]")
"""`mine.py:Shortest`, `package.module:Class`: a record that is read must not make code run."""

_FROM_RECORDS: Final = frozenset({
    "best", "bleu", "chrf", "deep_conf", "edit", "first", "guard", "likelihood", "logprob", "mbr", "random",
    "recorded", "self_certainty", "token_f1", "vote", "xmbr",
})  # fmt: skip
"""Selectors, scorers and utilities that neither ask an engine nor load a model."""


class Method(NamedTuple):
    """A strategy's or selector's parts, as far as its spec and the plug-ins installed here tell."""

    label: str
    sampler: str
    """Spec of how the pool was drawn; empty where nothing was drawn or it cannot be told."""
    selector: object | None
    """What chose; None where it cannot be told."""

    @property
    def scores_one_by_one(self) -> bool:
        """Whether a candidate's score is the same in every pool, so that it also ranks the parts of the pool.

        True of best-of-N by a scorer, which sees one candidate at a time. Votes, MBR, tournaments and judges
        of whole pools score a candidate by the others: their choice from a smaller pool is another choice.
        """
        return isinstance(self.selector, Best | Likelihood)


@lru_cache(maxsize=256)
def method_of(spec: str) -> Method:
    """The parts of `Outcome.strategy`.

    A spec of plug-ins that are not installed here, or that names code by its place, is its own label.
    """
    if _NAMES_CODE.search(spec):
        return Method(spec, "", None)
    try:
        if registry.names_plugin("selectors", spec):
            return Method(spec, "", registry.parse("selectors", spec))
        strategy: Any = registry.parse("strategies", spec)
    except (NbestError, ImportError):
        return Method(spec, "", None)

    sampler, selector = getattr(strategy, "sampler", None), getattr(strategy, "selector", None)
    if sampler is None or selector is None:
        return Method(spec, "", selector)
    drawn = registry.spec_of(sampler)
    return Method(f"{drawn} → {registry.spec_of(selector)}", drawn, selector)


@lru_cache(maxsize=256)
def can_choose_again(spec: str) -> bool:
    """Whether a strategy's selector sees the whole pool, and needs no model to choose from a part of a recorded one.

    Not the plain vote: `majority_at_k` counts its choices out.
    """
    method = method_of(spec)
    if method.selector is None or method.scores_one_by_one or method.selector == Vote():
        return False
    return _computes(method.selector)


def _computes(plugin: object) -> bool:
    """Whether a plug-in and those within it read records alone."""
    if registry.name_of(type(plugin)) not in _FROM_RECORDS:
        return False
    return all(map(_computes, plugins_within(plugin)))
