"""Hugging Face classifiers in this process (extra `hf`): loaded once, texts of several prompts in one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from threading import Lock
from typing import Any, Literal

from nbest.context import Context
from nbest.errors import EngineError, InputError, NbestError
from nbest.scoring.endpoint import count_call, in_time
from nbest.scoring.extras import optional
from nbest.scoring.merge import Merger
from nbest.scoring.per_loop import per_loop

Head = Literal["sequence", "token"]
"""Whether a model classifies whole texts or each token."""
Encoded = Mapping[str, Sequence[int]]
"""What a tokenizer makes of one text: `input_ids` and what goes with them."""
_NUM_BATCHES = 8
"""In a call: texts of like length are put together out of so many batches."""


class HfModel:
    """A classifier and its tokenizer on a device."""

    def __init__(self, name: str, device: str | None, head: Head, *, remote_code: bool) -> None:
        """Raises `MissingExtraError`, and `InputError` for a model that was not trained to classify."""
        self.name = name
        self._torch, transformers = optional("torch", "hf"), optional("transformers", "hf")
        auto = f"AutoModelFor{head.capitalize()}Classification"
        trusted = {}
        if remote_code:
            trusted = {"trust_remote_code": True}
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(name, **trusted)
            if remote_code:  # a class of the model's own is named under one of two names
                config = transformers.AutoConfig.from_pretrained(name, **trusted)
                if auto not in getattr(config, "auto_map", {}):
                    auto = "AutoModel"
            model, loaded = getattr(transformers, auto).from_pretrained(
                name, dtype="auto", output_loading_info=True, **trusted
            )
        except (OSError, ValueError, RuntimeError) as e:
            raise InputError(f"{name} cannot be used as a {head} classifier: {e}") from None
        absent = sorted(loaded["missing_keys"])
        if absent:
            raise InputError(
                f"{name} cannot be used as a {head} classifier: it has no trained {absent[0]}, whose values would"
                " be random. It is another kind of model, or needs its own code"
            )
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token or self.tokenizer.unk_token
        if head == "token":
            self.tokenizer.padding_side = "right"  # so that places are counted from the beginning
        if getattr(model.config, "pad_token_id", None) is None:  # a decoder's score is found by it
            model.config.pad_token_id = self.tokenizer.pad_token_id
        self._device = device or self._default_device()
        self._model = model.to(self._device).eval()
        self._lock = Lock()
        limits = (self.tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None))
        self._max_tokens = min(int(n) for n in limits if n)

    def _default_device(self) -> str:
        if self._torch.cuda.is_available():
            return "cuda"
        return "cpu"

    @contextmanager
    def its_faults(self) -> Generator[None]:
        """What its tokenizer, template or layers raise within is an `EngineError`.

        They raise anything: `tokenizers` a bare `Exception` for a word without a token.
        """
        try:
            yield
        except NbestError:
            raise
        except Exception as e:  # noqa: BLE001 (the code is not ours)
            raise EngineError(f"{self.name}: {type(e).__name__}: {e}") from None

    def in_template(self, turns: Sequence[Mapping[str, str]]) -> str:
        """A conversation as text, by the tokenizer's chat template. Raises `MissingExtraError`."""
        optional("jinja2", "hf")
        return self.tokenizer.apply_chat_template(list(turns), tokenize=False)

    def fits(self, text: Encoded, max_tokens: int | None) -> bool:
        """Whether it is no longer than the model reads, nor than `max_tokens`."""
        limit = self._max_tokens
        if max_tokens is not None:
            limit = min(max_tokens, limit)
        return len(text["input_ids"]) <= limit

    def logits(self, texts: Sequence[Encoded], *, batch: int) -> list[Any]:
        """A tensor per text: C classes, or T tokens × C. Raises `EngineError`. Blocks."""
        rows: list[Any] = [None] * len(texts)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]["input_ids"]))  # little is padding
        with self.its_faults():
            for start in range(0, len(order), batch):
                part = order[start : start + batch]
                for i, row in zip(part, self._run([texts[i] for i in part]), strict=True):
                    rows[i] = row[: len(texts[i]["input_ids"])] if row.ndim > 1 else row
        return rows

    def _run(self, encoded: Sequence[Encoded]) -> Any:
        """B × C, or B × T × C."""
        given = self.tokenizer.pad({k: [e[k] for e in encoded] for k in encoded[0]}, return_tensors="pt")
        with self._lock, self._torch.inference_mode():
            logits = self._model(**{k: v.to(self._device) for k, v in given.items()}).logits
        return logits.float().cpu()


_loading = Lock()


def load(name: str, device: str | None, head: Head, *, remote_code: bool = False) -> HfModel:
    """The model, loaded when it is first asked for. Blocks."""
    with _loading:
        return loaded(name, device, head, remote_code=remote_code)


@lru_cache(maxsize=2)
def loaded(name: str, device: str | None, head: Head, *, remote_code: bool) -> HfModel:
    """As `load`, which sees to it that no model is loaded twice."""
    return HfModel(name, device, head, remote_code=remote_code)


async def classify(
    model: HfModel, encoded: Sequence[Encoded], ctx: Context, *, batch: int, max_tokens: int | None
) -> list[Any | None]:
    """A tensor per text as `HfModel.logits` gives it, None for one that is too long or has no numbers.

    Texts of different prompts are read in one batch. What was read is counted as the verifier's; at the
    prompt's deadline there are no tensors, and a note. Raises `EngineError`.
    """
    places = [i for i, e in enumerate(encoded) if model.fits(e, max_tokens)]
    num_long = len(encoded) - len(places)
    if num_long:
        ctx.note(f"{num_long} of {len(encoded)} candidates are too long for {model.name}")
    merger: Merger[Encoded, Any] = await per_loop(
        (model, batch), lambda: Merger(partial(_in_thread, model, batch), size=_NUM_BATCHES * batch)
    )
    rows: list[Any | None] = [None] * len(encoded)
    if not places:
        return rows
    read = await in_time(merger([encoded[i] for i in places]), ctx, model.name)
    if read is None:
        return rows
    count_call(ctx, sum(len(encoded[i]["input_ids"]) for i in places))
    for i, row in zip(places, read, strict=True):
        if not row.isnan().any():
            rows[i] = row
    num_broken = sum(rows[i] is None for i in places)
    if num_broken:
        ctx.note(f"{num_broken} of {len(encoded)} candidates overflow the numbers of {model.name}: no score")
    return rows


async def _in_thread(model: HfModel, batch: int, texts: Sequence[Encoded]) -> list[Any]:
    return await asyncio.to_thread(model.logits, texts, batch=batch)
