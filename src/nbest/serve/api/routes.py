"""The three APIs: how a body is read, and how an answer is written, at once or as a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nbest.serve.api.chat_request import read_chat, read_completion
from nbest.serve.api.chat_stream import ChatWriter, CompletionWriter
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api.reply import Reply, chat_reply, completion_reply
from nbest.serve.api.responses_request import read_responses
from nbest.serve.api.responses_stream import ResponsesWriter, responses_reply
from nbest.types import Json


class Api(NamedTuple):
    prefix: str
    """Of ids."""
    read: Callable[[bytes], GatewayRequest]
    """Raises `BadRequestError`."""
    reply: Callable[[Reply], dict[str, Json]]
    writer: Callable[..., Any]


APIS: Mapping[str, Api] = {
    "/v1/chat/completions": Api("chatcmpl-", read_chat, chat_reply, ChatWriter),
    "/v1/responses": Api("resp_", read_responses, responses_reply, ResponsesWriter),
    "/v1/completions": Api("cmpl-", read_completion, completion_reply, CompletionWriter),
}
