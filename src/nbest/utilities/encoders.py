"""Where sentence embeddings come from: a server, ONNX Runtime, sentence-transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nbest.context import Context
from nbest.errors import EngineProtocolError, InputError
from nbest.http_client import clean_url
from nbest.scoring.endpoint import Endpoint, TokenCount, count_call
from nbest.scoring.extras import optional
from nbest.types import Json

Encode = Callable[[Sequence[Sequence[str]]], NDArray[np.float64]]
"""Batches of texts to one row each; runs in a thread."""

_MAX_TOKENS = 512
"""Where the model's files name no limit."""


class _Row(msgspec.Struct):
    embedding: list[float]
    index: int | None = None


class _Reply(msgspec.Struct):
    data: list[_Row]
    usage: TokenCount | None = None


def endpoint(url: str, key_env: str | None, timeout_s: float) -> Endpoint:
    """The `/embeddings` of a server; `/v1` is added to an address without a path."""
    base = clean_url(url).removesuffix("/embeddings")
    return Endpoint(url=f"{base}/embeddings", key_env=key_env, timeout_s=timeout_s)


async def ask(
    endpoint: Endpoint, model: str | None, texts: Sequence[str], ctx: Context
) -> Sequence[Sequence[float]]:
    """One call to a server, counted for the verifier. Raises `EngineError`."""
    body: dict[str, Json] = {"input": list(texts)}
    if model:
        body["model"] = model
    reply = await endpoint.post(body, _Reply, ctx)
    usage = reply.usage or TokenCount()
    count_call(ctx, usage.prompt)
    row_by_index = {i if r.index is None else r.index: r.embedding for i, r in enumerate(reply.data)}
    rows = [row_by_index.get(i) for i in range(len(texts))]
    sizes = {len(r) for r in rows if r is not None}
    if None in rows or len(sizes) != 1 or 0 in sizes:
        raise EngineProtocolError(
            f"{endpoint.url} gave {len(reply.data)} embeddings of {sorted(sizes)} numbers for {len(texts)} texts"
        )
    return [r for r in rows if r is not None]


@lru_cache(maxsize=4)
def sbert(name: str) -> Encode:
    """A sentence-transformers model, kept loaded. Raises `MissingExtraError`."""
    package = optional("sentence_transformers", "sbert")
    lock = Lock()
    loaded: list[Any] = []

    def encode(batches: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        with lock:  # one model, whatever the number of prompts at work
            if not loaded:
                loaded.append(package.SentenceTransformer(name))
            rows = [loaded[0].encode(list(b), batch_size=len(b), show_progress_bar=False) for b in batches]
        return np.concatenate(rows).astype(np.float64)

    return encode


@lru_cache(maxsize=4)
def onnx(directory: str, pooling: str | None) -> Encode:
    """An ONNX model in a directory as sentence-transformers and optimum write them, kept loaded.

    Raises `MissingExtraError`, and `InputError` for a directory that holds no such model.
    """
    onnxruntime, tokenizers = optional("onnxruntime", "embeddings"), optional("tokenizers", "embeddings")
    model, tokenizer_file, root = (
        _model_file(Path(directory)),
        Path(directory, "tokenizer.json"),
        Path(directory),
    )
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer_file))
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    except Exception as e:  # noqa: BLE001 - each library has its own, and all mean the files
        raise InputError(f"{directory} cannot be used as an ONNX model with tokenizer: {e}") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(
        int(_read(root / "sentence_bert_config.json").get("max_seq_length") or _MAX_TOKENS)
    )
    how = pooling or _pooling(_read(root / "1_Pooling" / "config.json"))
    return lambda batches: np.concatenate([_run(session, tokenizer, how, b) for b in batches])


def _run(session: Any, tokenizer: Any, how: str, texts: Sequence[str]) -> NDArray[np.float64]:
    encoded = tokenizer.encode_batch(list(texts))
    width = max(1, *(len(e.ids) for e in encoded))
    ids = np.zeros((len(texts), width), np.int64)
    mask = np.zeros((len(texts), width), np.int64)
    for i, e in enumerate(encoded):
        ids[i, : len(e.ids)] = e.ids
        mask[i, : len(e.ids)] = 1
    given = {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": np.zeros_like(ids),
        "position_ids": np.broadcast_to(np.arange(width), ids.shape).copy(),
    }
    names = [i.name for i in session.get_inputs()]
    unknown = set(names) - given.keys()
    if unknown:
        raise InputError(f"the ONNX model wants {', '.join(sorted(unknown))}: that is no text encoder")
    outputs = [o.name for o in session.get_outputs()]
    wanted = outputs[0]
    if "sentence_embedding" in outputs:
        wanted = "sentence_embedding"
    states = np.asarray(session.run([wanted], {n: given[n] for n in names})[0], np.float64)
    is_pooled = states.ndim == 2  # noqa: PLR2004
    if is_pooled:
        return states
    return _pool(states, mask, how)


def _pool(states: NDArray[np.float64], mask: NDArray[np.int64], how: str) -> NDArray[np.float64]:
    """Token states, texts × places × d, to texts × d."""
    if how == "cls":
        return states[:, 0]
    if how == "last":
        return states[np.arange(len(states)), np.maximum(mask.sum(axis=1) - 1, 0)]
    weights = mask / np.maximum(mask.sum(axis=1, keepdims=True), 1)
    return np.einsum("ntd,nt->nd", states, weights)


def _model_file(directory: Path) -> Path:
    named = [directory / "model.onnx", directory / "onnx" / "model.onnx"]
    found = next((p for p in [*named, *sorted(directory.glob("*.onnx"))] if p.is_file()), None)
    if found is None or not (directory / "tokenizer.json").is_file():
        raise InputError(f"{directory} must hold model.onnx (or onnx/model.onnx) and tokenizer.json")
    return found


def _pooling(config: dict[str, Any]) -> str:
    if config.get("pooling_mode_cls_token"):
        return "cls"
    if config.get("pooling_mode_lasttoken"):
        return "last"
    return "mean"


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))
