"""What a recorded strategy was made of: its sampler, its selector, and a short name for it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from nbest import registry
from nbest.errors import NbestError
from nbest.selection.best import Best
from nbest.selection.likelihood import Likelihood

_NAMES_CODE: Final = re.compile(r"[\w./-]:[A-Za-z_]")
"""`mine.py:Shortest`, `package.module:Class`: a record that is read must not make code run."""


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
