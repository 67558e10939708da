"""Parameters of a language model, from its Hugging Face config.json alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from nbest.accounting.costs import ModelSize
from nbest.errors import InputError


class _Family(NamedTuple):
    """What the config does not say."""

    num_norms: int = 2
    """Of hidden width, in each layer."""
    norms_heads: bool = False
    """A norm of a head's width for queries and one for keys."""
    has_qkv_bias: bool = False


_FAMILIES: Mapping[str, _Family] = {
    "cohere": _Family(num_norms=1),
    "cohere2": _Family(num_norms=1),
    "deepseek_v2": _Family(),
    "deepseek_v3": _Family(),
    "gemma": _Family(),
    "gemma2": _Family(num_norms=4),
    "gemma3_text": _Family(num_norms=4, norms_heads=True),
    "granite": _Family(),
    "llama": _Family(),
    "mistral": _Family(),
    "mixtral": _Family(),
    "phi3": _Family(),
    "qwen2": _Family(has_qkv_bias=True),
    "qwen2_moe": _Family(has_qkv_bias=True),
    "qwen3": _Family(norms_heads=True),
    "qwen3_moe": _Family(norms_heads=True),
}
"""By `model_type`; all have gated feed-forward layers."""
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size")


def read_size(path: Path) -> ModelSize:
    """Parameters of the language model that a config.json (or its directory) describes.

    Not active are the experts that a token is not sent to, and the embedding table where it is not the
    output layer as well. Of a model that sees or hears, the language model alone counts. Raises
    `InputError` for a file that is missing or none, and for a kind of model that is not known here.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        given = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except OSError as e:
        raise InputError(f"{file}: {e.strerror} (a GGUF model or a config.json is expected)") from None
    except (msgspec.DecodeError, RecursionError) as e:
        raise InputError(f"{file}: no config.json of a model: {e}") from None
    instead = "give the number of its active parameters instead, such as  8e9"
    inner: Any = given.get("text_config") or {}
    if not isinstance(inner, dict):
        raise InputError(f"{file}: text_config is no object: {instead}")
    config = given | cast("dict[str, Any]", inner)
    if (kind := str(config.get("model_type"))) not in _FAMILIES:
        known = ", ".join(_FAMILIES)
        raise InputError(f"{file}: models of type {kind!r} cannot be counted: {instead}. Known: {known}")
    for name in _SIZES:
        if type(config.get(name, 1)) is not int or config.get(name, 1) < 1:
            raise InputError(f"{file}: {name} should be a number from 1 on, and is not: {instead}")
    try:
        return _count(config, _FAMILIES[kind])
    except KeyError as e:
        raise InputError(f"{file} does not say {e.args[0]}: {instead}") from None
    except TypeError:
        raise InputError(f"{file}: something there should be a number and is not: {instead}") from None


def _count(config: Mapping[str, Any], family: _Family) -> ModelSize:
    width, num_layers = config["hidden_size"], config["num_hidden_layers"]
    table = config["vocab_size"] * width
    is_tied = config.get("tie_word_embeddings", True)
    is_sparse = [_is_sparse(config, i) for i in range(num_layers)]
    num_sparse = sum(is_sparse)
    every = num_layers * (_attention(config, family) + family.num_norms * width) + width
    dense = (num_layers - num_sparse) * _feed_forward(config, config["intermediate_size"])
    shared = experts = used = 0
    if num_sparse:
        num_experts, num_used = _num_experts(config), config["num_experts_per_tok"]
        expert = 3 * width * config.get("moe_intermediate_size", config["intermediate_size"])
        shared = num_sparse * (width * num_experts + _shared(config))
        experts, used = num_sparse * num_experts * expert, num_sparse * num_used * expert
    common = every + dense + shared + table
    return ModelSize(parameters=common + experts + (0 if is_tied else table), active=common + used)


def _num_experts(config: Mapping[str, Any]) -> int:
    names = ("num_local_experts", "num_experts", "n_routed_experts")
    return next((n for name in names if (n := config.get(name))), 0)


def _is_sparse(config: Mapping[str, Any], layer: int) -> bool:
    """Whether a layer has experts: from `first_k_dense_replace` on, or every `decoder_sparse_step`-th."""
    step = config.get("decoder_sparse_step", 1)
    return (
        _num_experts(config) > 0
        and layer >= (config.get("first_k_dense_replace") or 0)
        and layer not in (config.get("mlp_only_layers") or ())
        and step > 0
        and (layer + 1) % step == 0
    )


def _shared(config: Mapping[str, Any]) -> int:
    """The experts that every token passes through, with their gate."""
    width = config["hidden_size"]
    if num := config.get("n_shared_experts"):
        return 3 * width * num * config["moe_intermediate_size"]
    size = config.get("shared_expert_intermediate_size", 0)
    return (3 * size + 1) * width if size else 0


def _feed_forward(config: Mapping[str, Any], inner: int) -> int:
    width = config["hidden_size"]
    return 3 * width * inner + (2 * inner + width if config.get("mlp_bias") else 0)


def _attention(config: Mapping[str, Any], family: _Family) -> int:
    width, num_heads = config["hidden_size"], config["num_attention_heads"]
    if "kv_lora_rank" in config:
        return _latent_attention(config, width, num_heads)
    num_kv = config.get("num_key_value_heads") or num_heads
    head = config.get("head_dim") or width // num_heads
    outer = (num_heads + 2 * num_kv) * head
    size = width * outer + num_heads * head * width
    if config.get("attention_bias"):
        size += outer + width
    elif config.get("qkv_bias", family.has_qkv_bias):
        size += outer
    if family.norms_heads:
        size += 2 * head
    elif config.get("use_qk_norm"):
        size += (num_heads + num_kv) * head
    return size


def _latent_attention(config: Mapping[str, Any], width: int, num_heads: int) -> int:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, §2.1)."""
    rank, rope, value = config["kv_lora_rank"], config["qk_rope_head_dim"], config["v_head_dim"]
    queries = num_heads * (config["qk_nope_head_dim"] + rope)
    q_rank = config.get("q_lora_rank")
    bias = (q_rank or 0) + rank + rope + width if config.get("attention_bias") else 0
    return (
        (q_rank * (width + 1 + queries) if q_rank else width * queries)
        + width * (rank + rope)
        + rank
        + rank * num_heads * (config["qk_nope_head_dim"] + value)
        + num_heads * value * width
        + bias
    )
