"""The command line: reads flags, prints results, no logic."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar

import typer
from typer.core import TyperCommand

from nbest.errors import InputError, NbestError

if TYPE_CHECKING:
    from nbest.protocols import Engine
    from nbest.settings.run import Settings
    from nbest.types import Outcome

R = TypeVar("R")


class _Command(TyperCommand):
    """An option with nothing in it, such as an unset variable of a shell, is no option left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        said, _, _ = self.make_parser(ctx).parse_args(list(args))
        for option in self.params:
            values = said.get(option.name or "")
            if option.param_type_name == "option" and "" in (
                values if isinstance(values, list) else [values]
            ):
                raise InputError(f"{option.opts[0]} is empty: say something, or leave it out")
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="nbest",
    help="Better answers from any language model, in any language, by spending compute at inference time.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
lab = typer.Typer(help="The laboratory: tiny models made from scratch.", no_args_is_help=True)
app.add_typer(lab, name="lab")

Engines = Annotated[
    list[str] | None,
    typer.Option(
        "--engine",
        "-e",
        help="Where text comes from: llamacpp, llamacpp:FILE.gguf, openai:URL, replay:RUN, fake."
        " Again as ROLE=SPEC for a judge, verifier or fusor of its own.",
        show_default="llamacpp, the embedded model",
    ),
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Model name on that engine.")]
Sample = Annotated[str | None, typer.Option(help="How to draw the pool, such as  hedged(n=5).")]
Select = Annotated[str | None, typer.Option(help="How to choose from it, such as  mbr(utility=chrf).")]
Strategy = Annotated[
    str | None,
    typer.Option(
        help="Both at once, such as  vote(n=8),  or a search, such as  beam(n=16, verifier=rollouts)."
    ),
]
Config = Annotated[str | None, typer.Option(help="TOML file with any of these settings; flags win.")]
Seed = Annotated[int | None, typer.Option(help="Run seed.", show_default="0")]
Samples = Annotated[int | None, typer.Option("--max-samples", min=0, help="Budget: draws per prompt.")]
Tokens = Annotated[
    int | None, typer.Option("--max-total-tokens", min=0, help="Budget: drawn tokens per prompt.")
]
Seconds = Annotated[float | None, typer.Option("--deadline", min=0, help="Budget: seconds per prompt.")]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Prompts at work at the same time.", show_default="64")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        help="Column that translations of one prompt share.", show_default="cluster, where rows have it"
    ),
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        help="Active parameters of the model, for FLOPs:  8e9,  or a file that says: model.gguf, config.json;"
        "  llamacpp  is the embedded model. Again as  judge=70e9."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def main() -> None:
    """Runs the command line; a user's mistake is one line on standard error and exit code 2."""
    try:
        try:
            app()
        finally:
            print(end="", flush=True)
    except NbestError as e:
        _fail(str(e))
    except BrokenPipeError:
        _end_of_pipe()
    except OSError as e:  # a file or directory that cannot be read or written
        _fail(f"{e.filename}: {e.strerror}" if e.filename is not None else str(e) or repr(e))
    except SystemExit as e:  # what typer and rich make of a broken pipe
        if isinstance(e.__context__, BrokenPipeError):
            _end_of_pipe()
        raise


