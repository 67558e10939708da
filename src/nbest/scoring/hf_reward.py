"""Reward models in this process: Hugging Face sequence classifiers (extra `hf`)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from nbest.context import Context
from nbest.protocols import FreeText, ServerModel, ServerPath
from nbest.scoring.endpoint import in_time
from nbest.scoring.hf_model import Encoded, HfModel, classify, load
from nbest.scoring.reward_api import class_of, filled
from nbest.text.raw_prompt import raw_text
from nbest.types import Candidate, Prompt, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class HfReward:
    """The logit that a sequence classifier gives each candidate as the answer to the prompt.

    The model is loaded when first asked, kept, and runs in a thread, candidates of different prompts in one
    batch. A candidate that does not fit the model has no score, and a note says so. Raises `MissingExtraError`, `InputError` for a
    model that cannot be used, and `EngineError` where it fails (memory, a chat template that refuses).
    """

    is_open_to_clients: ClassVar[bool] = False

    model: ServerPath
    """Directory or hub name of a sequence classifier."""
    form: Literal["auto", "chat", "pair", "text"] = "auto"
    """chat: the tokenizer's chat template. pair: prompt and candidate as the two texts of a cross-encoder.
    text: both in `template`. auto: chat where the tokenizer has a template, else pair."""
    template: FreeText = "{prompt}\n\n{answer}"
    label: int | None = None
    """Which class's logit is the score, from 0, where the model has several."""
    device: ServerModel | None = None
    """As torch names it; a GPU where there is one without it."""
    batch: int = 8
    max_tokens: int | None = None
    """The longest text, prompt included; the model's own limit without it."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}")
        if "{answer}" not in self.template:
            raise ValueError("template has no {answer}: write it where the candidate goes")

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        places = [i for i, c in enumerate(candidates) if c.is_usable]
        scores = [Score(value=None)] * len(candidates)
        if not places:
            return scores
        texts = [candidates[i].text for i in places]
        prepared = await in_time(asyncio.to_thread(self._prepared, prompt, texts), ctx, self.model)
        if prepared is None:
            return scores
        model, encoded = prepared
        logits = await classify(model, encoded, ctx, batch=self.batch, max_tokens=self.max_tokens)
        for i, row in zip(places, logits, strict=True):
            if row is not None:
                scores[i] = Score(value=row[class_of(self.label, len(row), self.model)].item())
        return scores

    def _prepared(self, prompt: Prompt, texts: Sequence[str]) -> tuple[HfModel, list[Encoded]]:
        model = load(self.model, self.device, "sequence")
        with model.its_faults():
            return model, [self._encode(model, prompt, t) for t in texts]

    def _encode(self, model: HfModel, prompt: Prompt, text: str) -> Encoded:
        form, tokenizer = self.form, model.tokenizer
        if form == "auto":
            form = "pair"
            if tokenizer.chat_template:
                form = "chat"
        match form:
            case "chat":
                turns = [{"role": m.role, "content": m.content} for m in prompt.messages]
                turns.append({"role": "assistant", "content": text})
                text = model.in_template(turns)
                return dict(tokenizer(text, add_special_tokens=False))  # the template wrote its own
            case "pair":
                return dict(tokenizer(raw_text(prompt), text))
            case "text":
                return dict(tokenizer(filled(self.template, prompt, text)))
