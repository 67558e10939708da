r"""A byte-level BPE tokenizer that llama.cpp reproduces exactly (pre-tokenizer `qwen35`).

All 256 bytes are in the vocabulary, so any text can be tokenised. Every decimal digit of every script is a
pre-token of its own (`\p{N}`), so digits never merge with each other.
"""

from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from nbest.lab.conversations import Turn

PRE_TOKENIZER = "qwen35"
"""llama.cpp's name for `_PATTERN`."""
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PAD, END, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"
SPECIAL_TOKENS = (PAD, END, USER, ASSISTANT)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|assistant|>' if message['role'] == 'assistant' else '<|user|>' }}{{ message['content'] }}<|end|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train on the texts; special tokens take the first ids. Deterministic."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a special token; raises `KeyError` when the tokenizer lacks it."""
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise KeyError(token)
    return found


def encode_conversations(
    tokenizer: Tokenizer, conversations: Sequence[Sequence[Turn]]
) -> list[tuple[list[int], list[bool]]]:
    """Token ids exactly as the chat template renders them, and which of them carry loss."""
    end = token_id(tokenizer, END)
    role_id = {"user": token_id(tokenizer, USER), "assistant": token_id(tokenizer, ASSISTANT)}
    encodings = iter(tokenizer.encode_batch([turn.text for turns in conversations for turn in turns]))
    encoded: list[tuple[list[int], list[bool]]] = []
    for turns in conversations:
        ids: list[int] = []
        is_target: list[bool] = []
        for turn in turns:
            text_ids = next(encodings).ids
            ids += [role_id[turn.role], *text_ids, end]
            is_target += [False] + [turn.is_target] * (len(text_ids) + 1)
        encoded.append((ids, is_target))
    return encoded
