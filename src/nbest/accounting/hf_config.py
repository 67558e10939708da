"""Parameters of a language model, from its Hugging Face config.json alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from nbest.accounting.costs import ModelSize
from nbest.errors import InputError


class _Family(NamedTuple):
    """What holds for a kind of model and does not stand in its config."""

    num_norms: int = 2
    """Norms of the hidden width, in each layer."""
    norms_heads: bool = False
    """Whether queries and keys have a norm of a head's width each."""
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
"""By `model_type`. All have gated feed-forward layers."""
_INSTEAD = "give the number of its active parameters instead, such as  8e9"
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size")


def read_size(path: Path) -> ModelSize:
    """Parameters of the language model that a config.json (or its directory) describes.

    Not active are the experts that a token is not routed to, and the embedding table where it is not the
    output layer as well. Of a multimodal model, only the language model counts. Raises `InputError` for a
    file that is missing or no config, and for a kind of model that is not known here.
    """
    file = path
    if path.is_dir():
        file = path / "config.json"
    config = _read_config(file)
    kind = str(config.get("model_type"))
    if kind not in _FAMILIES:
        known = ", ".join(_FAMILIES)
        raise InputError(f"{file}: models of type {kind!r} cannot be counted: {_INSTEAD}. Known: {known}")
    for name in _SIZES:
        value = config.get(name, 1)
        if type(value) is not int or value < 1:
            raise InputError(f"{file}: {name} must be a whole number from 1 on: {_INSTEAD}")
    try:
        return _count(config, _FAMILIES[kind])
    except KeyError as e:
        raise InputError(f"{file} does not say {e.args[0]}: {_INSTEAD}") from None
    except TypeError:
        raise InputError(f"{file}: something there should be a number and is not: {_INSTEAD}") from None


def _read_config(file: Path) -> dict[str, Any]:
    """The fields of the language model, which a multimodal model has in an object of their own."""
    try:
        config = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except OSError as e:
        raise InputError(f"{file}: {e.strerror} (a GGUF model or a config.json is expected)") from None
    except (msgspec.DecodeError, RecursionError) as e:
        raise InputError(f"{file}: no config.json of a model: {e}") from None
    text_config: Any = config.get("text_config") or {}
    if not isinstance(text_config, dict):
        raise InputError(f"{file}: text_config is no object: {_INSTEAD}")
    return config | cast("dict[str, Any]", text_config)


def _count(config: Mapping[str, Any], family: _Family) -> ModelSize:
    width, num_layers = config["hidden_size"], config["num_hidden_layers"]
    table = config["vocab_size"] * width
    is_tied = config.get("tie_word_embeddings", True)

    norms = num_layers * family.num_norms * width + width
    attention = num_layers * _attention(config, family)
    num_sparse = sum(_is_sparse(config, layer) for layer in range(num_layers))
    dense = (num_layers - num_sparse) * _feed_forward(config, config["intermediate_size"])
    all_sparse = active_sparse = 0
    if num_sparse:
        layer_all, layer_active = _sparse_layer(config)
        all_sparse, active_sparse = num_sparse * layer_all, num_sparse * layer_active

    common = norms + attention + dense + table
    parameters = common + all_sparse
    if not is_tied:
        parameters += table  # the input's own
    return ModelSize(parameters=parameters, active=common + active_sparse, attention=_attention_width(config))


def _attention_width(config: Mapping[str, Any]) -> float:
    """Layers × heads × width of a head, of queries and keys."""
    num_heads = config["num_attention_heads"]
    head = config.get("head_dim") or config["hidden_size"] // num_heads
    if "kv_lora_rank" in config:
        head = config["qk_nope_head_dim"] + config["qk_rope_head_dim"]
    return float(config["num_hidden_layers"] * num_heads * head)


def _sparse_layer(config: Mapping[str, Any]) -> tuple[int, int]:
    """Parameters of the feed-forward part of a layer with experts (router, shared and routed ones): all, active."""
    width = config["hidden_size"]
    num_experts, num_used = _num_experts(config), config["num_experts_per_tok"]
    expert = 3 * width * config.get("moe_intermediate_size", config["intermediate_size"])
    always = width * num_experts + _shared(config)
    return always + num_experts * expert, always + num_used * expert


def _num_experts(config: Mapping[str, Any]) -> int:
    numbers = [config.get(name) for name in ("num_local_experts", "num_experts", "n_routed_experts")]
    return next((number for number in numbers if number), 0)


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
    """The experts that every token uses, with their gate."""
    width = config["hidden_size"]
    num_shared = config.get("n_shared_experts")
    if num_shared:
        return 3 * width * num_shared * config["moe_intermediate_size"]
    size = config.get("shared_expert_intermediate_size")
    if not size:
        return 0
    return (3 * size + 1) * width


def _feed_forward(config: Mapping[str, Any], inner: int) -> int:
    width = config["hidden_size"]
    weights = 3 * width * inner
    if not config.get("mlp_bias"):
        return weights
    return weights + 2 * inner + width


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
    rank, rope, value_head = config["kv_lora_rank"], config["qk_rope_head_dim"], config["v_head_dim"]
    key_head = config["qk_nope_head_dim"]
    q_rank = config.get("q_lora_rank") or 0
    query_width = num_heads * (key_head + rope)
    queries = width * query_width
    if q_rank:
        queries = q_rank * (width + 1 + query_width)
    keys_down = width * (rank + rope) + rank
    keys_values_up = rank * num_heads * (key_head + value_head)
    output = num_heads * value_head * width
    weights = queries + keys_down + keys_values_up + output
    if not config.get("attention_bias"):
        return weights
    return weights + q_rank + rank + rope + width
