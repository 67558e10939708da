"""`nbest judge`: recorded runs against each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nbest.cli.command import command
from nbest.cli.exits import interruptible
from nbest.cli.options import AsJson, Cluster, Concurrency, JudgeOptions, Seed, run_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbest.arena.judged_games import Judging
    from nbest.arena.pairings import Game
    from nbest.settings.run import Settings


@command(
    "judge",
    "nbest judge runs/first runs/mbr --engine openai:http://localhost:8001/v1 --out verdicts/first-mbr",
    "nbest judge new=runs/mbr old=runs/first --out verdicts/first-mbr --nulls tie --json",
)
def judge(
    out: Annotated[Path, typer.Option(help="Directory of verdicts; games it lacks are judged and added.")],
    engine: JudgeOptions,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Two or more run directories, or NAME=DIRECTORY.", show_default="all that --out holds"
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The run that the others are measured against.", show_default="first")
    ] = None,
    pairs: Annotated[
        Literal["all", "baseline"],
        typer.Option(help="Which runs meet: all of them, or each the baseline only."),
    ] = "all",
    cluster: Cluster = None,
    nulls: Annotated[
        Literal["skip", "tie"],
        typer.Option(help="A pair with a game without a verdict is left out, or a tie."),
    ] = "skip",
    max_tokens: Annotated[int, typer.Option(min=1, help="Of each of the judge's replies.")] = 2048,
    template_language: Annotated[
        Literal["prompt", "en"], typer.Option(help="Language of the judge's instructions.")
    ] = "en",
    templates: Annotated[
        str | None, typer.Option(help="Your own template: a file, or a directory with one per language.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Bootstrap resamples of clusters.")] = 1000,
    seed: Seed = None,
    concurrency: Concurrency = None,
    as_json: AsJson = False,
) -> None:
    """Judge recorded runs against each other; print win-rates.

    Every pair is judged in both orders. --engine is the judge. Without it only verdicts that are recorded already are read.
    """
    from nbest.arena.judged_games import Judging, read_verdicts
    from nbest.arena.pairings import games_between, named_runs, read_answers, unanswered
    from nbest.arena.winrate import win_rates
    from nbest.cli.display import verdicts

    settings = run_settings(engine, seed=seed, concurrency=concurrency)
    systems = {name: read_answers(path) for name, path in named_runs(runs or []).items()}
    games: Sequence[Game] = []
    if systems or engine.engine:
        games = games_between(systems, baseline=baseline, pairs=pairs)

    if engine.engine:
        judging = Judging(
            max_tokens=max_tokens,
            template_language=template_language,
            templates=templates,
            seed=settings.seed,
        )
        _play(games, judging, settings, out)

    rates = win_rates(
        read_verdicts(out, games),
        baseline=baseline or next(iter(systems), None),
        cluster=cluster,
        nulls=nulls,
        unanswered=unanswered(systems),
        resamples=resamples,
        seed=settings.seed,
    )
    verdicts.show_win_rates(rates, as_json=as_json)


def _play(games: Sequence[Game], judging: Judging, settings: Settings, out: Path) -> None:
    """Has the games judged that `out` does not hold yet, and records the verdicts there."""
    from nbest.arena.judged_games import judge as judge_games
    from nbest.cli.display import run_progress
    from nbest.records import RunWriter

    engines = settings.engines()
    judge_engine = engines.get("judge") or engines["policy"]

    async def work() -> None:
        try:
            with (
                RunWriter(out, judging.config(judge_engine)) as writer,
                run_progress.progress(len(games), writer) as on_outcome,
            ):
                await judge_games(
                    games,
                    judging,
                    judge_engine,
                    writer,
                    concurrency=settings.concurrency,
                    on_outcome=on_outcome,
                )
        finally:
            for e in engines.values():
                await e.aclose()

    interruptible(work(), out)
