"""Write a trained model and its tokenizer as one GGUF file, or as Hugging Face weights."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from nbest.lab.model import Llama, ModelConfig
from nbest.lab.tokenizer import CHAT_TEMPLATE, END, PAD, PRE_TOKENIZER, SPECIAL_TOKENS, token_id

_GGUF_NAME_BY_SUFFIX = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def hugging_face_weights(model: Llama) -> dict[str, NDArray[np.float32]]:
    """The weights under Hugging Face `LlamaForCausalLM` names, embeddings untied."""
    state = {name: weight.detach().float().numpy() for name, weight in model.state_dict().items()}
    weights = {
        "model.embed_tokens.weight": state["embedding.weight"] * model.embedding_scale,
        "lm_head.weight": state["embedding.weight"],
        "model.norm.weight": state["norm.weight"],
    }
    for index in range(model.config.num_layers):
        old, new = f"blocks.{index}.", f"model.layers.{index}."
        weights[new + "input_layernorm.weight"] = state[old + "attention_norm.weight"]
        weights[new + "post_attention_layernorm.weight"] = state[old + "feed_forward_norm.weight"]
        weights[new + "self_attn.o_proj.weight"] = state[old + "attention_out.weight"]
        weights[new + "mlp.down_proj.weight"] = state[old + "down.weight"]
        for letter, part in zip("qkv", np.split(state[old + "qkv.weight"], 3), strict=True):
            weights[f"{new}self_attn.{letter}_proj.weight"] = part
        for name, part in zip(("gate", "up"), np.split(state[old + "gate_up.weight"], 2), strict=True):
            weights[f"{new}mlp.{name}_proj.weight"] = part
    return {name: np.ascontiguousarray(weight, dtype=np.float32) for name, weight in weights.items()}


def write_gguf(path: Path, model: Llama, tokenizer: Tokenizer, *, name: str, file_type: str = "f16") -> None:
    """Write a llama.cpp file; `file_type` is `f32`, `f16` or `q8_0` (norms stay f32)."""
    config = model.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(name)
    writer.add_license("Apache-2.0")
    writer.add_block_count(config.num_layers)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.dim)
    writer.add_feed_forward_length(config.hidden_dim)
    writer.add_head_count(config.num_heads)
    writer.add_head_count_kv(config.num_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type({"f32": 0, "f16": 1, "q8_0": 7}[file_type])
    _write_tokenizer(writer, tokenizer)
    for weight_name, weight in hugging_face_weights(model).items():
        _write_tensor(writer, config, weight_name, weight, file_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_hugging_face(folder: Path, model: Llama, tokenizer: Tokenizer) -> None:
    """Write `model.safetensors`, `config.json` and tokenizer files that `transformers` loads."""
    save_file: Any = import_module("safetensors.numpy").save_file  # optional, and its types are partial

    folder.mkdir(parents=True, exist_ok=True)
    save_file(hugging_face_weights(model), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    config = model.config
    end, pad = token_id(tokenizer, END), token_id(tokenizer, PAD)
    model_config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.dim,
        "intermediate_size": config.hidden_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_heads,
        "max_position_embeddings": config.context_length,
        "rope_theta": config.rope_base,
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": False,
        "hidden_act": "silu",
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": pad,
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "chat_template": CHAT_TEMPLATE,
        "model_max_length": config.context_length,
    }
    for file_name, content in (("config.json", model_config), ("tokenizer_config.json", tokenizer_config)):
        (folder / file_name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    content = json.loads(tokenizer.to_str())
    id_by_token: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    tokens = sorted(id_by_token, key=id_by_token.__getitem__)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(tokens)
    writer.add_token_types([control if token in SPECIAL_TOKENS else normal for token in tokens])
    writer.add_token_merges(merges)
    # Never added; without it llama.cpp would take some ordinary token for the beginning of a text.
    writer.add_bos_token_id(id_by_token[PAD])
    writer.add_eos_token_id(id_by_token[END])
    writer.add_pad_token_id(id_by_token[PAD])
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _write_tensor(
    writer: gguf.GGUFWriter, config: ModelConfig, name: str, weight: NDArray[np.float32], file_type: str
) -> None:
    outside = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    gguf_name = outside.get(name)
    if gguf_name is None:
        _, _, index, rest = name.split(".", 3)
        suffix = rest.removesuffix(".weight")
        gguf_name = f"blk.{index}.{_GGUF_NAME_BY_SUFFIX[suffix]}.weight"
        if suffix.endswith(("q_proj", "k_proj")):
            weight = _interleave_rotary(weight, config.num_heads)
    if weight.ndim == 1 or file_type == "f32":
        writer.add_tensor(gguf_name, weight)
    elif file_type == "f16":
        writer.add_tensor(gguf_name, weight.astype(np.float16))
    else:
        quantized = gguf.quants.quantize(weight, gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(gguf_name, quantized, raw_dtype=gguf.GGMLQuantizationType.Q8_0)


def _interleave_rotary(weight: NDArray[np.float32], num_heads: int) -> NDArray[np.float32]:
    """Reorder rows from half-split rotary pairs (Hugging Face) to neighbouring pairs (llama.cpp)."""
    rows, columns = weight.shape
    pairs = weight.reshape(num_heads, 2, rows // num_heads // 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, columns))
