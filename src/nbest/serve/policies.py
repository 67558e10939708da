"""Which strategy answers a request: the server's, a preset, or one that the client wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard, cast

from nbest import registry
from nbest.errors import InputError, SpecError
from nbest.protocols import Strategy

_MAX_SPEC = 1000
OPEN: Mapping[str, frozenset[str]] = {
    "strategies": frozenset(
        {"budget_forcing", "cross_lingual", "parallel", "revise", "rsa", "self_refine", "short_m_at_k", "tree"}
    ),
    "samplers": frozenset({"greedy", "hedged", "iid", "ladder", "prompts", "translated"}),
    "selectors": frozenset(
        {
            "best", "chops", "first", "fuse", "guard", "judge_pairwise", "likelihood", "mbr", "random",
            "tournament", "vote", "xmbr",
        }
    ),
    "scorers": frozenset(
        {"deep_conf", "judge", "logprob", "rollouts", "self_certainty", "step_judge", "token_prm"}
    ),
    "searches": frozenset({"abmcts", "beam", "dora", "dvts", "particles", "rebase"}),
    "utilities": frozenset({"bleu", "chrf", "edit", "judged", "token_f1"}),
}  # fmt: skip
"""What clients may name: plug-ins that reach no address, file or process but the engines of the config."""
_CLOSED_FIELDS = frozenset(
    {"table", "templates", "file", "path", "url", "key_env", "python", "model", "command"}
)
"""Parameters that name files, addresses or programs, whatever plug-in they are of."""


def open_strategy(spec: str, *, max_n: int) -> Strategy:
    """A client's spec. Raises `InputError` for one that reaches further, or costs more, than clients may."""
    if len(spec) > _MAX_SPEC:
        raise InputError(f"the strategy is longer than {_MAX_SPEC} characters")
    try:
        strategy: Strategy = registry.parse("strategies", spec)
    except (SpecError, RecursionError, MemoryError) as e:
        raise InputError(f"strategy: {e}") from None
    names = frozenset[str]().union(*OPEN.values())
    for plugin in _plugins(strategy):
        name = registry.name_of(cast("type[Any]", type(plugin)))
        if name not in names:
            raise InputError(f"strategy: {name} is for presets only, which the server's configuration names")
        for f in dataclasses.fields(plugin):
            value = getattr(plugin, f.name)
            if f.name in _CLOSED_FIELDS and value is not None:
                raise InputError(f"strategy: {name}({f.name}=…) is for presets only")
            if _is_count(value, f.name) and value > max_n and value != f.default:
                raise InputError(
                    f"strategy: {name}({f.name}={value}) is above this server's limit of {max_n}"
                )
    return strategy


def _is_count(value: Any, field: str) -> TypeGuard[int]:
    """Whether a parameter multiplies work that no budget sees: tokens are counted as they are drawn."""
    return isinstance(value, int) and "token" not in field and field not in {"top_k", "seed"}


def _plugins(plugin: Any) -> Iterator[Any]:
    """A plug-in and those within it."""
    yield plugin
    for f in dataclasses.fields(plugin):
        value = getattr(plugin, f.name)
        several = cast("tuple[Any, ...]", value if isinstance(value, tuple) else (value,))
        for inner in several:
            if dataclasses.is_dataclass(inner):
                yield from _plugins(inner)
