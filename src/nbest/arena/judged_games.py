"""Games between the answers of recorded runs, judged once and kept: the only evaluation that asks a model.

A store of verdicts is a run directory. Each game, one pair of answers in one order, is an outcome: its
prompt id is `prompt/first/second`, its candidates are the two answers as shown (A, B), `scores` their
points, `rationale` the judge's reply, `gold` the row's other columns. A game without a readable verdict is
an outcome without a selection and says why; it is not asked again. One that the judge did not answer is
`stopped="error"` and is asked again when the command is repeated.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from nbest import registry
from nbest.arena.pairings import Game, game_id
from nbest.context import Context
from nbest.errors import InputError, RecordsError
from nbest.judging.judge_calls import ask
from nbest.judging.judge_questions import Reply, question
from nbest.judging.templates import TemplateLanguage
from nbest.judging.verdict_forms import GRADES
from nbest.judging.verdict_text import POINTS, Grade
from nbest.protocols import Engine
from nbest.records import RunWriter, read_outcomes
from nbest.run import run_all
from nbest.types import Json, Outcome, Prompt, SamplingParams, Selection, Usage, replace

NAME = "pairwise"
"""Of the template, and of the strategy in a store of verdicts."""


class Verdict(NamedTuple):
    """A game and what came of it."""

    prompt: Prompt
    """Under its own id."""
    systems: tuple[str, str]
    """Shown as A, as B."""
    texts: tuple[str, str]
    grade: Grade | None
    problem: str | None
    is_asked: bool
    """False for equal texts: a tie without asking."""
    is_answered: bool
    """False where the judge failed: to be asked again."""
    gold: Mapping[str, Json]
    usage: Mapping[str, Usage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How games are judged. The template may be the user's own, and in the prompt's language."""

    max_tokens: int = 2048
    """Of each of the judge's replies."""
    template_language: TemplateLanguage = "en"
    templates: str | None = None
    """A template file, or a directory of them, instead of the ones that ship."""
    seed: int = 0

    def config(self, engine: Engine) -> dict[str, Json]:
        """What decides a verdict: a store is only continued under the same. Raises `InputError`."""
        return {"judge": {"engine": registry.spec_of(engine), **asdict(self), "digest": self._digest()}}

    def _digest(self) -> str | None:
        """Of the user's own templates, so that an edited one is not mistaken for the one before."""
        if self.templates is None:
            return None
        path = Path(self.templates)
        files = [path]
        if not path.is_file():
            files = sorted(path.rglob(f"{NAME}.txt"))
        if not files:
            raise InputError(f"{path}: no {NAME}.txt there (`templates`)")
        digest = hashlib.sha256()
        for file in files:
            digest.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()[:16]

    async def __call__(self, game: Game, engine: Engine) -> Outcome:
        """Equal texts (but for outer white space) are a tie, and nothing is asked."""
        started = time.monotonic()
        ctx = Context({"policy": engine}, seed=self.seed, prompt_id=game.prompt.id)
        first, second = game.candidates
        if first.text.strip() == second.text.strip():
            reply = Reply[Grade]("A=B", "")
            ctx.note("equal texts: a tie, not asked")
        else:
            reply = await self._asked(game, ctx)
        selection = None
        if reply.verdict is not None:
            selection = _selection(game, reply, reply.verdict)
        if selection is None and reply.text:
            ctx.note(f"the judge's reply: {reply.text}")
        return Outcome(
            prompt=game.prompt,
            strategy=NAME,
            seed=self.seed,
            selection=selection,
            candidates=game.candidates,
            usage=ctx.meter.usage,
            stopped="done" if reply.is_answered else "error",
            error=reply.problem,
            notes=tuple(ctx.notes),
            seconds=round(time.monotonic() - started, 6),
            gold=game.gold,
        )

    async def _asked(self, game: Game, ctx: Context) -> Reply[Grade]:
        first, second = game.candidates
        asked = question(
            NAME,
            game.prompt,
            {"A": first.text, "B": second.text},
            ctx,
            role="judge",
            engine=None,
            params=SamplingParams(temperature=0.0, max_tokens=self.max_tokens),
            template_language=self.template_language,
            templates=self.templates,
            form=GRADES,
        )
        return (await ask([asked], ctx))[0]


