"""Writes the pages that are generated from code: docs/methods.md and docs/cli.md. `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from nbest import registry
from nbest.cli.display.plugin_list import SHORT_STRATEGIES, describe
from nbest.cli.main import app

DOCS = Path(__file__).parents[1] / "docs"
PURPOSE = {
    "strategies": "From a prompt to one answer (`--strategy`).",
    "samplers": "Which candidates are drawn (`--sample`).",
    "selectors": "Which candidate wins (`--select`).",
    "scorers": "How good a candidate is, for `best(…)` and `vote(weight=…)`.",
    "stops": "When more draws are not worth their tokens, for `parallel(stop=…)`; see [stopping](stopping.md).",
    "searches": "Which partial answers are continued, for `tree(search=…)`.",
    "utilities": "How similar two texts are, for `mbr(utility=…)`.",
    "tasks": "Data sets with the way their answers are graded (`nbest run mgsm`, `nbest eval --task`).",
    "engines": "Where text comes from (`--engine`).",
}


def methods() -> str:
    """Every plug-in in a table, kind by kind."""
    lines = [
        "# Methods",
        "",
        "Generated from the code by `scripts/generate_docs.py`; `nbest list` prints the same.",
    ]
    for kind in registry.TABLES:
        lines += [
            "",
            f"## {kind}",
            "",
            PURPOSE[kind],
            "",
            "| name | parameters | what it does |",
            "|---|---|---|",
        ]
        for name in sorted(registry.TABLES[kind]):
            plugin = describe(kind, name)
            parameters = ", ".join(f"`{k}={v}`" for k, v in plugin["parameters"].items()).replace("\n", "\\n")
            summary = plugin["summary"].replace("|", "\\|")
            lines.append(f"| `{name}` | {parameters} | {summary} |")
        for other, name in registry.OTHER_NAMES.get(kind, {}).items():
            lines.append(f"| `{other}` | | The same as `{name}`. |")
        if kind == "strategies":
            lines += ["", SHORT_STRATEGIES]
    return "\n".join(lines) + "\n"


def command_line() -> str:
    """Every command with its options."""
    root = typer.main.get_command(app)
    lines = [
        "# Command line",
        "",
        "Generated from the code by `scripts/generate_docs.py`; `nbest COMMAND --help` prints the same.",
    ]
    for name, command in _commands(root):
        examples = [line.strip() for line in command.epilog.splitlines() if line.startswith("  ")]
        lines += ["", f"## nbest {name}", "", (command.help or "").strip(), ""]
        lines += ["```sh", *examples, "```", "", "| | |", "|---|---|"]
        for parameter in command.params:
            is_option = parameter.param_type_name == "option"
            spelled = ", ".join(parameter.opts) if is_option else parameter.name
            text = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
            lines.append(f"| `{spelled}` | {text} |")
    return "\n".join(lines) + "\n"


def _commands(group):  # noqa: ANN001, ANN202
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from ((f"{name} {sub}", c) for sub, c in _commands(command))
        else:
            yield name, command


def pages() -> dict[Path, str]:
    """The text that each generated page should have."""
    return {DOCS / "methods.md": methods(), DOCS / "cli.md": command_line()}


def main() -> int:
    """Writes or compares; 1 where a page is out of date."""
    stale = []
    for file, text in pages().items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(file.name)
            if "--check" not in sys.argv:
                file.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"out of date: {', '.join(stale)}; run  python scripts/generate_docs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
