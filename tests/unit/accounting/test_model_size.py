"""Parameters, all and active, against hand counts, published models, and real models without their weights."""

import json
import struct

import pytest

from nbest.accounting import gguf, hf_config
from nbest.accounting.costs import ModelSize
from nbest.accounting.price_list import costs_of
from nbest.errors import InputError

W, INNER, V, HEADS, KV, HEAD, LAYERS = 8, 20, 30, 4, 2, 2, 3
ATTENTION = W * (HEADS + 2 * KV) * HEAD + HEADS * HEAD * W
LAYER = ATTENTION + 2 * W
SMALL = {
    "vocab_size": V,
    "hidden_size": W,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV,
    "tie_word_embeddings": False,
}


def string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def write_gguf(path, facts, tensors):
    body = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(facts))
    for name, value in facts.items():
        kind, data = (8, string(value)) if isinstance(value, str) else (4, struct.pack("<I", value))
        body += string(name) + struct.pack("<I", kind) + data
    for name, shape in tensors.items():
        body += string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        body += struct.pack("<IQ", 0, 0)
    path.write_bytes(body)
    return path


def config(tmp_path, **fields):
    (tmp_path / "config.json").write_text(json.dumps(fields))
    return tmp_path / "config.json"


EMBEDDED = {"token_embd.weight": (W, V), "rope_freqs.weight": (4,)}
MOE_FACTS = {
    "general.architecture": "qwen3moe",
    "qwen3moe.block_count": 2,
    "qwen3moe.expert_count": 4,
    "qwen3moe.expert_used_count": 1,
}


class TestGguf:
    def test_a_table_that_is_the_output_layer_too_counts(self, tmp_path):
        file = write_gguf(tmp_path / "a.gguf", {}, EMBEDDED | {"blk.0.attn_q.weight": (W, W)})
        assert gguf.read_size(file) == ModelSize(parameters=W * V + W * W, active=W * V + W * W)

    def test_a_table_that_rows_are_looked_up_in_does_not(self, tmp_path):
        tensors = EMBEDDED | {"output.weight": (W, V), "position_embd.weight": (W, 5)}
        file = write_gguf(tmp_path / "a.gguf", {}, tensors)
        assert gguf.read_size(file) == ModelSize(parameters=2 * W * V + 5 * W, active=W * V)

    @pytest.mark.parametrize("is_old", [False, True])
    def test_of_experts_those_that_are_used_count(self, tmp_path, is_old):
        together = {"blk.1.ffn_up_exps.weight": (W, 6, 4)}
        each = {f"blk.1.ffn_up.{k}.weight": (W, 6) for k in range(4)}
        rest = {"blk.1.ffn_gate_inp.weight": (W, 4), "blk.1.ffn_up_shexp.weight": (W, 5)}
        file = write_gguf(tmp_path / "a.gguf", MOE_FACTS, EMBEDDED | rest | (each if is_old else together))
        common = W * V + 4 * W + 5 * W
        assert gguf.read_size(file) == ModelSize(parameters=common + 24 * W, active=common + 6 * W)

    def test_blocks_that_predict_further_tokens_do_not_count(self, tmp_path):
        facts = MOE_FACTS | {"qwen3moe.nextn_predict_layers": 1}
        tensors = {f"blk.{i}.attn_q.weight": (W, W) for i in range(2)}
        assert gguf.read_size(write_gguf(tmp_path / "a.gguf", facts, tensors)) == ModelSize(
            parameters=2 * W * W, active=W * W
        )

    def test_all_parts_of_a_model_are_read(self, tmp_path):
        parts = [tmp_path / f"m-0000{i}-of-00002.gguf" for i in (1, 2)]
        write_gguf(parts[0], MOE_FACTS, {"output.weight": (W, V)})
        with pytest.raises(InputError, match=r"m-00002-of-00002\.gguf: no such file"):
            gguf.read_size(parts[0])
        write_gguf(parts[1], {}, EMBEDDED | {"blk.0.ffn_up_exps.weight": (W, 6, 4)})
        size = ModelSize(parameters=2 * W * V + 24 * W, active=W * V + 6 * W)
        assert [gguf.read_size(p) for p in parts] == [size, size]

    def test_a_damaged_file_is_refused(self, tmp_path):
        file = write_gguf(tmp_path / "a.gguf", MOE_FACTS, EMBEDDED)
        file.write_bytes(file.read_bytes()[:-30])
        with pytest.raises(InputError, match="damaged"):
            gguf.read_size(file)

    def test_the_embedded_model(self):
        """128 wide, 4 layers, 352 within: by hand."""
        layer = 4 * 128 * 128 + 3 * 128 * 352 + 2 * 128
        table = 3584 * 128
        assert costs_of(["llamacpp"], []).sizes["policy"] == ModelSize(
            parameters=2 * table + 4 * layer + 128, active=table + 4 * layer + 128, attention=4 * 128
        )


