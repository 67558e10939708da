"""Whether a class can be used as a plug-in of a kind, and in words why not."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from nbest.registry.names import PROTOCOL_BY_KIND, singular

_RESULT_BY_KIND = {"selectors": "Selection", "scorers": "Score"}
"""Both are called alike; what they return tells them apart, where the class says it."""


def misfit(kind: str, cls: type) -> str | None:
    """Why `cls` is no plug-in of `kind`; None where it is one.

    A plug-in is a frozen dataclass with the methods of the kind's protocol, which take as many arguments, and are
    coroutines where the protocol's are.
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
    missing = [name for name in wanted if name not in fields and not hasattr(cls, name)]
    if missing:
        return f"it has no {' and no '.join(missing)}"

    for name, method in wanted.items():
        if callable(method) and (why := _difference(name, getattr(cls, name), method)):
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
    """How a method differs from the protocol's."""
    parameters = list(inspect.signature(wanted).parameters)
    try:
        inspect.signature(own).bind(*parameters)
    except TypeError:
        return f"{name} must take ({', '.join(parameters[1:])})"
    except ValueError:  # a class whose signature nobody knows
        return None
    if inspect.iscoroutinefunction(wanted) and not inspect.iscoroutinefunction(own):
        return f"{name} must be  async def"
    if inspect.iscoroutinefunction(own) and not inspect.iscoroutinefunction(wanted):
        return f"{name} must not be async"
    return None


def _wrong_result(kind: str, cls: type) -> str | None:
    if kind not in _RESULT_BY_KIND:
        return None
    annotation = getattr(cls.__call__, "__annotations__", {}).get("return", "")
    returned = annotation if isinstance(annotation, str) else repr(annotation)
    others = [result for other, result in _RESULT_BY_KIND.items() if other != kind]
    if _RESULT_BY_KIND[kind] not in returned and any(result in returned for result in others):
        return f"__call__ must return {_RESULT_BY_KIND[kind]}, not {returned}"
    return None
