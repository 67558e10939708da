"""`nbest lab …`: training the embedded model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbest.cli.command import command
from nbest.cli.options import Seed
from nbest.errors import MissingExtraError


@command("train-base", "nbest lab train-base --out nbest-mini.gguf --threads 4")
def train_base(
    out: Annotated[Path, typer.Option(help="Where the GGUF goes.")] = Path("nbest-mini.gguf"),
    seed: Seed = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    conversations: Annotated[
        int | None,
        typer.Option(min=64, help="Conversations to train on; few for a trial.", show_default="100000"),
    ] = None,
) -> None:
    """Train the embedded model from scratch (needs the extra `train`)."""
    try:
        from nbest.lab.train_base import NUM_SAMPLES
        from nbest.lab.train_base import train_base as train
    except ModuleNotFoundError as e:
        raise MissingExtraError(e.name or "torch", "train") from None

    train(out, seed=seed or 0, num_samples=conversations or NUM_SAMPLES, threads=threads)


LAB_COMMANDS = (train_base,)