class TestConfig:
    def test_dense(self, tmp_path):
        total = LAYERS * (LAYER + 3 * W * INNER) + W + 2 * V * W
        assert hf_config.read_size(config(tmp_path, model_type="llama", **SMALL)) == ModelSize(
            parameters=total, active=total - V * W, attention=LAYERS * W
        )

    def test_experts_shared_ones_and_dense_layers(self, tmp_path):
        """DeepSeek's fields, with plain attention: by hand."""
        fields = SMALL | {
            "n_routed_experts": 6,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 5,
            "n_shared_experts": 1,
            "first_k_dense_replace": 1,
        }
        common = LAYERS * LAYER + W + V * W + 3 * W * INNER + 2 * (6 * W + 3 * W * 5)
        assert hf_config.read_size(config(tmp_path, model_type="deepseek_v3", **fields).parent) == ModelSize(
            parameters=common + V * W + 2 * 6 * 3 * W * 5,
            active=common + 2 * 2 * 3 * W * 5,
            attention=LAYERS * W,
        )

    def test_of_every_second_layer_the_second_has_experts(self, tmp_path):
        """Qwen2-MoE's `decoder_sparse_step`: layer i has experts where (i + 1) % step is 0, so that 3 have one."""
        fields = SMALL | {
            "num_experts": 6,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 5,
            "decoder_sparse_step": 2,
            "qkv_bias": False,
        }
        common = LAYERS * LAYER + W + V * W + 2 * 3 * W * INNER + 6 * W
        assert hf_config.read_size(config(tmp_path, model_type="qwen2_moe", **fields)) == ModelSize(
            parameters=common + V * W + 6 * 3 * W * 5, active=common + 2 * 3 * W * 5, attention=LAYERS * W
        )

    @pytest.mark.parametrize(
        ("fields", "parameters", "active"),
        [
            (  # Llama 3 8B
                {"model_type": "llama", "num_key_value_heads": 8, "vocab_size": 128256},
                8_030_261_248,
                8_030_261_248 - 128256 * 4096,
            ),
            (  # Mixtral 8x7B
                {
                    "model_type": "mixtral",
                    "num_key_value_heads": 8,
                    "vocab_size": 32000,
                    "num_local_experts": 8,
                    "num_experts_per_tok": 2,
                },
                46_702_792_704,
                46_702_792_704 - 32000 * 4096 - 32 * 6 * 3 * 4096 * 14336,
            ),
        ],
    )
    def test_published_models(self, tmp_path, fields, parameters, active):
        common = {
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "tie_word_embeddings": False,
        }
        assert hf_config.read_size(config(tmp_path, **common, **fields)) == ModelSize(
            parameters=parameters, active=active, attention=32 * 32 * 128
        )

    @pytest.mark.parametrize(
        ("fields", "parameters", "inactive"),
        [
            (  # Qwen2 7B: queries, keys and values have a bias
                {"model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
                 "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064},
                7_615_616_512,
                152064 * 3584,
            ),
            (  # Qwen3 0.6B: heads are wider than their share, and have norms; the table is the output layer too
                {"model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
                 "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
                 "tie_word_embeddings": True},
                596_049_920,
                0,
            ),
            (  # Gemma 2 2B: four norms a layer, tied without saying so
                {"model_type": "gemma2", "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
                 "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 256000,
                 "tie_word_embeddings": None},
                2_614_341_888,
                0,
            ),
            (  # Phi-3 mini: as many keys and values as queries
                {"model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32,
                 "num_attention_heads": 32, "num_key_value_heads": None, "vocab_size": 32064},
                3_821_079_552,
                32064 * 3072,
            ),
            (  # Qwen1.5-MoE A2.7B: a shared expert with its gate
                {"model_type": "qwen2_moe", "hidden_size": 2048, "intermediate_size": 5632,
                 "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632, "num_experts": 60,
                 "num_experts_per_tok": 4, "num_hidden_layers": 24, "num_attention_heads": 16,
                 "num_key_value_heads": 16, "vocab_size": 151936},
                14_315_784_192,
                151936 * 2048 + 24 * 56 * 3 * 2048 * 1408,
            ),
            (  # DeepSeek-V2 Lite: latent attention, two shared experts, a dense layer first
                {"model_type": "deepseek_v2", "hidden_size": 2048, "intermediate_size": 10944,
                 "moe_intermediate_size": 1408, "n_shared_experts": 2, "n_routed_experts": 64,
                 "num_experts_per_tok": 6, "num_hidden_layers": 27, "num_attention_heads": 16,
                 "num_key_value_heads": 16, "kv_lora_rank": 512, "q_lora_rank": None, "qk_nope_head_dim": 128,
                 "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 102400, "first_k_dense_replace": 1},
                15_706_484_224,
                102400 * 2048 + 26 * 58 * 3 * 2048 * 1408,
            ),
        ],
        ids=lambda value: value.get("model_type") if isinstance(value, dict) else "",
    )  # fmt: skip
    def test_published_models_of_other_families(self, tmp_path, fields, parameters, inactive):
        given = {"tie_word_embeddings": False} | fields
        given = {
            name: value for name, value in given.items() if (name, value) != ("tie_word_embeddings", None)
        }
        found = hf_config.read_size(config(tmp_path, **given))
        assert (found.parameters, found.active) == (parameters, parameters - inactive)

    def test_the_language_model_within_another_counts(self, tmp_path):
        inner = config(tmp_path, model_type="llama", **SMALL)
        alone = hf_config.read_size(inner)
        outer = config(
            tmp_path, model_type="sees", vision_config={}, text_config={"model_type": "llama", **SMALL}
        )
        assert hf_config.read_size(outer) == alone

    def test_what_cannot_be_counted_is_refused(self, tmp_path):
        for fields, says in (
            ({"model_type": "mamba"}, "'mamba' cannot be counted"),
            ({"model_type": "llama"}, "does not say hidden_size"),
            (SMALL | {"model_type": "llama", "vocab_size": None}, "vocab_size must be a whole number"),
            (
                SMALL | {"model_type": "llama", "num_attention_heads": 0},
                "num_attention_heads must be a whole number from 1",
            ),
            (
                SMALL | {"model_type": "llama", "num_hidden_layers": -2},
                "num_hidden_layers must be a whole number from 1",
            ),
            (SMALL | {"model_type": "llama", "head_dim": "64"}, "something there should be a number"),
            ({"model_type": "llava", "text_config": [SMALL]}, "text_config is no object"),
        ):
            with pytest.raises(InputError, match=says):
                hf_config.read_size(config(tmp_path, **fields))
        for text in ("[]", '{"a": ' + "[" * 5000 + "]" * 5000 + "}"):
            (tmp_path / "config.json").write_text(text)
            with pytest.raises(InputError, match=r"no config\.json"):
                hf_config.read_size(tmp_path)
        with pytest.raises(InputError, match="No such file"):
            hf_config.read_size(tmp_path / "other.json")


EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 20}
LATENT = {
    "n_routed_experts": 6,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 10,
    "n_group": 1,
    "topk_group": 1,
    **EXPERTS,
}
REAL = [
    ("Llama", {}),
    ("Llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    ("Mistral", {"head_dim": 12}),
    ("Qwen2", {}),
    ("Qwen3", {"attention_bias": True}),
    ("Gemma", {"head_dim": 16}),
    ("Gemma2", {"head_dim": 16}),
    ("Gemma3Text", {"head_dim": 16}),
    ("Phi3", {}),
    ("Cohere", {"use_qk_norm": True}),
    ("Cohere2", {}),
    ("Granite", {}),
    ("Mixtral", {"num_local_experts": 6, "num_experts_per_tok": 2}),
    (
        "Qwen2Moe",
        {
            "num_experts": 6,
            "shared_expert_intermediate_size": 28,
            "decoder_sparse_step": 2,
            "mlp_only_layers": [1],
            **EXPERTS,
        },
    ),
    ("Qwen3Moe", {"num_experts": 6, "mlp_only_layers": [0], **EXPERTS}),
    ("DeepseekV2", {"n_shared_experts": 2, "first_k_dense_replace": 1, "q_lora_rank": None, **LATENT}),
    ("DeepseekV3", {"n_shared_experts": 1, "first_k_dense_replace": 2, "q_lora_rank": 12, **LATENT}),
    ("DeepseekV3", {"first_k_dense_replace": 0, "q_lora_rank": 12, "attention_bias": True, **LATENT}),
]


@pytest.mark.parametrize(("kind", "changed"), REAL, ids=[f"{k}-{i}" for i, (k, _) in enumerate(REAL)])
def test_a_config_says_as_much_as_the_model_has(tmp_path, kind, changed):
    """Active by counting the model's own tensors: of each expert's, 2 in 6; no table that is only looked up."""
    torch = pytest.importorskip("torch", reason="the extra `hf` is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
    sizes = {**SMALL, "hidden_size": 32, "num_hidden_layers": 4, "bos_token_id": None}
    sizes |= {"eos_token_id": None, "pad_token_id": None}
    made = getattr(transformers, f"{kind}Config")(**(sizes | changed))
    made.save_pretrained(tmp_path)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(made)
    tensors = {name: p.numel() for name, p in model.named_parameters()}
    active = sum(n / 3 if ".experts." in name else n for name, n in tensors.items())
    if "lm_head.weight" in tensors:
        active -= tensors["model.embed_tokens.weight"]
    found = hf_config.read_size(tmp_path)
    assert found.parameters == sum(tensors.values())
    assert found.active == pytest.approx(active, rel=1e-12)


def test_sizes_as_flags(tmp_path):
    file = write_gguf(tmp_path / "m.gguf", {}, EMBEDDED)
    folder = config(tmp_path, model_type="llama", **SMALL).parent
    found = costs_of([f"llamacpp:{file}", f"judge={file}", f"verifier={folder}", "fusor=8e9"], []).sizes
    assert found["policy"] == found["judge"] == gguf.read_size(file)
    assert found["verifier"] == hf_config.read_size(folder)
    assert found["fusor"] == ModelSize(parameters=8e9)
