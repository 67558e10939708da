"""The packaged model as a Hugging Face folder, for servers that load no GGUF.

    python mini_for_vllm.py FOLDER [--times 1] [--layers 4]

It says the same as the packaged file whatever its size: wider and deeper ones have weights that compute, and add
nothing. So a server can be measured with real text at the cost of a larger model. Needs torch, transformers, gguf.
"""

import argparse
from pathlib import Path

import gguf
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SHIPPED = Path(__file__).parents[2] / "src" / "nbest" / "data" / "nbest-mini.gguf"
SPLIT = (  # as in nbest.lab.tokenizer
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def read_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    fields = gguf.GGUFReader(str(path)).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    special = [t for t, kind in zip(tokens, types, strict=True) if kind == gguf.TokenType.CONTROL]
    bpe = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    end, pad = (tokens[fields[f"tokenizer.ggml.{n}_token_id"].contents()] for n in ("eos", "padding"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=end, pad_token=pad)
    tokenizer.chat_template = fields["tokenizer.chat_template"].contents()
    tokenizer.model_max_length = fields["llama.context_length"].contents()
    return tokenizer


def enlarged(model: LlamaForCausalLM, times: int, layers: int) -> LlamaForCausalLM:
    """The same function at `times` the width and `layers` deep."""
    old = model.config
    sizes = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    config = LlamaConfig(
        **{
            **{k: v for k, v in old.to_dict().items() if k != "quantization_config"},
            **{name: getattr(old, name) * times for name in sizes},
            "num_hidden_layers": layers,
            # Zeros beside the old values make the mean square smaller by `times`.
            "rms_norm_eps": old.rms_norm_eps / times,
        }
    )
    torch.manual_seed(0)
    new = LlamaForCausalLM(config).eval()
    given = model.state_dict()
    for name, weight in new.state_dict().items():
        source = given.get(name)
        if name.endswith("norm.weight"):
            weight.fill_(1.0)
            if source is not None:
                weight[: len(source)] = source / times**0.5
        elif "embed_tokens" in name or "o_proj" in name or "down_proj" in name:
            weight.zero_()  # nothing else is ever added to what a layer passes on
        if source is not None and source.ndim == 2:
            weight[: source.shape[0], : source.shape[1]] = source
    return new


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--times", type=int, default=1, help="how many times as wide")
    ask.add_argument("--layers", type=int, default=4)
    args = ask.parse_args()
    model = AutoModelForCausalLM.from_pretrained(SHIPPED.parent, gguf_file=SHIPPED.name, dtype=torch.float32)
    tokenizer = read_tokenizer(SHIPPED)
    model = enlarged(model, args.times, args.layers)
    model.save_pretrained(args.folder)
    tokenizer.save_pretrained(args.folder)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}M parameters in {args.folder}")


if __name__ == "__main__":
    main()
