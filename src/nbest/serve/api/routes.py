"""The three APIs: how a body is read, and how an answer is written, in one piece or as a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from nbest.serve.api.chat_reply import chat_reply
from nbest.serve.api.chat_request import read_chat
from nbest.serve.api.chat_stream import ChatWriter
from nbest.serve.api.completions_reply import completion_reply
from nbest.serve.api.completions_request import read_completion
from nbest.serve.api.completions_stream import CompletionWriter
from nbest.serve.api.gateway_request import GatewayRequest
from nbest.serve.api.reply import Reply
from nbest.serve.api.responses_reply import responses_reply
from nbest.serve.api.responses_request import read_responses
from nbest.serve.api.responses_stream import ResponsesWriter
from nbest.serve.api.writer import MakeWriter
from nbest.types import Json


class Api(NamedTuple):
    """One of OpenAI's APIs."""

    id_prefix: str
    """What the ids of its replies begin with."""
    read: Callable[[bytes], GatewayRequest]
    """Reads a body. Raises `BadRequestError`."""
    reply: Callable[[Reply], dict[str, Json]]
    writer: MakeWriter


APIS: Mapping[str, Api] = {
    "/v1/chat/completions": Api("chatcmpl-", read_chat, chat_reply, ChatWriter),
    "/v1/responses": Api("resp_", read_responses, responses_reply, ResponsesWriter),
    "/v1/completions": Api("cmpl-", read_completion, completion_reply, CompletionWriter),
}
"""By path."""
