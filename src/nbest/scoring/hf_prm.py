"""Process reward models in this process: Hugging Face token classifiers (extra `hf`)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, Literal

from nbest.context import Context
from nbest.errors import EngineError, InputError
from nbest.protocols import FreeText, ServerModel, ServerPath
from nbest.scoring.aggregate import Reduce, aggregate
from nbest.scoring.endpoint import in_time
from nbest.scoring.hf_model import Encoded, HfModel, classify, load
from nbest.scoring.reward_api import class_of, filled
from nbest.scoring.step_texts import Split, note_half_steps, steps_of
from nbest.types import Candidate, Prompt, Score

_HERE = "\ufdd0"
"""Stands for the answer in a template: a code point that no text may hold."""
_NUM_BINARY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HfPrm:
    """A PRM with a head of its own: P(right) at the mark behind each step, by a token classifier.

    As TRL's PRMTrainer, Qwen2.5-Math-PRM (arXiv 2501.07301) and Skywork-o1-PRM write it: the question, then
    each step with `step_mark` behind it, steps and marks tokenised apart. A step's value is read at the last
    token of its mark: softmax over the classes, or the sigmoid of the only one. `Score.steps` has all of
    them, and `reduce` makes the score.

    The model is loaded when first asked, kept, and runs in a thread, texts of different prompts in one batch.
    A text that does not fit the model is never cut: it has no score, and a note says so. Neither has one without a step.
    Raises `MissingExtraError`, `InputError` for a model that cannot be used, and `EngineError` where it
    fails (memory, a chat template that refuses).
    """

    is_open_to_clients: ClassVar[bool] = False

    model: ServerPath
    """Directory or hub name of a token classifier."""
    step_mark: FreeText
    """What stands behind each step: `<extra_0>` for Qwen2.5-Math-PRM, a line break ('\\n') for TRL's default."""
    form: Literal["auto", "chat", "text"] = "auto"
    """chat: the tokenizer's chat template. text: prompt and steps in `template`. auto: chat where the
    tokenizer has a template."""
    template: FreeText = "{prompt}\n\n{answer}"
    label: int | None = None
    """The class of right steps, from 0; the second of two without it."""
    split: Split = "line"
    reduce: Reduce = "last"
    device: ServerModel | None = None
    """As torch names it; a GPU where there is one without it."""
    batch: int = 8
    max_tokens: int | None = None
    """The longest text, prompt included; the model's own limit without it."""
    remote_code: bool = False
    """true runs Python code that comes with the model, as Qwen2.5-Math-PRM needs: only where you trust it."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}")
        if "{answer}" not in self.template:
            raise ValueError("template has no {answer}: write it where the steps go")
        if not self.step_mark:
            raise ValueError("step_mark must not be empty")

    async def __call__(
        self, prompt: Prompt, candidates: Sequence[Candidate], ctx: Context
    ) -> Sequence[Score]:
        note_half_steps("hf_prm", candidates, self.split, ctx)
        steps = [steps_of(c.text, self.split) if c.is_usable else [] for c in candidates]
        places = [i for i, s in enumerate(steps) if s]
        scores = [Score(value=None)] * len(candidates)
        if not places:
            return scores
        asked = [steps[i] for i in places]
        prepared = await in_time(asyncio.to_thread(self._prepared, prompt, asked), ctx, self.model)
        if prepared is None:
            return scores
        model, head, bodies, encoded = prepared
        rows = await classify(model, encoded, ctx, batch=self.batch, max_tokens=self.max_tokens)
        for i, row, body in zip(places, rows, bodies, strict=True):
            if row is not None:
                steps_of_one = self._read(row, len(head), body)
                scores[i] = Score(value=aggregate(steps_of_one, self.reduce), steps=tuple(steps_of_one))
        return scores

    def _prepared(
        self, prompt: Prompt, solutions: Sequence[Sequence[str]]
    ) -> tuple[HfModel, list[int], list[list[list[int]]], list[Encoded]]:
        """The tokens before the first step, those of each step of each solution, and all of each solution."""
        model = load(self.model, self.device, "token", remote_code=self.remote_code)
        with model.its_faults():
            head, tail, mark = self._frame(model, prompt)
            bodies = [[_ids(model.tokenizer, s.strip()) + mark for s in steps] for steps in solutions]
        return model, head, bodies, [_encoded([*head, *chain.from_iterable(b), *tail]) for b in bodies]

    def _frame(self, model: HfModel, prompt: Prompt) -> tuple[list[int], list[int], list[int]]:
        """Tokens before the first step, behind the last one, and of the mark."""
        tokenizer = model.tokenizer
        is_chat = self.form == "chat" or (self.form == "auto" and bool(tokenizer.chat_template))
        if is_chat:
            turns = [{"role": m.role, "content": m.content} for m in prompt.messages]
            text = model.in_template([*turns, {"role": "assistant", "content": _HERE}])
        else:
            text = filled(self.template, prompt, _HERE)
        before, found, behind = text.rpartition(_HERE)
        if not found:
            raise EngineError(f"{self.model}: its chat template leaves the answer out; use form=text")
        head = _ids(tokenizer, before)
        if not is_chat and tokenizer.bos_token_id is not None:  # a chat template writes its own
            head = [tokenizer.bos_token_id, *head]
        mark = _ids(tokenizer, self.step_mark)
        if not mark or tokenizer.unk_token_id in mark:
            raise InputError(f"{self.model} has no token for step_mark={self.step_mark!r}: name its own mark")
        return head, _ids(tokenizer, behind), mark

    def _read(self, logits_TC: Any, start: int, body: Sequence[Sequence[int]]) -> list[float]:
        """The value of each step, at its last token."""
        num_classes = logits_TC.shape[-1]
        label = self.label
        if label is None and num_classes == _NUM_BINARY:
            label = 1
        label = class_of(label, num_classes, self.model)
        ends: list[int] = []
        for tokens in body:
            start += len(tokens)
            ends.append(start - 1)
        at = logits_TC[ends]
        return (at.sigmoid() if num_classes == 1 else at.softmax(-1))[:, label].tolist()


def _ids(tokenizer: Any, text: str) -> list[int]:
    if text:
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    return []


def _encoded(ids: list[int]) -> Encoded:
    return {"input_ids": ids, "attention_mask": [1] * len(ids)}
