"""OpenAI JSON ↔ types, both ways, pure.

For engines there are `bodies` and `replies`; for the clients of a gateway `asks`, `answers` and `streams`.

Nothing here knows a server. JSON that comes from elsewhere is validated while it is decoded, and
what does not fit raises one line: `EngineProtocolError` for a server's, `InputError` for a client's.
"""

from nbest.wire.answers import Choice, Reply, chat_reply, completion_reply, error_reply, models_reply
from nbest.wire.asks import Ask, AskError, NbestAsk, short
from nbest.wire.bodies import chat_body, own_fields, raw_text, text_body
from nbest.wire.chat_asks import read_chat, read_completion
from nbest.wire.replies import (
    THOUGHTS,
    completions,
    echoed_logprobs,
    error_text,
    models,
    prompt_logprobs,
    prompt_tokens,
    split,
    thoughts_name,
)
from nbest.wire.responses import ResponsesWriter, responses_reply
from nbest.wire.responses_asks import read_responses
from nbest.wire.streams import ChatWriter, CompletionWriter

__all__ = [
    "THOUGHTS",
    "Ask",
    "AskError",
    "ChatWriter",
    "Choice",
    "CompletionWriter",
    "NbestAsk",
    "Reply",
    "ResponsesWriter",
    "chat_body",
    "chat_reply",
    "completion_reply",
    "completions",
    "echoed_logprobs",
    "error_reply",
    "error_text",
    "models",
    "models_reply",
    "own_fields",
    "prompt_logprobs",
    "prompt_tokens",
    "raw_text",
    "read_chat",
    "read_completion",
    "read_responses",
    "responses_reply",
    "short",
    "split",
    "text_body",
    "thoughts_name",
]
