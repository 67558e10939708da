"""How a function becomes a command of `nbest`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand

from nbest.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Command:
    """A name, a function and examples: what `nbest --help` and the documentation are made from."""

    name: str
    function: Callable[..., None]
    examples: tuple[str, ...]

    def add_to(self, app: typer.Typer) -> None:
        """Makes this a command of `app`. The first line of its help is the function's docstring."""
        # Click keeps the line breaks of a paragraph that begins with a backspace.
        epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in self.examples)
        register = app.command(self.name, cls=_NoEmptyOptions, epilog=epilog)
        register(ungrouped(self.function))


def command(name: str, *examples: str) -> Callable[[Callable[..., None]], Command]:
    """Declares the decorated function a command. `examples` are lines for a shell."""

    def declare(function: Callable[..., None]) -> Command:
        return Command(name=name, function=function, examples=examples)

    return declare


def ungrouped(function: Callable[..., None]) -> Callable[..., None]:
    """`function` with each parameter that is a group of options (a dataclass) replaced by the group's fields."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    keyword_only = inspect.Parameter.KEYWORD_ONLY

    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        if parameter.name not in groups:
            parameters.append(parameter.replace(annotation=hint, kind=keyword_only))
            continue
        group = groups[parameter.name]
        field_hints = get_type_hints(group, include_extras=True)
        parameters += [
            inspect.Parameter(f.name, keyword_only, default=f.default, annotation=field_hints[f.name])
            for f in fields(group)
        ]

    def call(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{f.name: given.pop(f.name) for f in fields(group)})
        function(**given)

    call.__name__ = function.__name__
    call.__doc__ = function.__doc__
    call.__annotations__ = {}
    call.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    return call


class _NoEmptyOptions(TyperCommand):
    """Refuses an option with an empty value, such as `--out "$UNSET"`, in place of taking it for one left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(ctx).parse_args(list(args))
        for option in self.params:
            value = given.get(option.name or "")
            # An option that may be given several times has a list.
            is_empty = value == "" or (isinstance(value, list) and "" in value)
            if option.param_type_name == "option" and is_empty:
                raise InputError(f"{option.opts[0]} is empty: give it a value, or leave it out")
        return super().parse_args(ctx, args)
