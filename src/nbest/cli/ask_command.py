"""`nbest ask`: one prompt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nbest.cli.command import command
from nbest.cli.options import (
    AsJson,
    BudgetOptions,
    Config,
    EngineOptions,
    Language,
    Seed,
    StrategyOptions,
    run_settings,
)
from nbest.errors import InputError, NbestError

if TYPE_CHECKING:
    from nbest.types import Outcome


@command(
    "ask",
    'nbest ask "17 + 25 = ?" --strategy "vote(n=8)"',
    'nbest ask - --engine openai:http://localhost:8000/v1 --select "mbr(utility=chrf)" --show < question.txt',
)
def ask(
    question: Annotated[str, typer.Argument(help="The prompt; - reads standard input.")],
    engine: EngineOptions,
    strategy: StrategyOptions,
    config: Config = None,
    seed: Seed = None,
    budget: BudgetOptions = BudgetOptions(),
    language: Language = None,
    show: Annotated[bool, typer.Option("--show", help="Show all candidates as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Answer one prompt."""
    import asyncio

    from nbest.cli.display.answer_view import show_answer
    from nbest.cli.display.counts import why_no_answer
    from nbest.datasets import single

    settings = run_settings(engine, strategy, budget, config=config, seed=seed)
    prompt = single(_text_of(question), language=language)

    async def work() -> Outcome:
        async with settings.session() as session:
            await session.engines["policy"].capabilities()
            return await session.ask(prompt)

    outcome = asyncio.run(work())
    show_answer(outcome, with_pool=show, as_json=as_json)
    if outcome.selection is None:
        raise NbestError(f"no answer: {why_no_answer(outcome)}")


def _text_of(question: str) -> str:
    """The prompt, from the command line or from standard input. Raises `InputError`."""
    is_piped = question == "-"
    try:
        encoded = sys.stdin.buffer.read() if is_piped else question.encode()
        text = encoded.decode("utf-8-sig")
    except UnicodeError as e:
        raise InputError(f"the prompt is not UTF-8 ({e})") from None

    if not text.strip():
        raise InputError("the prompt is empty")
    return text.strip() if is_piped else text
