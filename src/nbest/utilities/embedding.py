"""Cosine of sentence embeddings: how alike two texts are in meaning, across languages too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from nbest.context import Context
from nbest.errors import EngineProtocolError
from nbest.protocols import FreeText, ServerEnv, ServerPath, ServerUrl
from nbest.utilities import encoders

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Cosine of the embeddings of two texts, −1 to 1.

    The model is one of: a server with an OpenAI-compatible `/embeddings` (`url`, `model`), a directory
    with an ONNX model and its `tokenizer.json` (`onnx`, extra `embeddings`), a sentence-transformers model
    (`sbert`, extra `sbert`). Across languages it has to be a multilingual one. Each distinct text is
    embedded once per call. A text without a word is at cosine 0 to every other, itself included.

    `mbr(utility=…, mode=aggregate)` is exact with it, for the mean of cosines is the cosine with the mean.
    Raises `EngineError` where the server fails, `MissingExtraError`, and `InputError` for a directory that
    cannot be used.
    """

    is_open_to_clients: ClassVar[bool] = False

    url: ServerUrl | None = None
    model: ServerPath | None = None
    key_env: ServerEnv | None = None
    """Environment variable that holds the key, sent to that host only."""
    onnx: ServerPath | None = None
    sbert: ServerPath | None = None
    """Directory or hub name."""
    pooling: Literal["mean", "cls", "last"] | None = None
    """onnx: which token states become the embedding; as the model's own files say without it, else mean."""
    prefix: FreeText = ""
    """Put before every text, where the model was trained so (E5: `"query: "`)."""
    batch: int = 64
    timeout_s: float = 120.0

    is_multilingual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.url, self.onnx, self.sbert)) != 1:
            raise ValueError(
                "embedding needs one model: url=… with model=…, or onnx=DIRECTORY, or sbert=DIRECTORY_OR_NAME"
            )
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}")

    async def __call__(self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context) -> Floats:
        rows_h, rows_r = await self._directions(hypotheses, references, ctx)
        return rows_h @ rows_r.T

    async def aggregate(
        self, hypotheses: Sequence[str], references: Sequence[str], weights: Sequence[float], ctx: Context
    ) -> Floats:
        """Weighted mean of each hypothesis' cosines, without the N×M matrix; exact."""
        rows_h, rows_r = await self._directions(hypotheses, references, ctx)
        shares = np.asarray(weights, np.float64)
        return rows_h @ (shares @ rows_r / shares.sum())

    async def _directions(
        self, hypotheses: Sequence[str], references: Sequence[str], ctx: Context
    ) -> tuple[Floats, Floats]:
        """Embeddings of length 1, of the hypotheses and of the references."""
        texts = [t for t in dict.fromkeys([*hypotheses, *references]) if t.strip()]
        if not texts:
            return np.zeros((len(hypotheses), 1)), np.zeros((len(references), 1))
        rows = np.asarray(await self._embed([self.prefix + t for t in texts], ctx), np.float64)
        if rows.ndim != 2 or len(rows) != len(texts) or not np.isfinite(rows).all():  # noqa: PLR2004
            raise EngineProtocolError(f"embeddings of {len(texts)} texts came as {rows.shape} numbers")
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
        # One row more, of zeros, for texts without a word.
        rows = np.vstack([rows, np.zeros((1, rows.shape[1]))])
        place_by_text = {t: i for i, t in enumerate(texts)}
        return (
            rows[[place_by_text.get(t, -1) for t in hypotheses]],
            rows[[place_by_text.get(t, -1) for t in references]],
        )

    async def _embed(self, texts: Sequence[str], ctx: Context) -> Sequence[Sequence[float]] | Floats:
        parts = [texts[i : i + self.batch] for i in range(0, len(texts), self.batch)]
        if self.url is not None:
            endpoint = encoders.endpoint(self.url, self.key_env, self.timeout_s)
            asked = [encoders.ask(endpoint, self.model, part, ctx) for part in parts]
            return [row for rows in await asyncio.gather(*asked) for row in rows]
        if self.onnx is not None:
            return await asyncio.to_thread(encoders.onnx(self.onnx, self.pooling), parts)
        return await asyncio.to_thread(encoders.sbert(str(self.sbert)), parts)
