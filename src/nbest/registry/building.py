"""Plug-ins from the syntax tree of a spec."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from nbest.errors import SpecError
from nbest.protocols import is_open_to_clients, on_server
from nbest.registry.names import OTHER_NAMES, OTHER_PARAMETERS, PART_OF, TABLES, WRITTEN_AS, singular
from nbest.registry.outside import code_name, declared
from nbest.registry.plugins import (
    begins_with_name,
    class_at,
    default_of,
    fields_of,
    is_required,
    kind_of,
    load,
    names,
    options_of,
    types_of,
    unknown,
)
from nbest.registry.shapes import misfit
from nbest.registry.syntax import Call, call_of, item_type, plain, read, with_n
from nbest.suggestions import did_you_mean


@dataclass(frozen=True, slots=True)
class _Built:
    """A plug-in that stands where a node would."""

    plugin: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecReader:
    """Reads specs; those of a client of the gateway with narrower rights."""

    is_from_client: bool = False

    def plugin(self, kind: str, spec: str) -> Any:
        """The plug-in of a spec. Raises `SpecError`."""
        name, colon, rest = spec.strip().partition(":")
        if colon and name.isidentifier() and not _is_in_code(kind, spec):
            call = Call(name=name, positional=[ast.Constant(rest)], named={}, said=spec)
            return self._build(kind, call)
        return self._from_node(kind, read(spec), spec)

    def _from_node(self, kind: str, node: ast.expr, said: str) -> Any:
        call = call_of(node, said)
        if call is None:
            raise SpecError(f"{said!r} names no {singular(kind)}. Known: {', '.join(names(kind))}")

        if isinstance(node, ast.Constant) and not _is_in_code(kind, call.name):
            return self.plugin(kind, call.name)
        return self._build(kind, call)

    def _build(self, kind: str, call: Call) -> Any:
        self._check_name(call.name)
        if kind == "strategies":
            part_kind = self._part_kind(call.name)
            if part_kind is not None:
                return self._strategy_around(part_kind, call)

        cls = load(kind, call.name)
        if self.is_from_client and not is_open_to_clients(cls):
            raise SpecError(f"{call.name} is for presets only, which the server's configuration names")

        given = _given(cls, call)
        self._check_parameters(kind, cls, call.name, given)
        hints = types_of(cls)
        values = {key: self._value(hints[key], node, f"{call.name}({key}=…)") for key, node in given.items()}
        return _made(cls, call.name, values)

    def _check_name(self, name: str) -> None:
        """Raises `SpecError` for a client's spec that names a class in code, before anything is imported."""
        if self.is_from_client and code_name(name) is not None:
            raise SpecError(
                f"{name} names a class in code, which is for presets only, which the server's configuration names"
            )

    def _check_parameters(self, kind: str, cls: type, name: str, given: Mapping[str, Any]) -> None:
        fields = fields_of(cls)
        for key in given:
            if key not in fields:
                raise SpecError(f"{name} has no parameter {key!r}{_instead(kind, name, key, list(fields))}")
            reached = on_server(types_of(cls)[key])
            if self.is_from_client and reached is not None:
                raise SpecError(f"{name}({key}=…) names {reached.what} of the server: it is for presets only")

    # A strategy that is named by its search or selector.

    def _part_kind(self, name: str) -> str | None:
        """The kind of part that names its strategy here; None where the name is a strategy's own.

        Raises `SpecError` for a name that is neither.
        """
        if name in TABLES["strategies"]:
            return None
        for kind in PART_OF:
            if name in TABLES[kind] or name in OTHER_NAMES.get(kind, {}):
                return kind
            if name in WRITTEN_AS.get(kind, {}):
                load(kind, name)  # raises, with how it is written

        if name in declared("strategies"):
            return None
        for kind in PART_OF:
            if name in declared(kind):
                return kind
        where = code_name(name)
        if where is not None:
            return _part_kind_of_class(class_at(where))

        parts = [part for kind in PART_OF for part in (*names(kind), *OTHER_NAMES.get(kind, {}))]
        raise unknown("strategies", name, *parts)

    def _strategy_around(self, part_kind: str, call: Call) -> Any:
        """The strategy around a search or selector: each parameter goes to the one that has it, `n` to the sampler."""
        whole, slot = PART_OF[part_kind]
        inner = fields_of(load(part_kind, call.name))
        _check_split(part_kind, call)

        mine = {key: node for key, node in call.named.items() if key in inner}
        rest = {key: node for key, node in call.named.items() if key not in inner}
        part = Call(name=call.name, positional=call.positional, named=mine, said=call.said)
        if "n" in rest:
            rest["sampler"] = with_n(rest.get("sampler", _default_sampler(whole)), rest.pop("n"))
        rest[slot] = _Built(self._build(part_kind, part))
        return self._build("strategies", Call(name=whole, named=rest, said=call.said))

    # Values of parameters.

    def _value(self, hint: Any, node: Any, where: str) -> Any:
        """The Python value of one parameter, checked against the field's type."""
        if isinstance(node, _Built):
            return node.plugin

        kind = kind_of(hint)
        if kind is not None:
            return self._nested(kind, hint, node, where)

        item_kind = kind_of(item_type(hint))
        if item_kind is not None and isinstance(node, ast.List | ast.Tuple):
            return tuple(self._nested(item_kind, item_type(hint), item, where) for item in node.elts)
        return _converted(hint, plain(hint, node, where), where)

    def _nested(self, kind: str, hint: Any, node: ast.expr, where: str) -> Any:
        """A plug-in inside another one; None where the parameter may be none."""
        says_none = isinstance(node, ast.Name | ast.Constant) and plain(hint, node, where) is None
        if says_none and type(None) in options_of(hint):
            return None
        if isinstance(node, ast.Name | ast.Call):
            return self._from_node(kind, node, where)
        value = plain(hint, node, where)
        return self.plugin(kind, str(value))


