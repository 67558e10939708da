"""Reward models in this process: Hugging Face sequence classifiers (extra `hf`)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, Literal

from nbest.context import Context
from nbest.errors import EngineError, InputError
from nbest.scoring.extras import optional
from nbest.scoring.rewardwire import class_of, filled
from nbest.types import Candidate, Completion, Prompt, Score, Usage
from nbest.wire import raw_text


@dataclass(frozen=True, slots=True, kw_only=True)
class HfReward:
    """The logit that a sequence classifier gives each candidate as the answer to the prompt.

    The model is loaded when first asked, kept, and runs one batch at a time in a thread. A candidate that
    does not fit the model has no score, and a note says so. Raises `MissingExtraError`, `InputError` for a
    model that cannot be used, and `EngineError` where it fails (memory, a chat template that refuses).
    """

    model: str
    """Directory or hub name of a sequence classifier."""
    form: Literal["auto", "chat", "pair", "text"] = "auto"
    """chat: the tokenizer's chat template. pair: prompt and candidate as the two texts of a cross-encoder.
    text: both in `template`. auto: chat where the tokenizer has a template, else pair."""
    template: str = "{prompt}\n\n{answer}"
    label: int | None = None
    """Which class's logit is the score, from 0, where the model has several."""
    device: str | None = None
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
        logits, num_tokens = await asyncio.to_thread(self._logits, prompt, texts)
        ctx.meter.count("verifier", [Completion(text="", usage=Usage(prompt=num_tokens, calls=1))])
        for i, row in zip(places, logits, strict=True):
            if row is not None:
                scores[i] = Score(value=row[class_of(self.label, len(row), self.model)])
        if num_long := sum(row is None for row in logits):
            ctx.note(f"hf_reward: {num_long} of {len(logits)} candidates are too long for {self.model}")
        return scores

    def _logits(self, prompt: Prompt, texts: Sequence[str]) -> tuple[list[list[float] | None], int]:
        """A row of class logits per text, None for one that is too long; and how many tokens were read."""
        loaded = _load(self.model, self.device)
        limit = min(n for n in (self.max_tokens, loaded.max_tokens) if n is not None)
        try:
            encoded = [self._encode(loaded.tokenizer, prompt, t) for t in texts]
            sizes = [len(e["input_ids"]) for e in encoded]
            rows: list[list[float] | None] = [None] * len(texts)
            # By length, so that little is padding.
            order = sorted((i for i, n in enumerate(sizes) if n <= limit), key=lambda i: sizes[i])
            for start in range(0, len(order), self.batch):
                part = order[start : start + self.batch]
                for i, row in zip(part, loaded.run([encoded[i] for i in part]), strict=True):
                    rows[i] = row
        except (RuntimeError, ValueError, loaded.template_error) as e:
            raise EngineError(f"{self.model}: {type(e).__name__}: {e}") from None
        return rows, sum(sizes[i] for i in order)

    def _encode(self, tokenizer: Any, prompt: Prompt, text: str) -> dict[str, list[int]]:
        form = self.form
        if form == "auto":
            form = "chat" if tokenizer.chat_template else "pair"
        match form:
            case "chat":
                turns = [{"role": m.role, "content": m.content} for m in prompt.messages]
                turns.append({"role": "assistant", "content": text})
                said = tokenizer.apply_chat_template(turns, tokenize=False)
                return dict(tokenizer(said, add_special_tokens=False))  # the template wrote its own
            case "pair":
                return dict(tokenizer(raw_text(prompt), text))
            case "text":
                return dict(tokenizer(filled(self.template, prompt, text)))


class _Loaded:
    """A model and its tokenizer on a device."""

    def __init__(self, name: str, device: str | None) -> None:
        """Raises `MissingExtraError` and `InputError`."""
        self._torch, transformers = optional("torch", "hf"), optional("transformers", "hf")
        self.template_error: type[Exception] = optional("jinja2", "hf").TemplateError
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(name)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(name, dtype="auto")
        except (OSError, ValueError) as e:
            raise InputError(f"{name} cannot be used as a sequence classifier: {e}") from None
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token or self.tokenizer.unk_token
        if model.config.pad_token_id is None:  # the place of a decoder's score is found by it
            model.config.pad_token_id = self.tokenizer.pad_token_id
        self._device = device or ("cuda" if self._torch.cuda.is_available() else "cpu")
        self._model = model.to(self._device).eval()
        self._lock = Lock()
        limits = (self.tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None))
        self.max_tokens: int = min(int(n) for n in limits if n)

    def run(self, encoded: Sequence[dict[str, list[int]]]) -> list[list[float]]:
        """Class logits of each text of a batch."""
        given = self.tokenizer.pad({k: [e[k] for e in encoded] for k in encoded[0]}, return_tensors="pt")
        with self._lock, self._torch.inference_mode():
            logits = self._model(**{k: v.to(self._device) for k, v in given.items()}).logits
        return logits.float().cpu().tolist()


_loading = Lock()


def _load(name: str, device: str | None) -> _Loaded:
    with _loading:
        return _kept(name, device)


@lru_cache(maxsize=2)
def _kept(name: str, device: str | None) -> _Loaded:
    return _Loaded(name, device)