async def judge(
    games: Sequence[Game],
    judging: Judging,
    engine: Engine,
    out: RunWriter,
    *,
    concurrency: int = 64,
    on_outcome: Callable[[Outcome], object] = lambda _: None,
) -> None:
    """Buys the verdicts that `out` lacks, and records each as it arrives.

    `out` is opened with `judging.config(engine)`: a store of another judge is refused. Raises
    `RecordsError` where it holds verdicts on other answers, and what the engine raises when it is first
    asked what it can do, before anything is spent.
    """
    _check_same_answers(games, out.path)
    if any(g.prompt.id not in out.recorded for g in games):
        await engine.capabilities()
    await run_all(
        games,
        lambda game: judging(game, engine),
        out=out,
        concurrency=concurrency,
        on_outcome=on_outcome,
    )


def read_verdicts(out: Path, games: Sequence[Game] = ()) -> list[Verdict]:
    """The games that a store holds: all, or those of `games`, of which none may be lacking.

    Raises `RecordsError` where `out` is no store of verdicts, holds other answers, or lacks games.
    """
    if not (out / "manifest.json").exists():
        raise RecordsError(f"{out} holds no verdicts yet: name an `engine` to have the games judged")
    if not games:
        return list(_verdicts(out))
    _check_same_answers(games, out)
    held = {game_id(v.prompt.id, *v.systems): v for v in _verdicts(out)}
    wanted = [g.prompt.id for g in games]
    lacking = [id_ for id_ in wanted if id_ not in held]
    if lacking:
        raise RecordsError(
            f"{out} lacks {len(lacking)} of {len(wanted)} games, such as {lacking[0]!r}:"
            " name an `engine` to have them judged"
        )
    return [held[id_] for id_ in wanted]


def _verdicts(out: Path) -> Iterator[Verdict]:
    for o in read_outcomes(out):
        id_, *systems = o.prompt.id.rsplit("/", 2)
        if o.strategy != NAME or len(systems) != 2 or len(o.candidates) != 2:  # noqa: PLR2004
            raise RecordsError(f"{out} holds answers, not verdicts; choose another `out`")
        found: Grade | None = None
        if o.selection:
            found = o.selection.details["verdict"]
        yield Verdict(
            prompt=replace(o.prompt, id=id_),
            systems=(systems[0], systems[1]),
            texts=(o.candidates[0].text, o.candidates[1].text),
            grade=found,
            problem=o.error,
            is_asked=o.selection is None or o.selection.details["asked"],
            is_answered=o.stopped != "error",
            gold=o.gold,
            usage=o.usage,
        )


def _check_same_answers(games: Sequence[Game], out: Path) -> None:
    wanted = {g.prompt.id: g for g in games}
    for o in read_outcomes(out):
        game = wanted.get(o.prompt.id)
        if game and tuple(c.text for c in game.candidates) != tuple(c.text for c in o.candidates):
            raise RecordsError(
                f"{out} holds verdicts on other answers to {o.prompt.id!r}: the runs have changed;"
                " choose another `out`"
            )


def _selection(game: Game, reply: Reply[Grade], verdict: Grade) -> Selection:
    of_a, of_b = POINTS[verdict]
    details: dict[str, Json] = {"verdict": verdict, "asked": bool(reply.text)}
    if reply.is_repaired:
        details["repaired"] = True
    return Selection(
        winner=game.candidates[int(of_b > of_a)],
        weights={0: of_a / (of_a + of_b), 1: of_b / (of_a + of_b)},
        scores={0: of_a, 1: of_b},
        rationale=reply.text or None,
        details=details,
    )