def _part_kind_of_class(cls: type) -> str | None:
    """The kind of part that a class of the user's code is; None for a strategy, and for what is neither."""
    if misfit("strategies", cls) is None:
        return None
    fitting = [kind for kind in PART_OF if misfit(kind, cls) is None]
    return next(iter(fitting), None)


def _is_in_code(kind: str, spec: str) -> bool:
    """Whether a spec begins with the place of a class in code, and not with a name and its first parameter."""
    kinds = [kind]
    if kind == "strategies":
        kinds += PART_OF
    if any(begins_with_name(k, spec) for k in kinds):
        return False
    return code_name(spec.partition("(")[0]) is not None


def _given(cls: type, call: Call) -> dict[str, Any]:
    """What a call gives, by parameter: under the parameters' names of today, the positional one first."""
    fields = list(fields_of(cls))
    named = _under_names_of_today(cls, call)
    if len(call.positional) > 1:
        raise SpecError(
            f"{call.name} takes one value without a name, got {len(call.positional)} in {call.said!r}"
        )
    if call.positional and (not fields or fields[0] in named):
        raise SpecError(f"too many values for {call.name} in {call.said!r}")
    return {**dict(zip(fields, call.positional, strict=False)), **named}


def _under_names_of_today(cls: type, call: Call) -> dict[str, Any]:
    name_by_earlier = OTHER_PARAMETERS.get(f"{cls.__module__}:{cls.__name__}", {})
    named: dict[str, Any] = {}
    for key, node in call.named.items():
        name = name_by_earlier.get(key, key)
        if name in named:
            raise SpecError(f"{name} is given twice in {call.said!r}, once under its earlier name")
        named[name] = node
    return named


def _made(cls: type, name: str, values: Mapping[str, Any]) -> Any:
    """The plug-in with these parameters. Raises `SpecError` for one that is missing, or that it refuses."""
    missing = [key for key, f in fields_of(cls).items() if is_required(f) and key not in values]
    if missing:
        raise SpecError(f"{name} needs {', '.join(missing)}: write {name}({missing[0]}=…)")
    try:
        return cls(**values)
    except ValueError as e:
        raise SpecError(f"{name}: {e}") from None


def _instead(kind: str, name: str, key: str, fields: list[str]) -> str:
    """What to write instead of an unknown parameter: one of `fields`, or a plug-in of a kindred name that has it."""
    hint = ": it takes none"
    if fields:
        hint = did_you_mean(key, sorted(fields))
    kin = [n for n in TABLES[kind] if n.endswith(f"_{name}") or n.startswith(f"{name}_")]
    having = [n for n in kin if key in fields_of(load(kind, n))]
    if not having:
        return hint
    have = "have" if len(having) > 1 else "has"
    return f"{hint}. {' and '.join(having)} {have} one"


def _check_split(part_kind: str, call: Call) -> None:
    """Raises `SpecError` where a parameter is of neither the part nor the strategy, of both, or is missing."""
    whole, slot = PART_OF[part_kind]
    inner = fields_of(load(part_kind, call.name))
    outer = {key: f for key, f in fields_of(load("strategies", whole)).items() if key != slot}
    earlier = OTHER_PARAMETERS.get(TABLES["strategies"][whole], {})
    known = {*inner, *outer, *earlier}
    if "sampler" in outer:
        known.add("n")

    name = call.name
    for key in call.named:
        if key not in known:
            raise SpecError(f"{name} has no parameter {key!r}{did_you_mean(key, sorted(known - {*earlier}))}")
        if key in inner and key in outer:
            raise SpecError(
                f"{key} is a parameter of {name} and of {whole}: write {whole}({slot}={name}({key}=…), {key}=…)"
            )
    for key, f in outer.items():
        if is_required(f) and key not in call.named:
            raise SpecError(f"{name} needs {key}: write {name}({key}=…)")


def _default_sampler(strategy: str) -> ast.expr:
    from nbest.registry.specs import spec_of  # noqa: PLC0415 (it reads specs with this module)

    return read(spec_of(default_of(fields_of(load("strategies", strategy))["sampler"])))


def _converted(hint: Any, value: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError as e:
        said = str(e)
        raise SpecError(f"{where}: {said[0].lower()}{said[1:]}") from None
