"""Whether a class can be used as a plug-in of a kind, and in words why not."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from nbest.registry.names import PROTOCOL_BY_KIND, singular

_RESULT_BY_KIND = {"selectors": "Selection", "scorers": "Score"}
"""Both are called alike; what they return tells them apart, where the class says it."""
_POSITIONAL = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}


def misfit(kind: str, cls: type) -> str | None:
    """Why `cls` is no plug-in of `kind`; None where it is one.

    A plug-in is a frozen dataclass with the methods of the kind's protocol, whose parameters have the same names (an
    underscore before one is allowed), and which are coroutines where the protocol's are.
    """
    why = _shortcoming(kind, cls)
    if why is None:
        return None

    fitting = [other for other in PROTOCOL_BY_KIND if _shortcoming(other, cls) is None]
    if fitting:
        return f"{cls.__name__} is no {singular(kind)}: it is a {singular(fitting[0])}"
    return f"{cls.__name__} is no {singular(kind)}: {why}"


def _shortcoming(kind: str, cls: type) -> str | None:
    wanted = _members(PROTOCOL_BY_KIND[kind])
    fields = getattr(cls, "__dataclass_fields__", {})
    defined = {name for base in cls.__mro__ for name in vars(base)}  # `hasattr` finds every class callable
    missing = [name for name in wanted if name not in fields and name not in defined]
    if missing:
        return f"it has no {' and no '.join(missing)}"

    for name, method in wanted.items():
        why = _difference(name, getattr(cls, name), method) if callable(method) else None
        if why is not None:
            return why

    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "it is no frozen dataclass; write  @dataclass(frozen=True, kw_only=True)  above it"
    return _wrong_result(kind, cls)


def _members(protocol: Any) -> Mapping[str, Any]:
    """Methods and properties of a protocol, by name."""
    members: dict[str, Any] = {}
    defined: Mapping[str, Any] = protocol.__dict__
    for name, member in defined.items():
        is_public = name == "__call__" or not name.startswith("_")
        if is_public and (inspect.isfunction(member) or isinstance(member, property)):
            members[name] = member
    return members


def _difference(name: str, own: Any, wanted: Callable[..., Any]) -> str | None:
    """How a method differs from the protocol's: in its parameters, or in being a coroutine."""
    names = list(inspect.signature(wanted).parameters)
    try:
        signature = inspect.signature(own)
    except ValueError:  # one that is written in C
        return None

    positional = [p for p in signature.parameters.values() if p.kind in _POSITIONAL]
    own_names = [p.name.lstrip("_") for p in positional]
    has_same_names = all(own == name for own, name in zip(own_names, names, strict=False))
    if not has_same_names or not _takes(signature, len(names)):
        return f"{name} must take ({', '.join(names[1:])})"
    if inspect.iscoroutinefunction(wanted) and not inspect.iscoroutinefunction(own):
        return f"{name} must be  async def"
    if inspect.iscoroutinefunction(own) and not inspect.iscoroutinefunction(wanted):
        return f"{name} must not be async"
    return None


def _takes(signature: inspect.Signature, num_arguments: int) -> bool:
    try:
        signature.bind(*range(num_arguments))
    except TypeError:
        return False
    return True


def _wrong_result(kind: str, cls: type) -> str | None:
    if kind not in _RESULT_BY_KIND:
        return None
    annotation = getattr(cls.__call__, "__annotations__", {}).get("return", "")
    returned = annotation if isinstance(annotation, str) else repr(annotation)
    others = [result for other, result in _RESULT_BY_KIND.items() if other != kind]
    if _RESULT_BY_KIND[kind] not in returned and any(result in returned for result in others):
        return f"__call__ must return {_RESULT_BY_KIND[kind]}, not {returned}"
    return None
