"""Train `nbest-mini`, the laboratory's language model, from scratch.

Run as `python -m nbest.lab.train_base --out mini.gguf`.

The result depends on the seed and the number of conversations only, not on time, so a run repeats exactly on
the same machine.
"""

# pyright: reportUnknownMemberType=false
# ruff: noqa: N812, PLR2004, S311 - array names carry their dimensions; nothing here is secret

import argparse
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from nbest.lab.conversations import draw_conversation, revision
from nbest.lab.gguf_export import write_gguf, write_hugging_face
from nbest.lab.language_data import LANGUAGES
from nbest.lab.model import Llama, ModelConfig
from nbest.lab.problems import tell
from nbest.lab.stories import MAX_NUM_STEPS, draw_story
from nbest.lab.tokenizer import PAD, encode_conversations, token_id, train_tokenizer

NUM_SAMPLES = 100_000
BATCH_SIZE = 32
VOCAB_SIZE = 3584
MATRIX_LEARNING_RATE = 2e-2
OTHER_LEARNING_RATE = 3e-3
NUM_WARMUP_STEPS = 40
DECAY_START = 0.4
"""Fraction of the run after which the learning rates fall linearly to nearly zero."""
WARM_UP_SHARE, WARM_UP_NUM_STEPS = 0.08, 2
"""The first share of the run sees short problems only: copying and single equations are learnt sooner."""
_BATCHES_PER_BUCKET = 32
_IGNORED = -100


def train_base(
    out: Path,
    seed: int = 0,
    num_samples: int = NUM_SAMPLES,
    threads: int = 1,
    *,
    log: Callable[[str], None] = print,
    weights_folder: Path | None = None,
) -> None:
    """Train on `num_samples` conversations and write `out` (GGUF), optionally Hugging Face weights too."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    rng = random.Random(f"train {seed}")
    tokenizer = train_tokenizer(_tokenizer_texts(random.Random(f"tokenizer {seed}")), VOCAB_SIZE)
    _check_digits(tokenizer)
    model = Llama(ModelConfig(vocab_size=tokenizer.get_vocab_size()))
    _share_digits(model, tokenizer)
    log(f"{sum(weight.numel() for weight in model.parameters()):,} parameters, {model.config}")

    optimizers = _optimizers(model)
    num_steps = num_samples // BATCH_SIZE
    started = time.monotonic()
    num_tokens = 0
    mean_loss = 0.0
    for step, (ids_BT, targets_BT) in enumerate(_batches(rng, tokenizer, num_steps)):
        for optimizer, learning_rate in optimizers:
            optimizer.param_groups[0]["lr"] = learning_rate * _schedule(step, num_steps)
        loss = _loss(model, ids_BT, targets_BT)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        num_tokens += ids_BT.numel()
        mean_loss = loss.item() if step == 0 else 0.98 * mean_loss + 0.02 * loss.item()
        if step % 50 == 49 or step == num_steps - 1:
            seconds = time.monotonic() - started
            log(f"step {step + 1}/{num_steps} loss {mean_loss:.4f} {num_tokens:,} tokens {seconds:.0f} s")
        if step % 500 == 499:
            write_gguf(out, model, tokenizer, name="nbest-mini")
    write_gguf(out, model, tokenizer, name="nbest-mini")
    if weights_folder is not None:
        write_hugging_face(weights_folder, model, tokenizer)


def _tokenizer_texts(rng: random.Random, num_per_language: int = 1_500) -> Iterator[str]:
    """Text for the tokenizer: every language equally, so that small languages get whole words too."""
    for language in LANGUAGES:
        for _ in range(num_per_language):
            problem = tell(draw_story(rng, "train"), language)
            yield from (turn.text for turn in revision(rng, problem, 1))


def _check_digits(tokenizer: Tokenizer) -> None:
    for words in LANGUAGES.values():
        for digit in words.digits:
            if len(tokenizer.encode(digit).ids) != 1:
                raise ValueError(f"digit {digit!r} ({words.code}) is not one token; raise VOCAB_SIZE")


def _share_digits(model: Llama, tokenizer: Tokenizer) -> None:
    """Start every script's digit half-way to the ASCII digit, so that arithmetic can transfer."""
    with torch.no_grad():
        for digits in sorted({words.digits for words in LANGUAGES.values()} - {"0123456789"}):
            for digit, ascii_digit in zip(digits, "0123456789", strict=True):
                native = model.embedding.weight[tokenizer.encode(digit).ids[0]]
                native.add_(model.embedding.weight[tokenizer.encode(ascii_digit).ids[0]]).mul_(0.5**0.5)


