"""A small random Llama with a byte-level tokenizer and a chat template, in two formats.

    python make_models.py FOLDER      writes FOLDER/hf (for vLLM) and FOLDER/tiny.gguf (for llama.cpp)

Needs torch, transformers and gguf; the weights are the same in both, and the same every time.
"""

import sys
from pathlib import Path

import gguf
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ["<|begin_of_text|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{% if not (loop.last and continue_final_message) %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXTS = [
    "the small river runs over green hills while seven birds add numbers to find an answer",
    "der kleine Fluss läuft über grüne Hügel und sieben Vögel addieren Zahlen",
    "маленькая река бежит по зелёным холмам где семь птиц складывают числа",
    "النهر الصغير يجري فوق التلال الخضراء حيث سبعة طيور تجمع الأرقام",
    "छोटी नदी हरी पहाड़ियों पर बहती है जहाँ सात पक्षी संख्याएँ जोड़ते हैं",
    "小河流过绿色的山丘七只鸟把数字相加一步一步找到答案",
    "小さな川が緑の丘を流れ七羽の鳥は数を足して答えを見つける",
    "แม่น้ำสายเล็กไหลผ่านเนินเขาสีเขียว นกเจ็ดตัวบวกตัวเลขเพื่อหาคำตอบ",
    "작은 강이 푸른 언덕 위로 흐르고 일곱 새가 숫자를 더해 답을 찾는다",
]


def make_tokenizer() -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        TEXTS * 50, trainers.BpeTrainer(vocab_size=1020, initial_alphabet=alphabet, show_progress=False)
    )
    bpe.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=SPECIAL[0], eos_token="<|im_end|>", pad_token="<|pad|>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.model_max_length = 1024
    return tokenizer


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        initializer_range=0.08,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config).eval()


def write_gguf(path: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    config = model.config
    head_size = config.hidden_size // config.num_attention_heads
    w = gguf.GGUFWriter(str(path), "llama")
    w.add_name("tiny-random-llama")
    w.add_block_count(config.num_hidden_layers)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_rope_dimension_count(head_size)
    w.add_rope_freq_base(10000.0)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_vocab_size(config.vocab_size)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)

    import json

    bpe = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens, types = [""] * config.vocab_size, [gguf.TokenType.NORMAL] * config.vocab_size
    for token, i in bpe["model"]["vocab"].items():
        tokens[i] = token
    for added in bpe["added_tokens"]:
        tokens[added["id"]], types[added["id"]] = added["content"], gguf.TokenType.CONTROL
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("llama-bpe")
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in bpe["model"]["merges"]])
    w.add_bos_token_id(config.bos_token_id)
    w.add_eos_token_id(config.eos_token_id)
    w.add_pad_token_id(config.pad_token_id)
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)
    for name, tensor in model.state_dict().items():
        array = tensor.detach().float().numpy()
        if "q_proj" in name or "k_proj" in name:  # llama.cpp interleaves the two halves of each head
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            array = array.reshape(heads, 2, head_size // 2, -1).swapaxes(1, 2).reshape(array.shape)
        w.add_tensor(gguf_name(name), array)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def gguf_name(name: str) -> str:
    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 99)
    mapped = table.get_name(name, try_suffixes=(".weight",))
    if mapped is None:
        raise ValueError(f"no GGUF name for {name}")
    return mapped


def main(folder: Path) -> None:
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder / "hf")
    tokenizer.save_pretrained(folder / "hf")
    write_gguf(folder / "tiny.gguf", model, tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}M parameters in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