def _end_of_pipe() -> NoReturn:
    """Nobody reads on, as behind  | head:  what shells say of a program that SIGPIPE ended."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is flushed at the very end
    sys.exit(141)


def _fail(message: str) -> NoReturn:
    from rich.console import Console  # noqa: PLC0415

    Console(stderr=True, soft_wrap=True, highlight=False).print("error:", style="bold red", end=" ")
    print(" ".join(message.split()), file=sys.stderr)
    sys.exit(2)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The prompt;  -  reads standard input.")],
    engine: Engines = None,
    model: Model = None,
    sample: Sample = None,
    select: Select = None,
    strategy: Strategy = None,
    config: Config = None,
    seed: Seed = None,
    samples: Samples = None,
    tokens: Tokens = None,
    seconds: Seconds = None,
    language: Annotated[str | None, typer.Option(help="Language of the answer, such as  ja.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the whole pool as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Answer one prompt."""
    from nbest.cli import display  # noqa: PLC0415
    from nbest.datasets import single  # noqa: PLC0415

    chosen = _settings(locals())
    try:
        typed = sys.stdin.buffer.read() if question == "-" else question.encode()
        text = typed.decode("utf-8-sig")
    except UnicodeError as e:
        raise InputError(f"the prompt is not UTF-8 ({e})") from None
    text = text.strip() if question == "-" else text
    if not text.strip():
        raise InputError("the prompt is empty")

    async def work() -> Outcome:
        async with chosen.session() as session:
            await session.engines["policy"].capabilities()
            return await session.solve(single(text, language=language))

    outcome = asyncio.run(work())
    display.answer(outcome, pool=show, as_json=as_json)
    if outcome.selection is None:
        raise NbestError(f"no answer: {display.why_no_answer(outcome)}")


