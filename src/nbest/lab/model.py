"""A small Llama in plain PyTorch: RMSNorm, rotary positions, SwiGLU, one shared embedding."""

# ruff: noqa: N812, PLR2004 - array names carry their dimensions; nothing here is secret

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Sizes of a model."""

    vocab_size: int
    dim: int = 128
    num_layers: int = 4
    num_heads: int = 4
    hidden_dim: int = 352
    context_length: int = 1024
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.num_heads


class Norm(nn.Module):
    """Root-mean-square normalisation."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.dim))
        self.eps = config.norm_eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class Block(nn.Module):
    """Attention and SwiGLU, each behind a norm and a residual."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.attention_norm = Norm(config)
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.attention_out = nn.Linear(config.dim, config.dim, bias=False)
        self.feed_forward_norm = Norm(config)
        self.gate_up = nn.Linear(config.dim, 2 * config.hidden_dim, bias=False)
        self.down = nn.Linear(config.hidden_dim, config.dim, bias=False)

    def forward(self, x_BTD: Tensor, cos: Tensor, sin: Tensor, causal_TT: Tensor) -> Tensor:
        """`causal_TT` is −∞ above the diagonal; padding on the right needs no mask."""
        B, T, D = x_BTD.shape
        qkv = self.qkv(self.attention_norm(x_BTD)).view(B, T, 3, self.num_heads, D // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = _attend(_rotate(q, cos, sin), _rotate(k, cos, sin), v, causal_TT)
        x_BTD = x_BTD + self.attention_out(attended.transpose(1, 2).reshape(B, T, D))
        gate, up = self.gate_up(self.feed_forward_norm(x_BTD)).chunk(2, -1)
        return x_BTD + self.down(F.silu(gate) * up)


class Llama(nn.Module):
    """Token ids to next-token logits. The input embedding is the output matrix times √dim."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = Norm(config)
        inverse = config.rope_base ** (-torch.arange(0, config.head_dim, 2).float() / config.head_dim)
        angles = torch.outer(torch.arange(config.context_length).float(), inverse)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                is_residual_out = name.endswith(("attention_out.weight", "down.weight"))
                depth_scale = 1.0
                if is_residual_out:
                    depth_scale = 1 / math.sqrt(2 * config.num_layers)
                nn.init.normal_(weight, std=depth_scale / math.sqrt(weight.shape[1]))

    @property
    def embedding_scale(self) -> float:
        """The factor between the output matrix and the input embedding."""
        return math.sqrt(self.config.dim)

    def hidden(self, ids_BT: Tensor) -> Tensor:
        """The normalised last hidden states."""
        x_BTD = self.embedding(ids_BT) * self.embedding_scale
        T = ids_BT.shape[1]
        causal_TT = torch.full((T, T), -math.inf).triu(1)
        for block in self.blocks:
            x_BTD = block(x_BTD, self.cos[:T], self.sin[:T], causal_TT)
        return self.norm(x_BTD)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Logits for every position."""
        return self.logits(self.hidden(ids_BT))

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits for chosen hidden states."""
        return F.linear(hidden, self.embedding.weight)


def _rotate(x_BHTD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> Tensor:
    a, b = x_BHTD.chunk(2, -1)
    cos, sin = cos_TD.to(x_BHTD.dtype), sin_TD.to(x_BHTD.dtype)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def _attend(q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, causal_TT: Tensor) -> Tensor:
    """Softmax attention in plain products: on CPU, at these sizes, several times faster backward."""
    q, k, v = (x.flatten(0, 1) for x in (q_BHTD, k_BHTD, v_BHTD))
    mask = causal_TT.to(q.dtype).expand(q.shape[0], -1, -1)
    weights = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5).softmax(-1)
    return torch.bmm(weights.to(v.dtype), v).view_as(v_BHTD)
