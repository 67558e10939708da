"""The entry point `nbest`: every command, one file each."""

from __future__ import annotations

from typing import Annotated

import typer

from nbest.cli.ask_command import ask
from nbest.cli.compare_command import compare
from nbest.cli.demo_command import demo
from nbest.cli.draw_command import draw
from nbest.cli.eval_command import evaluate
from nbest.cli.exits import run_app
from nbest.cli.export_command import export
from nbest.cli.fit_commands import FIT_COMMANDS
from nbest.cli.judge_command import judge
from nbest.cli.lab_commands import LAB_COMMANDS
from nbest.cli.list_command import list_plugins
from nbest.cli.plan_commands import PLAN_COMMANDS
from nbest.cli.report_command import report
from nbest.cli.run_command import run
from nbest.cli.select_command import select
from nbest.cli.serve_command import serve
from nbest.cli.top_command import top as watch

COMMANDS = (
    ask,
    run,
    select,
    compare,
    evaluate,
    judge,
    report,
    draw,
    export,
    list_plugins,
    demo,
    serve,
    watch,
)
"""In the order of  nbest --help."""

# Without rich: help starts in half the time, and square brackets stay text, where rich takes them for markup.
app = typer.Typer(
    name="nbest",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
lab = typer.Typer(
    help="The laboratory: tiny models trained from scratch.", no_args_is_help=True, rich_markup_mode=None
)
fit = typer.Typer(help="Fit to recorded pools.", no_args_is_help=True, rich_markup_mode=None)
plan = typer.Typer(
    help="What compute would buy, from recorded pools.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(fit, name="fit")
app.add_typer(plan, name="plan")
app.add_typer(lab, name="lab")
for _command in COMMANDS:
    _command.add_to(app)
for _command in FIT_COMMANDS:
    _command.add_to(fit)
for _command in PLAN_COMMANDS:
    _command.add_to(plan)
for _command in LAB_COMMANDS:
    _command.add_to(lab)


@app.callback(invoke_without_command=True)
def top(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False
) -> None:
    """Better answers from any language model, in any language, by spending compute at inference time."""
    if version:
        from nbest import __version__  # noqa: PLC0415 (imports the library)

        print(__version__)
        raise typer.Exit


def main() -> None:
    """Runs the command line with the arguments of this process."""
    run_app(app)
