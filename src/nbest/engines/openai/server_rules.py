"""How known servers differ from OpenAI's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nbest.types import Json


class ServerRules(NamedTuple):
    """The differences of one kind of server. The defaults hold for servers that are not known."""

    neutral: Mapping[str, Json] = {}
    """Fields that must be sent to draw from the model's own distribution."""
    continue_flags: Mapping[str, Json] = {"continue_final_message": True, "add_generation_prompt": False}
    """What makes a trailing assistant message a prefix to continue, in chat."""
    continues: bool | None = None
    """Whether it is known to continue a prefix; None: it must be tried."""
    echoes: bool | None = None
    """Whether the reply is known to repeat the prefix; None: it must be tried."""
    min_logprobs: int = 0
    """The fewest alternatives with which log-probabilities come."""
    names_penalties: bool = False
    """Whether penalties count only where `samplers` names them."""
    names_stop: bool = False
    """Whether the reply names the stop string that ended a text."""
    scores_text: bool = False
    """Whether it gives log-probabilities of prompt tokens."""
    streams_pools: bool = False
    """Whether calls for several draws are streamed."""
    count_flags: Mapping[str, Json] = {}
    """What makes each event of a streamed draw say how many tokens there are so far."""


OTHER = ServerRules()

RULES: Mapping[str, ServerRules] = {
    # vLLM and SGLang take what is left out from the model's generation_config.
    "vllm": ServerRules(
        neutral={"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
        continues=True,
        echoes=False,
        names_stop=True,
        scores_text=True,
        count_flags={"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    ),
    "sglang": ServerRules(
        neutral={"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
        continues=True,
        echoes=False,
        names_stop=True,
    ),
    # llama.cpp takes it from its own defaults (top_k 40, min_p 0.05), and would cut before it applies
    # temperature. 0 alternatives turn log-probabilities off. Of several draws in one reply it counts the
    # tokens of the first alone, and draws on for a client that has left; a stream it counts and leaves.
    "llamacpp": ServerRules(
        neutral={"top_k": 0, "min_p": 0.0, "samplers": ["temperature", "min_p", "top_k", "top_p"]},
        continue_flags={},
        continues=True,
        min_logprobs=1,
        names_penalties=True,
        streams_pools=True,
        count_flags={"timings_per_token": True},
    ),
}

OWNERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llamacpp", "llama.cpp": "llamacpp"}
"""What servers call themselves in GET /models (`owned_by`) → key of `RULES`."""
