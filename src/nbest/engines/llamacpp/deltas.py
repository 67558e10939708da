"""A streamed draw of llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nbest.accounting.open_calls import OpenCall
from nbest.engines.llamacpp.logprobs import Drawn
from nbest.engines.llamacpp.runtime import LlamaServer
from nbest.errors import EngineProtocolError
from nbest.protocols import OnDelta

_drawn = msgspec.json.Decoder(Drawn)


class _Text(msgspec.Struct):
    content: str


async def streamed(
    server: LlamaServer, body: Mapping[str, Any], on_delta: OnDelta | None, call: OpenCall
) -> Drawn:
    """Emits the deltas of `/completion`, and gives what it would have answered to `body` in one reply, except
    for an end that is no whole character. `call` is told of each token.

    With log-probabilities the text is one delta: streams leave out tokens that only begin a character.
    """
    if body["n_probs"]:
        whole = await server.post("/completion", body, Drawn)
        if whole.content and on_delta:
            on_delta(whole.content)
        return whole
    parts: list[Drawn] = []
    call.num_drawn = 0

    def take(data: bytes) -> None:
        try:
            parts.append(_drawn.decode(data))
        except msgspec.DecodeError as e:
            raise EngineProtocolError(
                f"llama.cpp streamed something that is no part of a completion: {e}"
            ) from None
        part = parts[-1]
        call.num_events += 1
        call.num_drawn = max(call.num_drawn or 0, part.tokens_predicted)
        call.num_prompt, call.num_cached = part.tokens_evaluated, part.num_cached
        if part.content and on_delta:
            on_delta(part.content)

    await server.stream("/completion", {**body, "stream": True}, take)
    *_, last = parts
    if not last.stop_type:
        raise EngineProtocolError("llama.cpp broke off its reply")
    rest = await _held_back(server, parts)
    if rest and on_delta:
        on_delta(rest)
    return msgspec.structs.replace(
        last,
        content="".join(p.content for p in parts) + rest,
        tokens=[t for p in parts for t in p.tokens],
    )


async def _held_back(server: LlamaServer, parts: list[Drawn]) -> str:
    """Text that was never streamed: an end that might have begun a stop string, and did not."""
    held: list[int] = []
    for part in parts:
        if part.content:
            held = []
        else:
            held += part.tokens
    if parts[-1].stop_type == "eos":
        held = held[:-1]
    if not held or parts[-1].stop_type == "word":
        return ""
    return (await server.post("/detokenize", {"tokens": held}, _Text)).content
