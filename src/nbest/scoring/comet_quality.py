"""COMET (Rei et al. 2020, 2022): learnt quality of a translation, from an environment of its own."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import ClassVar

import msgspec

from nbest.context import Context
from nbest.errors import EngineProtocolError
from nbest.protocols import FreeText, ServerCommand, ServerPath, ServerUrl
from nbest.scoring.endpoint import Endpoint, before_deadline, count_call, in_time
from nbest.scoring.per_loop import per_loop
from nbest.types import Candidate, Prompt, Score
from nbest.worker_process import WorkerProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class CometAt:
    """Where COMET runs: exactly one of `python`, `command` and `url`."""

    python: ServerCommand | None = None
    """Interpreter of an environment with `unbabel-comet`: the worker that ships is started in it."""
    command: ServerCommand | None = None
    """Another worker: any command that follows the protocol of nbest/scoring/comet_worker.py."""
    url: ServerUrl | None = None
    """A worker that serves HTTP (`comet_worker.py --port …`)."""
    model: ServerPath = ""
    """python: hub name or checkpoint; the licence of some must be accepted on the hub first."""
    source_after: FreeText | None = None
    """The source is what stands behind the last such text in the last user turn; all of it without."""
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        if sum(place is not None for place in (self.python, self.command, self.url)) != 1:
            raise ValueError(
                "comet runs in its own environment: name its interpreter, python=…, or a command=… or url=… of"
                " a running worker"
            )

    def source_of(self, prompt: Prompt) -> str:
        """The text to be translated."""
        after = self.source_after
        return (prompt.text.rpartition(after)[2] if after else prompt.text).strip()

    async def ask(self, rows: Sequence[Mapping[str, str]], ctx: Context) -> list[float]:
        """One score per row; counted as a verifier call. Raises `EngineError`, `InputError`."""
        if self.url is not None:
            endpoint = Endpoint(url=self.url, timeout_s=self.timeout_s)
            scores = (await endpoint.post({"rows": rows}, _Scores, ctx)).scores
            if len(scores) != len(rows):
                raise EngineProtocolError(f"{self.url}: asked for {len(rows)} scores, got {len(scores)}")
        else:
            scores = await self._ask_worker(rows, ctx)
        count_call(ctx)
        return scores

    async def _ask_worker(self, rows: Sequence[Mapping[str, str]], ctx: Context) -> list[float]:
        worker = await per_loop(
            ("worker", self._command, self.timeout_s),
            lambda: WorkerProcess(self._command, start_timeout_s=self.timeout_s),
        )
        call = worker.call_async({"rows": list(rows)}, timeout_s=self.timeout_s)
        reply = await before_deadline(call, ctx, str(worker))
        try:
            scores = msgspec.convert(reply, _Scores).scores
        except msgspec.ValidationError as e:
            raise EngineProtocolError(f"{worker}: no such reply as was asked for: {e}") from None
        if len(scores) != len(rows):
            raise EngineProtocolError(f"{worker}: asked for {len(rows)} scores, got {len(scores)}")
        return scores

    @property
    def _command(self) -> tuple[str, ...]:
        if self.command is not None:
            return tuple(shlex.split(self.command))
        script = str(files("nbest.scoring").joinpath("comet_worker.py"))
        return (str(self.python), script, "--model", self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class CometQuality(CometAt):
    """Estimated quality of each candidate as a translation of the source, without a reference.

    COMETKiwi (Rei et al. 2022, arXiv 2209.06243). The default model's licence must be accepted on the hub.
    """

    is_open_to_clients: ClassVar[bool] = False

    model: ServerPath = "Unbabel/wmt22-cometkiwi-da"

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        source = self.source_of(prompt)
        texts = list(dict.fromkeys(c.text for c in candidates if c.is_usable))
        rows = [{"src": source, "mt": t} for t in texts]
        scores = None
        if rows:
            scores = await in_time(self.ask(rows, ctx), ctx, "comet_quality")
        score_by_text = dict(zip(texts, scores or [None] * len(texts), strict=True))
        return [Score(value=score_by_text[c.text] if c.is_usable else None) for c in candidates]


class _Scores(msgspec.Struct):
    scores: list[float]
