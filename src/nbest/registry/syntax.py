"""The grammar of specs: text to Python's syntax tree, and the tree to plain values."""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbest.errors import SpecError

_WORDS = {"true": True, "false": False, "none": None}

_QUOTED = r"""(?:\b[rR])?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\")"""
_NO_ESCAPE = re.compile(r"""\\(?![\\'"abfnrtvxuUN0-7\n])""")
"""The backslash of `\\d`, `\\w`, `\\s`: Python knows no such escape, and regular expressions are full of them."""
_IN_CODE = r"""(?:(?<=[(,=\[])|\A)\s*[^\s'"(),=\[\]{}:][^'"(),=\[\]{}:]*:[^\W\d]\w*(?=\s*(?:[(),\]]|\Z))"""
_TOKEN = re.compile(f"(?P<quoted>{_QUOTED})|(?P<in_code>{_IN_CODE})", re.DOTALL)
"""A text in quotes, or the place of a class in code where a value may stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A name with the parameters that are given, not yet read."""

    name: str
    positional: Sequence[Any] = ()
    named: Mapping[str, Any]
    said: str
    """The text that it is part of, for messages."""


def read(spec: str) -> ast.expr:
    """The syntax tree of a spec. Raises `SpecError`."""
    text = spec.strip()
    if not text:
        raise SpecError("nothing is named: write a name and its parameters, as in  name(key=value)")
    try:
        return ast.parse(_TOKEN.sub(_in_quotes, text), mode="eval").body
    except (SyntaxError, ValueError):  # ValueError: a null byte
        raise SpecError(
            f"cannot read {spec!r}: write a name and its parameters, as in  name(key=value);"
            " put quotes around a value with spaces, slashes or dots"
        ) from None


def call_of(node: ast.expr, said: str) -> Call | None:
    """The name and the parameters that a node says; None where it says none. Raises `SpecError`."""
    match node:
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            return Call(name=name, named={}, said=said)
        case ast.Call(func=ast.Name(id=name) | ast.Constant(value=str(name)), args=args, keywords=keywords):
            return Call(name=name, positional=args, named=_named(keywords, said), said=said)
        case _:
            return None


def with_n(sampler: ast.expr, n: ast.expr) -> ast.expr:
    """The spec of a sampler, of n draws."""
    match sampler:
        case ast.Constant(value=str(text)):
            return with_n(read(text), n)
        case ast.Call(func=func, args=args, keywords=keywords):
            return ast.Call(func, args, [*keywords, ast.keyword("n", n)])
        case _:
            return ast.Call(sampler, [], [ast.keyword("n", n)])


def plain(hint: Any, node: ast.expr, where: str) -> Any:
    """The Python value of a node, for a parameter of type `hint`. Raises `SpecError` where it is none."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=word) if word.lower() in _WORDS and word not in typing.get_args(hint):
            return _WORDS[word.lower()]
        case ast.Name(id=word):
            return word
        case ast.Attribute(value=ast.Name(id=stem), attr=suffix):  # a file beside: plan.toml
            return f"{stem}.{suffix}"
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [plain(item_type(hint), item, where) for item in items]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(typing.cast("list[ast.expr]", keys), values, strict=True)
            return {plain(str, key, where): plain(Any, value, where) for key, value in pairs}
        case _:
            raise SpecError(f"{where}: {ast.unparse(node)!r} is no value; put quotes around text")


def item_type(hint: Any) -> Any:
    """The type of the items of a list or tuple."""
    inner = [part for part in typing.get_args(hint) if part is not Ellipsis]
    return inner[0] if inner else Any


def _in_quotes(token: re.Match[str]) -> str:
    if token["quoted"] is not None:
        is_raw = token["quoted"][0] in "rR"
        return token["quoted"] if is_raw else _NO_ESCAPE.sub(r"\\\\", token["quoted"])
    return repr(token["in_code"].strip())


def _named(keywords: Sequence[ast.keyword], said: str) -> dict[str, ast.expr]:
    named: dict[str, ast.expr] = {}
    for keyword in keywords:
        if keyword.arg is None:
            raise SpecError(f"** has no meaning in {said!r}")
        if keyword.arg in named:
            raise SpecError(f"{keyword.arg} is given twice in {said!r}")
        named[keyword.arg] = keyword.value
    return named
