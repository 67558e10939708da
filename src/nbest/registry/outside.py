"""Plug-ins that are not ours: entry points of installed packages, and classes in the user's own code."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from nbest.errors import SpecError
from nbest.suggestions import did_you_mean

_CODE_NAME = re.compile(r"(?P<place>[^:]+):(?P<class_name>[^\W\d]\w*)")


class NoModuleError(SpecError):
    """There is no module of the name that a spec says."""


class CodeName(NamedTuple):
    """Where a class stands in code: `mylib.rules:UnitTests`, `./mine.py:Shortest`."""

    place: str
    """A dotted module, or the path of a Python file, relative to the current directory."""
    class_name: str

    @property
    def is_file(self) -> bool:
        return self.place.endswith(".py") or "/" in self.place

    def __str__(self) -> str:
        return f"{self.place}:{self.class_name}"


def code_name(text: str) -> CodeName | None:
    """`text` as the place of a class in code; None where it is none."""
    match = _CODE_NAME.fullmatch(text.strip())
    if match is None:
        return None

    found = CodeName(match["place"], match["class_name"])
    is_module = all(part.isidentifier() for part in found.place.split("."))
    if is_module or found.is_file:
        return found
    return None


def class_in_code(where: CodeName) -> type:
    """The class that stands there.

    Raises `SpecError`, in one line, for a file, module or class that is not there, and for code that fails while it is
    imported, with its line.
    """
    load = _file_module if where.is_file else _module
    module = load(where.place)
    found = getattr(module, where.class_name, None)
    if isinstance(found, type):
        return found

    classes = [name for name, value in vars(module).items() if isinstance(value, type)]
    own = [name for name in classes if vars(module)[name].__module__ == module.__name__]
    raise SpecError(f"{where.place} has no class {where.class_name!r}{did_you_mean(where.class_name, own)}")


def function_in_code(where: CodeName) -> Callable[..., Any]:
    """The function that stands there. Raises `SpecError`, as `class_in_code` does."""
    load = _file_module if where.is_file else _module
    module = load(where.place)
    found = getattr(module, where.class_name, None)
    if callable(found) and not isinstance(found, type):
        return found
    own = [name for name, value in vars(module).items() if callable(value) and not isinstance(value, type)]
    raise SpecError(
        f"{where.place} has no function {where.class_name!r}{did_you_mean(where.class_name, own)}"
    )


@cache
def declared(kind: str) -> Mapping[str, EntryPoint]:
    """The entry points that installed packages declare in the group `nbest.<kind>`, by name.

    Raises `SpecError` where two packages declare one name for different classes.
    """
    by_name: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=f"nbest.{kind}"), key=lambda p: p.name):
        other = by_name.setdefault(point.name, point)
        if other.value != point.value:
            raise SpecError(
                f"two packages declare {point.name!r} for nbest.{kind}: {other.value} and {point.value}."
                " Uninstall one, or name the class itself"
            )
    return by_name


def declared_class(point: EntryPoint) -> type:
    """The class of an entry point. Raises `SpecError` in one line where it cannot be loaded."""
    where = code_name(point.value)
    if where is None:
        raise SpecError(f"{point.group}: {point.name} = {point.value!r} is not written module:Class")
    try:
        return class_in_code(where)
    except SpecError as e:
        package = point.dist.name if point.dist else point.module
        raise SpecError(f"{point.name} (of the package {package}): {e}") from None


def _module(name: str) -> ModuleType:
    _search_in(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as e:
        if e.name and f"{name}.".startswith(f"{e.name}."):
            raise NoModuleError(
                f"there is no module {e.name!r}, neither in the current directory nor among the installed packages"
            ) from None
        raise _import_failed(name, e) from None
    except (Exception, SystemExit) as e:  # noqa: BLE001 (whatever the user's code does)
        raise _import_failed(name, e) from None


def _file_module(place: str) -> ModuleType:
    """The module of a file, loaded once for each version of it."""
    path = Path(place).expanduser()
    if path.suffix != ".py":
        raise SpecError(f"{place} is no Python file: write the path of one, as in  ./mine.py:Shortest")
    if not path.is_file():
        raise SpecError(f"there is no file {place}, seen from the current directory {Path.cwd()}")

    path = path.resolve()
    version = f"{path}\n{path.stat().st_mtime_ns}"
    name = f"{path.stem}_{hashlib.sha256(version.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]

    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    _search_in(path.parent)
    sys.modules[name] = module  # dataclasses look their module up while they are made
    try:
        found.loader.exec_module(module)
    except (Exception, SystemExit) as e:  # noqa: BLE001 (whatever the user's code does)
        del sys.modules[name]
        raise _import_failed(place, e) from None
    return module


def _search_in(directory: Path) -> None:
    """Modules of `directory` can be imported from now on; installed ones come first."""
    if str(directory) not in sys.path:
        sys.path.append(str(directory))


def _import_failed(place: str, error: BaseException) -> SpecError:
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    in_one_line = " ".join(message.split())
    return SpecError(f"{place} cannot be imported: {type(error).__name__}{_line_of(error)}: {in_one_line}")


def _line_of(error: BaseException) -> str:
    """` at mine.py, line 3`: the innermost line that is neither Python's nor an installed package's; empty without one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {Path(error.filename).name}, line {error.lineno}"

    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    imported = [f for f in frames if f.filename not in {__file__, importlib.__file__}]
    installed = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
    own = [f for f in imported if not f.filename.startswith(installed)]
    chosen = own[-1:] or imported[:1]
    return "".join(f" at {Path(frame.filename).name}, line {frame.lineno}" for frame in chosen)
