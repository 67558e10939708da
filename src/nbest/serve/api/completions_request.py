"""Bodies of POST /v1/completions, OpenAI's older API of texts without turns."""

from __future__ import annotations

from nbest.serve.api.bad_request import invalid
from nbest.serve.api.chat_request import StreamOptions, wants_usage
from nbest.serve.api.common_fields import (
    COMMON,
    OWN,
    CommonFields,
    convert,
    model_name,
    nbest_options,
    overrides,
)
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api.json_body import decode
from nbest.types import Json, Message


class _Completion(CommonFields, kw_only=True):
    prompt: str | list[Json]
    max_tokens: int | None = None
    logprobs: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    stream_options: StreamOptions | None = None


_OWN_COMPLETION = OWN | (frozenset(_Completion.__struct_fields__) - COMMON)


def read_completion(raw: bytes) -> GatewayRequest:
    """A request for one prompt of text, which becomes a user turn. Raises `BadRequestError`."""
    body = decode(raw)
    fields = convert(body, _Completion)
    prompt = _prompt(fields)
    if fields.echo:
        raise invalid("echo", "is not supported: the prompt is not given back")
    if fields.suffix:
        raise invalid("suffix", "is not supported: answers are not inserted into texts")

    return GatewayRequest(
        model=model_name(fields),
        messages=(Message(role="user", content=prompt),),
        overrides=overrides(
            fields,
            max_tokens=fields.max_tokens,
            logprobs=fields.logprobs,
            body={k: v for k, v in body.items() if k not in _OWN_COMPLETION},
        ),
        n=fields.n or 1,
        seed=fields.seed,
        stream=bool(fields.stream),
        include_usage=wants_usage(fields.stream_options),
        nbest=nbest_options(body, fields),
    )


def _prompt(fields: _Completion) -> str:
    prompts = [fields.prompt] if isinstance(fields.prompt, str) else fields.prompt
    if any(isinstance(p, (int, list)) for p in prompts):
        raise invalid("prompt", "holds token ids: send text")
    match prompts:
        case [str(prompt)]:
            return prompt
        case _:
            raise invalid("prompt", f"must be one text, got {len(prompts)}: send one request for each")
