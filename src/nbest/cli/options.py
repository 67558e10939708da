"""The options that commands share, each declared once: alone, or in groups that stand for several parameters.

A command takes a group as one parameter (`engine: EngineOptions`); `nbest.cli.command` shows typer the group's fields in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nbest.cli.flags import engine_table

if TYPE_CHECKING:
    from nbest.evaluate.scoring_engines import ScoringEngines
    from nbest.settings.run import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Cluster = Annotated[
    str | None,
    typer.Option(
        help="Column of the prompt file that translations of one prompt share: intervals are over its values.",
        show_default="cluster, where rows have it",
    ),
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Prompts in progress at the same time.", show_default="64")
]
Config = Annotated[
    str | None,
    typer.Option(help="TOML file with any of these settings; options given here take precedence."),
]
Language = Annotated[
    str | None, typer.Option(help="Language that the answer should be in, as a code such as ja or pt-BR.")
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        help="Active parameters of the model, for FLOPs: a number such as 8e9, or a file that holds it"
        " (model.gguf, config.json); llamacpp is the embedded model. Again as ROLE=… or ENGINE=…, such as judge=70e9.",
    ),
]
Pools = Annotated[str, typer.Argument(help="A run directory, or JSONL of pools recorded by other tools.")]
Score = Annotated[
    str | None,
    typer.Option(
        help="How answers are measured: a scorer, a grader such as contains or judge, a utility against the column"
        " `reference`, or a recorded field.",
        show_default="the task's; else by the column answer, else reference",
    ),
]
Seed = Annotated[int | None, typer.Option(help="Seed of the run.", show_default="0")]


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Which models are asked."""

    engine: Annotated[
        list[str] | None,
        typer.Option(
            "--engine",
            "-e",
            help="Where text comes from: llamacpp, llamacpp:FILE.gguf, openai:URL, replay:RUN, fake."
            " Again as ROLE=SPEC for another judge, verifier or fusor.",
            show_default="llamacpp, the embedded model",
        ),
    ] = None
    model: Annotated[str | None, typer.Option("--model", "-m", help="Model name on that engine.")] = None

    @property
    def settings(self) -> dict[str, Any]:
        """As the settings of a run name them. Raises `InputError`."""
        return {"engine": engine_table(self.engine), "model": self.model}


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(EngineOptions):
    """Which models judge recorded candidates, where any is asked."""

    engine: Annotated[
        list[str] | None,
        typer.Option(
            "--engine",
            "-e",
            help="The judge, verifier or fusor, such as openai:URL; again as ROLE=SPEC for another."
            " Without it no model is asked.",
            show_default="none",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class StrategyOptions:
    """How an answer comes about."""

    sample: Annotated[
        str | None, typer.Option(help="Sampler: which candidates are drawn, such as hedged(n=5).")
    ] = None
    select: Annotated[
        str | None, typer.Option(help="Selector: which of them wins, such as mbr(utility=chrf).")
    ] = None
    strategy: Annotated[
        str | None,
        typer.Option(
            help="In place of sampler and selector: a whole strategy, such as vote(n=8) or"
            " beam(n=16, verifier=rollouts)."
        ),
    ] = None

    @property
    def settings(self) -> dict[str, Any]:
        """As the settings of a run name them."""
        return {"sample": self.sample, "select": self.select, "strategy": self.strategy}


@dataclass(frozen=True, kw_only=True)
class BudgetOptions:
    """What one prompt may cost."""

    max_samples: Annotated[
        int | None, typer.Option("--max-samples", min=0, help="Budget: samples per prompt.")
    ] = None
    max_total_tokens: Annotated[
        int | None, typer.Option("--max-total-tokens", min=0, help="Budget: output tokens per prompt.")
    ] = None
    deadline: Annotated[
        float | None, typer.Option("--deadline", min=0, help="Budget: seconds per prompt.")
    ] = None

    @property
    def settings(self) -> dict[str, Any]:
        """As the settings of a run name them."""
        return {"samples": self.max_samples, "tokens": self.max_total_tokens, "seconds": self.deadline}


def run_settings(
    *groups: EngineOptions | StrategyOptions | BudgetOptions, config: str | None = None, **single: Any
) -> Settings:
    """The settings of a run: those of the file `config`, with every option that was given in their place.

    `single` are settings outside the groups (`seed`, `concurrency`). Raises `InputError` or `SpecError`.
    """
    from nbest.settings.run import settings  # noqa: PLC0415 (slow to import)

    given = dict(single)
    for group in groups:
        given |= group.settings
    return settings(config, given)


def scoring_engines(options: JudgeOptions) -> ScoringEngines:
    """The engines that scorers may ask; none without `--engine`. Raises `InputError` or `SpecError`."""
    from nbest.evaluate.scoring_engines import ScoringEngines  # noqa: PLC0415 (slow to import)

    if not options.engine:
        return ScoringEngines()
    chosen = run_settings(options)
    return ScoringEngines(chosen.engines(), concurrency=chosen.concurrency)
