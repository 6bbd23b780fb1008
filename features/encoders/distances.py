"""WavLM's attention, which knows how far apart two steps are, within each of several signals behind one another."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from features.encoders.packed import Product


class Lengths(Protocol):
    """The lengths of the signals of a batch in steps."""

    steps: Sequence[int]


class DistanceAttention(nn.Module):
    """What transformers' WavLMAttention computes, on a batch (1, T, F) of signals one behind another."""

    def __init__(self, attention: Any, lengths: Lengths):
        super().__init__()
        self._lengths, self._heads, self._scaling = lengths, attention.num_heads, attention.scaling
        read = [attention.q_proj, attention.k_proj, attention.v_proj]
        self._read = Product(torch.cat([part.weight for part in read]), torch.cat([part.bias for part in read]))
        self._write = Product(attention.out_proj.weight, attention.out_proj.bias)
        self._gate, self._gate_scale = attention.gru_rel_pos_linear, attention.gru_rel_pos_const
        # The first layer's, which all others are given.
        self._bias = attention.compute_bias

    def forward(
        self, hidden_states: Tensor, position_bias: Tensor | None = None, **_: Any
    ) -> tuple[Tensor, None, Tensor]:
        """The output (1, T, F) and the bias by distance (H, T, T) of the longest signal."""
        steps = list(self._lengths.steps)
        if position_bias is None:
            position_bias = self._bias(max(steps), max(steps))
        heads = self._read(hidden_states).unflatten(2, (3, self._heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # (1, H, T, D) each
        gates = self._gates(hidden_states).split(steps, 2)
        found = []
        for gate, q, k, v in zip(gates, *(x.split(steps, 2) for x in (query, key, value)), strict=True):
            bias = gate * position_bias[:, : q.shape[2], : q.shape[2]]
            found.append(nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=self._scaling))
        return self._write(torch.cat(found, 2).transpose(1, 2).flatten(2)), None, position_bias

    def _gates(self, hidden_states: Tensor) -> Tensor:
        """How much each step's heads heed distances, (1, H, T, 1)."""
        heads = hidden_states.unflatten(2, (self._heads, -1)).transpose(1, 2)
        a, b = torch.sigmoid(self._gate(heads).unflatten(3, (2, 4)).sum(-1)).chunk(2, -1)
        return a * (b * self._gate_scale - 1.0) + 2.0