def _optimizers(model: Llama) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the matrices, AdamW for the embedding and norms; each with its peak learning rate."""
    is_matrix = {
        name: weight.dim() == 2 and "embedding" not in name for name, weight in model.named_parameters()
    }
    matrices = [weight for name, weight in model.named_parameters() if is_matrix[name]]
    others = [weight for name, weight in model.named_parameters() if not is_matrix[name]]
    muon = torch.optim.Muon(matrices, lr=MATRIX_LEARNING_RATE, weight_decay=0.0, momentum=0.95)
    adamw = torch.optim.AdamW(others, lr=OTHER_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    return [(muon, MATRIX_LEARNING_RATE), (adamw, OTHER_LEARNING_RATE)]


def _schedule(step: int, num_steps: int) -> float:
    warmup = min(1.0, (step + 1) / NUM_WARMUP_STEPS)
    done = step / num_steps
    if done < DECAY_START:
        return warmup
    return warmup * max(0.01, (1 - done) / (1 - DECAY_START))


def _batches(rng: random.Random, tokenizer: Tokenizer, num_steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and next-token targets, padded on the right; conversations of similar length share a batch."""
    pad = token_id(tokenizer, PAD)
    num_done = 0
    while num_done < num_steps:
        max_num_steps = MAX_NUM_STEPS
        if num_done < WARM_UP_SHARE * num_steps:
            max_num_steps = WARM_UP_NUM_STEPS
        num_drawn = BATCH_SIZE * _BATCHES_PER_BUCKET
        conversations = [draw_conversation(rng, max_num_steps) for _ in range(num_drawn)]
        encoded = sorted(encode_conversations(tokenizer, conversations), key=lambda pair: len(pair[0]))
        groups = [encoded[index : index + BATCH_SIZE] for index in range(0, len(encoded), BATCH_SIZE)]
        rng.shuffle(groups)
        for group in groups[: num_steps - num_done]:
            length = max(len(ids) for ids, _ in group)
            ids_BT = torch.full((len(group), length), pad)
            targets_BT = torch.full((len(group), length), _IGNORED)
            for row, (ids, is_target) in enumerate(group):
                ids_BT[row, : len(ids)] = torch.tensor(ids)
                targets_BT[row, : len(ids)] = torch.where(
                    torch.tensor(is_target), torch.tensor(ids), _IGNORED
                )
            yield ids_BT[:, :-1], targets_BT[:, 1:]
            num_done += 1


def _loss(model: Llama, ids_BT: Tensor, targets_BT: Tensor) -> Tensor:
    is_target_BT = targets_BT != _IGNORED
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.logits(model.hidden(ids_BT)[is_target_BT])
    return F.cross_entropy(logits.float(), targets_BT[is_target_BT])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the GGUF file to write")
    parser.add_argument("--weights", type=Path, help="also write Hugging Face weights to this folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-samples", type=int, default=NUM_SAMPLES, help="training conversations")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    train_base(
        args.out,
        seed=args.seed,
        num_samples=args.num_samples,
        threads=args.threads,
        log=lambda line: print(line, flush=True),
        weights_folder=args.weights,
    )


if __name__ == "__main__":
    main()
