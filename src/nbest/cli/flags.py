"""The one place that knows which flag sets which parameter of the library.

Errors of the library name parameters in backticks (`` `select` is empty ``); here they become flags (`--select is empty`).
"""

from __future__ import annotations

import re
from typing import Final

from nbest.errors import InputError

FLAG_BY_PARAMETER: Final = {
    "baseline": "--baseline",
    "bins": "--bins",
    "budgets": "--budgets",
    "cluster": "--cluster",
    "config": "--config",
    "concurrency": "--concurrency",
    "engine": "--engine",
    "engines": "--engine",
    "folds": "--folds",
    "host": "--host",
    "insecure": "--insecure",
    "language": "--language",
    "max_samples": "--max-samples",
    "max_total_tokens": "--max-total-tokens",
    "model": "--model",
    "nulls": "--nulls",
    "new_key": "--new-key",
    "out": "--out",
    "pilot": "--pilot",
    "params": "--params",
    "port": "--port",
    "price": "--price",
    "prices": "--price",
    "record": "--record",
    "resamples": "--resamples",
    "sample": "--sample",
    "score": "--score",
    "seconds": "--deadline",
    "seed": "--seed",
    "select": "--select",
    "sizes": "--n",
    "strategy": "--strategy",
    "task": "--task",
    "templates": "--templates",
    "to": "--to",
}
_NAMED: Final = re.compile(r"`([a-z_]+)`")


def with_flags(message: str) -> str:
    """`message` with each parameter in backticks replaced by the flag that sets it; others stay as they are."""
    return _NAMED.sub(lambda named: FLAG_BY_PARAMETER.get(named[1], named[0]), message)


def engine_table(given: list[str] | None) -> dict[str, str] | None:
    """`--engine SPEC --engine judge=SPEC` as a table of specs by role; without a role it is the policy's.

    Raises `InputError` where a role is named twice.
    """
    if not given:
        return None

    table: dict[str, str] = {}
    for text in given:
        role, equals, spec = text.partition("=")
        if not (equals and role.isidentifier()):
            role, spec = "policy", text
        if role in table:
            raise InputError(
                f"`engine` names two for {role}: {table[role]} and {spec}. Name one of them, or both in"
                " failover(engines=[…])"
            )
        table[role] = spec
    return table
