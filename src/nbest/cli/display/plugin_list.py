"""Which plug-ins there are."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final

from rich.text import Text

from nbest import registry
from nbest.cli.display.console import out, print_json
from nbest.errors import SpecError

SHORT_STRATEGIES: Final = (
    "A search or selector is a strategy by itself: `beam(n=16, verifier=rollouts)` is"
    " `tree(search=beam(n=16), verifier=rollouts)`, and `best_of_n(n=8, scorer=logprob)` is"
    " `parallel(sampler=hedged(n=8), selector=best(scorer=logprob))`."
)
_PAPER: Final = re.compile(r"arXiv [0-9.]+\d")


def show_plugins(kind: str | None, *, as_json: bool) -> None:
    """Every plug-in of a kind, or of all: name, parameters with defaults, purpose and source.

    Raises `SpecError` for a kind that is none.
    """
    kinds = [kind] if kind else list(registry.TABLES)
    plugins_by_kind = {k: [describe(k, name) for name in registry.names(k)] for k in kinds}
    if as_json:
        print_json(plugins_by_kind)
        return

    for k, plugins in plugins_by_kind.items():
        out.print(k, style="bold")
        for plugin in plugins:
            out.print(_line(plugin))
        for alias, name in registry.OTHER_NAMES.get(k, {}).items():
            out.print(Text.assemble("  ", (alias, "cyan"), f"  The same as {name}."))
        if k == "strategies":
            out.print(Text("  " + SHORT_STRATEGIES.replace("`", "")))


def describe(kind: str, name: str) -> dict[str, Any]:
    """Name, parameters with their defaults, one paragraph of purpose, the paper, and whose it is.

    `package` is the installed package that declares the plug-in; None for ours. The summary of one that cannot be
    loaded says why.
    """
    package = registry.package_of(kind, name)
    described: dict[str, Any] = {
        "name": name,
        "parameters": {},
        "summary": "",
        "paper": None,
        "package": package,
    }
    try:
        cls: Any = registry.load(kind, name)
    except SpecError as e:
        return described | {"summary": f"cannot be loaded: {e}"}

    doc = cls.__doc__ or ""
    first_paragraph = " ".join(doc.split("\n\n")[0].split())
    paper = _PAPER.search(doc)
    fields = [f for f in dataclasses.fields(cls) if f.init and f.repr]
    return described | {
        "parameters": {f.name: _default_of(f) for f in fields},
        "summary": first_paragraph,
        "paper": paper[0] if paper else None,
    }


def _line(plugin: dict[str, Any]) -> Text:
    parameters = ", ".join(f"{name}={default}" for name, default in plugin["parameters"].items())
    package = f"  [{plugin['package']}]" if plugin["package"] else ""
    return Text.assemble(
        "  ", (plugin["name"], "cyan"), (f"({parameters})", "dim"), package, f"  {plugin['summary']}"
    )


def _default_of(f: dataclasses.Field[Any]) -> str:
    """The default as a spec would write it; `…` where there is none."""
    if f.default_factory is not dataclasses.MISSING:
        return registry.spec_of(f.default_factory())
    return "…" if f.default is dataclasses.MISSING else str(f.default)