@app.command()
def run(
    prompts: Annotated[
        str,
        typer.Argument(
            help="JSONL with  prompt  or  messages  in each row;  -  reads standard input;"
            " or a task, such as  'mgsm(languages=[th, zh])'."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Run directory; an unfinished run is resumed.")],
    engine: Engines = None,
    model: Model = None,
    sample: Sample = None,
    select: Select = None,
    strategy: Strategy = None,
    config: Config = None,
    seed: Seed = None,
    samples: Samples = None,
    tokens: Tokens = None,
    seconds: Seconds = None,
    concurrency: Concurrency = None,
    as_json: AsJson = False,
) -> None:
    """Answer many prompts and record all that happened. Exit code 1 where a prompt has no answer."""
    from nbest.cli import display  # noqa: PLC0415
    from nbest.records import RunWriter  # noqa: PLC0415
    from nbest.tasks import items_of  # noqa: PLC0415

    chosen = _settings(locals())
    items = items_of(prompts)

    async def work() -> None:
        async with chosen.session() as session:
            await session.check()
            with RunWriter(out, session.config) as writer, display.progress(len(items), writer) as on_outcome:
                await session.run(items, out=writer, concurrency=chosen.concurrency, on_outcome=on_outcome)

    _interruptible(work(), out)
    if display.summary(out, as_json=as_json):
        raise typer.Exit(1)


@app.command("select")
def select_command(
    pools: Annotated[str, typer.Argument(help="A run directory, or JSONL of pools recorded by anyone.")],
    select: Annotated[str, typer.Option(help="How to choose, such as  vote.")],
    out: Annotated[Path, typer.Option(help="Run directory for the choices.")],
    engine: Engines = None,
    model: Model = None,
    seed: Seed = None,
    samples: Samples = None,
    tokens: Tokens = None,
    seconds: Seconds = None,
    concurrency: Concurrency = None,
    as_json: AsJson = False,
) -> None:
    """Choose again from recorded pools, without the model that drew them."""
    from nbest import registry  # noqa: PLC0415
    from nbest.cli import display  # noqa: PLC0415
    from nbest.datasets import read_pools  # noqa: PLC0415
    from nbest.records import RunWriter  # noqa: PLC0415
    from nbest.run import run_all  # noqa: PLC0415
    from nbest.run import select as choose  # noqa: PLC0415

    chosen = _settings({**locals(), "select": None})
    selector = registry.parse("selectors", select)
    engines: dict[str, Engine] = chosen.engines() if engine else {}
    recorded = list(read_pools(pools))
    made_with = {
        "pools": str(Path(pools).resolve()),
        "select": registry.spec_of(selector),
        "seed": chosen.seed,
        "engine": {name: registry.spec_of(e) for name, e in engines.items()},
        "budget": chosen.budget,
    }

    async def work() -> None:
        try:
            with RunWriter(out, made_with) as writer, display.progress(len(recorded), writer) as on_outcome:
                await run_all(
                    recorded,
                    lambda pool: choose(
                        pool, selector, seed=chosen.seed, engines=engines, budget=chosen.budget
                    ),
                    out=writer,
                    concurrency=chosen.concurrency,
                    on_outcome=on_outcome,
                )
        finally:
            for e in engines.values():
                await e.aclose()

    _interruptible(work(), out)
    if display.summary(out, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def compare(
    pools: Annotated[str, typer.Argument(help="A run directory, or JSONL of pools recorded by anyone.")],
    select: Annotated[str, typer.Option(help="Selectors, such as  'first, vote, mbr(utility=chrf)'.")],
    n: Annotated[
        str | None, typer.Option("--n", help="Pool sizes, such as  1,2,4,8.", show_default="powers of two")
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(
            help="How answers are measured: a scorer, a utility against `reference`, or a recorded field.",
            show_default="answer, else reference",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="Selector to compare with; mean: of all candidates.", show_default="the first"),
    ] = None,
    cluster: Cluster = None,
    resamples: Annotated[int, typer.Option(min=1, help="Random pools of each size per prompt.")] = 8,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option(help="Directory for the comparison, for  nbest report.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare selectors at every pool size on one recorded pool, without a new token."""
    from nbest.report import compared  # noqa: PLC0415

    compared.command(
        pools,
        select,
        n,
        score=score,
        baseline=baseline,
        cluster=cluster,
        resamples=resamples,
        seed=seed or 0,
        out=out,
        as_json=as_json,
    )


@app.command("eval")
def eval_command(
    runs: Annotated[
        list[Path], typer.Argument(help="Run directories; the others are compared with the first.")
    ],
    by: Annotated[
        Literal["language", "task", "difficulty"],
        typer.Option(help="Rows of the table; difficulty: five bins by the first run's pass@1."),
    ] = "language",
    score: Annotated[
        str | None,
        typer.Option(
            help="How answers are measured: a scorer, a utility against `reference`, or a recorded field.",
            show_default="the task's; else answer, else reference",
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Task that measures the answers and has the gold ones, if runs do not.")
    ] = None,
    cluster: Cluster = None,
    params: Params = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help="Price per million tokens, read/drawn:  0.15/0.6;  again as  judge=2/8."),
    ] = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Accuracy, pass@k, hope, risk, language and cost of recorded runs, and how sure the differences are."""
    from nbest.cli.evaluation import evaluate_runs  # noqa: PLC0415

    evaluate_runs(
        runs,
        by=by,
        score=score,
        task=task,
        cluster=cluster,
        params=params or [],
        prices=price or [],
        seed=seed or 0,
        as_json=as_json,
    )


@app.command("judge")
def judge_command(
    out: Annotated[Path, typer.Option(help="Directory of verdicts; what it lacks is judged and added.")],
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Two or more run directories, or NAME=DIRECTORY.", show_default="all that --out holds"
        ),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option("--engine", "-e", help="The judge. Without it only recorded verdicts are read."),
    ] = None,
    model: Model = None,
    baseline: Annotated[
        str | None, typer.Option(help="The run that the others are measured against.", show_default="first")
    ] = None,
    pairs: Annotated[
        Literal["all", "baseline"], typer.Option(help="Who meets: all runs, or each the baseline only.")
    ] = "all",
    cluster: Cluster = None,
    nulls: Annotated[
        Literal["skip", "tie"], typer.Option(help="Pairs with a game without a verdict: leave out, or tie.")
    ] = "skip",
    max_tokens: Annotated[int, typer.Option(min=1, help="Of each of the judge's replies.")] = 2048,
    template_language: Annotated[
        Literal["prompt", "en"], typer.Option(help="Language of the judge's instructions.")
    ] = "en",
    templates: Annotated[
        str | None, typer.Option(help="Your own template, a file or a directory of them.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Bootstrap resamples of clusters.")] = 1000,
    seed: Seed = None,
    concurrency: Concurrency = None,
    as_json: AsJson = False,
) -> None:
    """Judge the answers of recorded runs against each other, in both orders; win-rates from the verdicts."""
    from nbest.arena.judged_games import Judging, judge, read_verdicts  # noqa: PLC0415
    from nbest.arena.pairings import games_between, named_runs, read_answers, unanswered  # noqa: PLC0415
    from nbest.arena.winrate import win_rates  # noqa: PLC0415
    from nbest.cli import display  # noqa: PLC0415
    from nbest.records import RunWriter  # noqa: PLC0415

    chosen = _settings(locals())
    systems = {name: read_answers(path) for name, path in named_runs(runs or []).items()}
    games = games_between(systems, baseline=baseline, pairs=pairs) if systems or engine else []
    if engine:
        judging = Judging(
            max_tokens=max_tokens,
            template_language=template_language,
            templates=templates,
            seed=chosen.seed,
        )
        engines = chosen.engines()
        judges = engines.get("judge") or engines["policy"]

        async def work() -> None:
            try:
                with (
                    RunWriter(out, judging.config(judges)) as writer,
                    display.progress(len(games), writer) as on_outcome,
                ):
                    await judge(
                        games, judging, judges, writer, concurrency=chosen.concurrency, on_outcome=on_outcome
                    )
            finally:
                for e in engines.values():
                    await e.aclose()

        _interruptible(work(), out)
    rates = win_rates(
        read_verdicts(out, games),
        baseline=baseline or next(iter(systems), None),
        cluster=cluster,
        nulls=nulls,
        unanswered=unanswered(systems),
        resamples=resamples,
        seed=chosen.seed,
    )
    display.win_rates(rates, as_json=as_json)


@app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Run directories, and those of  nbest compare --out.", metavar="RUN…")
    ],
    out: Annotated[Path | None, typer.Option(help="The page.", show_default="report.html")] = None,
    title: Annotated[str, typer.Option(help="Its heading.")] = "nbest report",
    score: Annotated[
        str | None,
        typer.Option(
            help="How answers are measured: a scorer, a utility against `reference`, or a recorded field.",
            show_default="answer, else reference",
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Run to compare with.", show_default="greedy, else the first")
    ] = None,
    cluster: Cluster = None,
    params: Params = None,
    markdown: Annotated[Path | None, typer.Option(help="The tables as Markdown.")] = None,
    latex: Annotated[Path | None, typer.Option(help="The tables as LaTeX.")] = None,
    json: Annotated[Path | None, typer.Option(help="The numbers as JSON.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Directory for the figures as SVG and PNG.")] = None,
) -> None:
    """Make one page of figures, tables and every pool from recorded runs."""
    from nbest.report import report as reporting  # noqa: PLC0415

    asked = (markdown, latex, json, figures)
    written = reporting.write(
        runs,
        out=out or (None if any(asked) else Path("report.html")),
        title=title,
        score=score,
        baseline=baseline,
        cluster=cluster,
        params=params or (),
        markdown=markdown,
        latex=latex,
        json=json,
        drawings=figures,
    )
    print("\n".join(map(str, written)))


@app.command()
def draw(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    prompt: Annotated[
        str | None, typer.Argument(help="Id of the prompt.", show_default="the first by name")
    ] = None,
    out: Annotated[Path, typer.Option(help="The drawing: .svg, or .dot for Graphviz.")] = Path("tree.svg"),
) -> None:
    """Draw how one answer came about: the tree of a search, or what was made from what."""
    from nbest.report.search_tree import draw as drawing  # noqa: PLC0415

    print(drawing(run, prompt, out))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    to: Annotated[str, typer.Option(help="lm-eval, inspect, wandb or mlflow.")],
    out: Annotated[
        Path | None, typer.Option(help="Directory; for inspect also a .json file. Trackers take none.")
    ] = None,
) -> None:
    """Write a run as another tool's log files, or log it to an experiment tracker."""
    from nbest.export.targets import export as exporting  # noqa: PLC0415

    print("\n".join(exporting(run, to, out)))


@app.command("list")
def list_command(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="strategies, samplers, selectors, scorers, searches, utilities, tasks or engines."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What exists, with parameters and sources."""
    from nbest.cli import display  # noqa: PLC0415

    display.listing(kind, as_json=as_json)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the records go.")] = Path("demo"),
    per_language: Annotated[int, typer.Option(min=1, max=40, help="Problems in each language.")] = 20,
    seed: Seed = None,
) -> None:
    """Sample pools from the embedded model in many languages, select with several methods, compare."""
    from nbest.cli import demo_run as demonstration  # noqa: PLC0415
    from nbest.cli import display  # noqa: PLC0415

    outcomes = _interruptible(demonstration.run(out, per_language=per_language, seed=seed or 0), out)
    demonstration.report(outcomes, display.out, out)


@app.command()
def serve(
    engine: Engines = None,
    model: Model = None,
    sample: Sample = None,
    select: Select = None,
    strategy: Strategy = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="TOML file with these settings and the tables serve and presets; read again on SIGHUP; flags win."
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0: any that is free.", show_default="8080")
    ] = None,
    samples: Samples = None,
    tokens: Tokens = None,
    seconds: Annotated[float | None, typer.Option("--deadline", min=0, help="Seconds per request.")] = None,
    seed: Seed = None,
    record: Annotated[str | None, typer.Option(help="Directory that outcomes are recorded in.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let everybody in who reaches the address, without keys.")
    ] = False,
    new_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Make an API key, print it once, and end.")
    ] = None,
) -> None:
    """Answer OpenAI's clients: a gateway before any model."""
    if new_key is not None:
        from nbest.serve.keys import new_key as made  # noqa: PLC0415

        key, lines = made(new_key)
        print(f"{lines}", end="")
        print(f"the key, which nobody can show again: {key}", file=sys.stderr)
        return
    from nbest.serve.start import serve as serving  # noqa: PLC0415

    said = {
        "engine": _engine_table(engine),
        "model": model,
        "sample": sample,
        "select": select,
        "strategy": strategy,
        "seed": seed,
        "samples": samples,
        "tokens": tokens,
        "seconds": seconds,
        "host": host,
        "port": port,
        "record": record,
    }
    serving(config, said, insecure=insecure)


@lab.command("train-base")
def train_base(
    out: Annotated[Path, typer.Option(help="Where the GGUF goes.")] = Path("nbest-mini.gguf"),
    seed: Seed = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    conversations: Annotated[
        int | None,
        typer.Option(min=64, help="Conversations to train on; few for a trial.", show_default="100000"),
    ] = None,
) -> None:
    """Train the embedded model from scratch (needs the extra  train)."""
    from nbest.errors import MissingExtraError  # noqa: PLC0415

    try:
        from nbest.lab.train_base import NUM_SAMPLES  # noqa: PLC0415
        from nbest.lab.train_base import train_base as train  # noqa: PLC0415
    except ModuleNotFoundError as e:
        raise MissingExtraError(e.name or "torch", "train") from None

    train(out, seed=seed or 0, num_samples=conversations or NUM_SAMPLES, threads=threads)


@app.callback(invoke_without_command=True)
def top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Better answers from any language model, in any language, by spending compute at inference time."""
    if version:
        from nbest import __version__  # noqa: PLC0415

        print(__version__)
        raise typer.Exit


def _settings(flags: dict[str, Any]) -> Settings:
    from nbest.settings.run import settings  # noqa: PLC0415

    keys = ("model", "sample", "select", "strategy", "seed", "samples", "tokens", "seconds", "concurrency")
    chosen = {k: flags.get(k) for k in keys}
    return settings(flags.get("config"), {**chosen, "engine": _engine_table(flags["engine"])})


def _engine_table(engines: list[str] | None) -> str | dict[str, str] | None:
    """`--engine SPEC --engine judge=SPEC` as a table."""
    if not engines:
        return None
    table: dict[str, str] = {}
    for given in engines:
        name, equals, spec = given.partition("=")
        name, spec = (name, spec) if equals and name.isidentifier() else ("policy", given)
        if name in table:
            raise InputError(
                f"--engine names two for {name}: {table[name]} and {spec}. One of them, or both in"
                " failover(engines=[…])"
            )
        table[name] = spec
    return table


def _interruptible(work: Coroutine[Any, Any, R], out: Path) -> R:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        print(
            f"\nstopped; what was answered is in {out}. Run the same command again to go on.", file=sys.stderr
        )
        raise typer.Exit(130) from None


for _command in (*app.registered_commands, *lab.registered_commands):
    _command.cls = _Command
