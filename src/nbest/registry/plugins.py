"""Classes behind names, names of classes, and the parameters of a class."""

from __future__ import annotations

import dataclasses
import importlib
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from nbest.errors import SpecError
from nbest.registry.names import KIND_BY_PROTOCOL, OTHER_NAMES, TABLES, WRITTEN_AS, singular
from nbest.registry.outside import CodeName, NoModuleError, class_in_code, code_name, declared, declared_class
from nbest.registry.shapes import misfit
from nbest.suggestions import did_you_mean, nearest

_written: dict[type, str] = {}
"""How a class of the user's own code was named in a spec, so that `name_of` gives that back."""


def names(kind: str) -> list[str]:
    """What may be named, sorted: our plug-ins, and those that installed packages declare."""
    return sorted({*table_of(kind), *declared(kind)})


def table_of(kind: str) -> Mapping[str, str]:
    """Our plug-ins of a kind. Raises `SpecError` for a kind that there is not."""
    if kind not in TABLES:
        raise SpecError(f"unknown kind {kind!r}{did_you_mean(kind, sorted(TABLES))}")
    return TABLES[kind]


def load(kind: str, name: str) -> type:
    """The class behind a name, or at the place in code that `name` says.

    Raises `SpecError` with the nearest names for an unknown one, and for a class that is no plug-in of this kind.
    """
    own = _own_class(kind, name)
    if own is not None:
        return own
    if name in declared(kind):
        return _checked(kind, name, declared_class(declared(kind)[name]))
    where = code_name(name)
    if where is None:
        raise unknown(kind, name)
    try:
        return _checked(kind, name, class_at(where))
    except NoModuleError as e:
        near = nearest(where.place, names(kind))
        if near is None:
            raise
        raise SpecError(f"{e}; did you mean {near!r}?") from None


def class_at(where: CodeName) -> type:
    """A class of the user's own code, whatever it is. Raises `SpecError`, as `class_in_code` does."""
    cls = class_in_code(where)
    _written[cls] = str(where)
    return cls


def unknown(kind: str, name: str, *further: str) -> SpecError:
    """The error for a name that nothing has; `further` names are allowed as well."""
    known = {*names(kind), *OTHER_NAMES.get(kind, {}), *further}
    return SpecError(f"unknown {singular(kind)} {name!r}{did_you_mean(name, sorted(known))}")


def names_plugin(kind: str, spec: str) -> bool:
    """Whether `spec` begins with the name of a plug-in of this kind, or with a class in code that is one.

    Raises `SpecError` for a place in code where no class is.
    """
    if begins_with_name(kind, spec):
        return True
    where = code_name(spec.partition("(")[0].strip("'\" "))
    return where is not None and misfit(kind, class_at(where)) is None


def begins_with_name(kind: str, spec: str) -> bool:
    """Whether a spec begins with a name of this kind, before a parenthesis or a colon."""
    name = spec.partition("(")[0].partition(":")[0].strip()
    return name in table_of(kind) or name in OTHER_NAMES.get(kind, {}) or name in declared(kind)


def package_of(kind: str, name: str) -> str | None:
    """The installed package that declares a name; None for ours."""
    point = declared(kind).get(name)
    if name in table_of(kind) or point is None or point.dist is None:
        return None
    return point.dist.name


@cache
def _name_in_table(cls: type) -> str | None:
    target = f"{cls.__module__}:{cls.__qualname__}"
    for table in TABLES.values():
        for name, value in table.items():
            if value == target:
                return name
    return None


def name_of(cls: type) -> str:
    """The name of a class in specs: ours, a package's, or else the place of the class in code."""
    name = _name_in_table(cls) or _written.get(cls)
    if name is not None:
        return name
    is_importable = "<locals>" not in cls.__qualname__
    if is_importable:
        return f"{cls.__module__}:{cls.__qualname__}"
    return cls.__name__


@cache
def fields_of(cls: Any) -> Mapping[str, dataclasses.Field[Any]]:
    """The parameters of a plug-in, by name."""
    return {f.name: f for f in dataclasses.fields(cls) if f.init}


@cache
def types_of(cls: type) -> Mapping[str, Any]:
    """The types of a plug-in's parameters, with their marks. Raises `SpecError` where one cannot be worked out."""
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except NameError as e:
        raise SpecError(
            f"{cls.__name__}: the type of a parameter cannot be worked out, {e}: import it outside of TYPE_CHECKING"
        ) from None


def kind_of(hint: Any) -> str | None:
    """The kind of plug-in that a parameter of this type takes; None for values."""
    for option in options_of(hint):
        if option in KIND_BY_PROTOCOL:
            return KIND_BY_PROTOCOL[option]
    return None


def options_of(hint: Any) -> tuple[Any, ...]:
    """The parts of a union; of any other type, itself."""
    is_union = typing.get_origin(hint) in {typing.Union, types.UnionType}
    return typing.get_args(hint) if is_union else (hint,)


def is_required(f: dataclasses.Field[Any]) -> bool:
    """Whether a parameter has no default."""
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def default_of(f: dataclasses.Field[Any]) -> Any:
    """The default of a parameter; `dataclasses.MISSING` without one."""
    if f.default_factory is dataclasses.MISSING:
        return f.default
    return f.default_factory()


@cache
def _own_class(kind: str, name: str) -> type | None:
    """One of ours; None where the name is not in our table."""
    table = table_of(kind)
    name = OTHER_NAMES.get(kind, {}).get(name, name)
    spelt = WRITTEN_AS.get(kind, {}).get(name)
    if spelt is not None:
        raise SpecError(f"{name} is a parameter: write {spelt}")
    if name not in table:
        return None
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _checked(kind: str, name: str, cls: type) -> type:
    why = misfit(kind, cls)
    if why is not None:
        raise SpecError(f"{name}: {why}")
    _written.setdefault(cls, name)
    return cls
