"""Draws what is recorded: one folder per method, verifier and budget. Resumes."""

import time
from pathlib import Path

from plan import Cell, items

from nbest.datasets import Item
from nbest.records import RunWriter
from nbest.session import Session


async def draw(cells: list[Cell], out: Path, engine: str) -> None:
    for cell in cells:
        began = time.monotonic()
        await record(cell, items(cell.per_language), out / cell.folder, engine)
        print(f"{time.monotonic() - began:6.0f} s  {cell.folder}", flush=True)


async def record(cell: Cell, rows: list[Item], path: Path, engine: str) -> None:
    async with Session(engine=engine, strategy=cell.strategy, seed=cell.seed) as session:
        with RunWriter(path, session.config) as writer:
            await session.run(rows, out=writer, concurrency=cell.concurrency)
