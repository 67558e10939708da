"""Reward models, classifiers and rerankers behind HTTP: vLLM, SGLang, llama.cpp, Cohere, Jina, …"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from nbest.context import Context
from nbest.errors import REFUSED, EngineError, EngineHttpError, EngineTimeoutError, InputError
from nbest.protocols import FreeText, ServerEnv, ServerModel, ServerUrl
from nbest.scoring.aggregate import Reduce, aggregate
from nbest.scoring.endpoint import Endpoint, before_deadline, count_call
from nbest.scoring.merge import Merger
from nbest.scoring.per_loop import per_loop
from nbest.scoring.reward_api import (
    REPLIES,
    Api,
    Reading,
    Reply,
    addresses,
    chat_body,
    class_of,
    filled,
    pair_body,
    text_body,
)
from nbest.scoring.reward_batch import NOT_THERE, ask_texts, readings_of
from nbest.scoring.step_texts import Split, note_half_steps, steps_of
from nbest.types import Candidate, Json, Prompt, Score

_NUM_CALLS = 2
"""Batches under way at once: one is on its way while the server works on the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """The score that a reward model or reranker at `url` gives each candidate, in the server's own unit.

    For `classify` and `pooling` a candidate is the last turn of the conversation (`form=chat`: one call
    for each, at once, the server applies the chat template), or is put with the prompt into `template`
    (`form=text`: `batch` in a call, candidates of different prompts together). For `score` and `rerank` it is a document, and the
    conversation as one text the query. A model that scores places (a process reward model; `step_mark` where it needs them marked)
    fills `Score.steps`, and `reduce` makes the score of them: the last, as Snell et al. 2024 do (arXiv 2408.03314), the
    least, product or mean.

    A candidate that the server refuses or does not score has no score, and a note says why. Raises
    `EngineError` where that holds for all, `InputError` for what a person has to mend: a key, an address,
    or which class is the score.
    """

    is_open_to_clients: ClassVar[bool] = False

    url: ServerUrl
    """The server (`http://localhost:8000`), or the full address of one API (`…/v1/rerank`)."""
    model: ServerModel | None = None
    """Left out of the call without it: servers of one model do not need it."""
    api: Literal["auto", "classify", "pooling", "score", "rerank"] = "auto"
    """auto: by the end of `url`, else the first that the server has, in this order; asked once."""
    form: Literal["chat", "text"] = "chat"
    template: FreeText = "{prompt}\n\n{answer}"
    label: int | None = None
    """Which class's number is the score, from 0, where the model has several."""
    reduce: Reduce = "last"
    step_mark: FreeText | None = None
    """What a process reward model reads its values at: put behind each step of a candidate, as `<extra_0>`
    for Qwen2.5-Math-PRM. The server has to give one place for each mark (vLLM: pooling type STEP)."""
    split: Split = "line"
    """Where steps end, for `step_mark`."""
    activation: bool = True
    """false asks vLLM for raw logits: a reward model's, squashed by a sigmoid, are all 1 from 17 up."""
    key_env: ServerEnv | None = None
    """Environment variable that holds the key."""
    batch: int = 32
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise ValueError(f"url must be such as http://localhost:8000, got {self.url!r}")
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}")
        if "{answer}" not in self.template:
            raise ValueError("template has no {answer}: write it where the candidate goes")
        if self.step_mark == "":
            raise ValueError("step_mark must not be empty")

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        if self.step_mark:
            note_half_steps("reward", candidates, self.split, ctx)
        # Without a step there is no place to read a mark at.
        places = [
            i for i, c in enumerate(candidates) if c.is_usable and (not self.step_mark or c.text.strip())
        ]
        scores = [Score(value=None)] * len(candidates)
        if not places:
            return scores
        texts = [self._marked(candidates[i].text) for i in places]
        try:
            readings = await self._readings(prompt, texts, ctx)
        except EngineTimeoutError as e:  # before it was known what the server has
            readings = [e] * len(texts)
        errors = [r for r in readings if isinstance(r, EngineError)]
        if len(errors) == len(readings) and ctx.stopped != "deadline":
            raise errors[0]
        if errors:
            ctx.note(f"reward: {len(errors)} of {len(readings)} candidates have no score: {errors[0]}")
        for i, reading in zip(places, readings, strict=True):
            if not isinstance(reading, EngineError):
                scores[i] = self._score(reading, candidates[i].text)
        return scores

    async def _readings(
        self, prompt: Prompt, texts: Sequence[str], ctx: Context
    ) -> Sequence[Reading | EngineError]:
        wanted = self._server(prompt, texts[0], ctx)
        api, endpoint = await before_deadline(wanted, ctx, urlsplit(self.url).netloc)
        if api in {"classify", "pooling"} and self.form == "text":
            return await self._merged(api, endpoint, prompt, texts, ctx)
        size = self.batch
        if self._is_chat(api):
            size = 1
        parts = [texts[i : i + size] for i in range(0, len(texts), size)]
        read = await asyncio.gather(*(self._ask(api, endpoint, prompt, part, ctx) for part in parts))
        return [reading for part in read for reading in part]

    def _marked(self, text: str) -> str:
        if self.step_mark is None:
            return text
        return "".join(step.strip() + self.step_mark for step in steps_of(text, self.split))

    def _is_chat(self, api: Api) -> bool:
        return api in {"classify", "pooling"} and self.form == "chat"

    def _body(self, api: Api, prompt: Prompt, texts: Sequence[str]) -> dict[str, Json]:
        if self._is_chat(api):
            return self._head(api) | chat_body(prompt, texts[0])
        if api in {"classify", "pooling"}:
            return self._head(api) | text_body(filled(self.template, prompt, t) for t in texts)
        return self._head(api) | pair_body(api, prompt, texts)

    def _head(self, api: Api) -> dict[str, Json]:
        head: dict[str, Json] = {}
        if self.model:
            head["model"] = self.model
        if not self.activation and api != "rerank":
            head["use_activation"] = False
        return head

    async def _server(self, prompt: Prompt, text: str, ctx: Context) -> tuple[Api, Endpoint]:
        """The API and its address; found by asking, once for all prompts."""
        options: list[tuple[Api, Endpoint]] = [
            (api, Endpoint(url=address, key_env=self.key_env, timeout_s=self.timeout_s))
            for api, address in addresses(self.url)
            if self.api in {"auto", api}
        ]
        if not options:
            raise InputError(f"api={self.api} does not go with {self.url}: give the server's address alone")
        if len(options) == 1:
            return options[0]
        found = await per_loop(("reward", self.url, self.model, self.api, self.form), _Found)
        async with found.lock:
            if found.where is None:
                found.where = await self._find(options, prompt, text, ctx)
        return found.where

    async def _find(
        self, options: Sequence[tuple[Api, Endpoint]], prompt: Prompt, text: str, ctx: Context
    ) -> tuple[Api, Endpoint]:
        refusals: dict[str, None] = {}
        for api, endpoint in options:
            try:
                await self._post(api, endpoint, prompt, [text], ctx)
            except EngineHttpError as e:
                if not (e.status in NOT_THERE or (e.status in REFUSED and "support" in str(e))):
                    return (
                        api,
                        endpoint,
                    )  # it is there; its error is raised when it is called for all candidates
                refusals[str(e)] = None
            else:
                return api, endpoint
        tried = ", ".join(urlsplit(e.url).path for _, e in options)
        raise InputError(
            f"{self.url} scores nothing at {tried}: {'; '.join(refusals)}. Start it with a reward or rerank model"
            " (vLLM: --runner pooling), name the model, or give the full address as url"
        )

    async def _merged(
        self, api: Api, endpoint: Endpoint, prompt: Prompt, texts: Sequence[str], ctx: Context
    ) -> list[Reading | EngineError]:
        """One reading per text, asked for together with the texts of other prompts."""
        head = self._head(api)
        merger = await per_loop(
            ("reward", endpoint, api, self.model, self.activation, self.batch),
            lambda: Merger(partial(ask_texts, endpoint, api, head), size=self.batch, num_calls=_NUM_CALLS),
        )
        wanted = merger([filled(self.template, prompt, t) for t in texts])
        try:
            read = await before_deadline(wanted, ctx, urlsplit(endpoint.url).netloc)
        except EngineError as e:
            return [e] * len(texts)
        count_call(ctx, sum(r.prompt_tokens for r in read), sum(r.calls for r in read))
        return [r.reading for r in read]

    async def _ask(
        self, api: Api, endpoint: Endpoint, prompt: Prompt, texts: Sequence[str], ctx: Context
    ) -> list[Reading | EngineError]:
        """One reading per text. What a batch is refused for is asked again one by one."""
        try:
            reply = await self._post(api, endpoint, prompt, texts, ctx)
        except EngineHttpError as e:
            if e.status in NOT_THERE:
                raise InputError(f"{endpoint.url}: {e}") from None
            if e.status not in REFUSED or len(texts) == 1:
                return [e] * len(texts)
            alone = await asyncio.gather(*(self._ask(api, endpoint, prompt, [t], ctx) for t in texts))
            return [readings[0] for readings in alone]
        except EngineError as e:
            return [e] * len(texts)
        return readings_of(reply, len(texts), endpoint.url)

    async def _post(
        self, api: Api, endpoint: Endpoint, prompt: Prompt, texts: Sequence[str], ctx: Context
    ) -> Reply:
        reply = await endpoint.post(self._body(api, prompt, texts), REPLIES[api], ctx)
        count_call(ctx, reply.prompt_tokens)
        return reply

    def _score(self, reading: Reading, text: str) -> Score:
        if self.step_mark is not None:
            self._check_places(len(reading), len(steps_of(text, self.split)))
        label = class_of(self.label, min(len(row) for row in reading), self.url)
        steps = tuple(row[label] for row in reading)
        has_steps = self.step_mark is not None or len(steps) > 1
        value = aggregate(steps, self.reduce)
        if has_steps:
            return Score(value=value, steps=steps)
        return Score(value=value)

    def _check_places(self, num_places: int, num_steps: int) -> None:
        if num_places != num_steps:
            raise InputError(
                f"{self.url} gives {num_places} places for {num_steps} steps marked {self.step_mark!r}: name the"
                " model's own mark, and serve it so that it gives the places of the marks (vLLM: pooling type STEP)"
            )


class _Found:
    """Which API a server has, once that is known."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.where: tuple[Api, Endpoint] | None = None

    async def aclose(self) -> None:
        """Nothing to let go of."""
