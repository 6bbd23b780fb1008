"""Signals of several lengths through a network of wav2vec 2.0's kind at once, each as if it were alone.

On a GPU they are padded to one length. On a CPU their steps follow one another as those of one long signal: no work
goes into padding, and products of matrices are large.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from features.encoders import checkpoints
from features.encoders.distances import DistanceAttention
from features.encoders.packed import WaveConvolutions, can_pack

_JOINED = "emofuse_joined"


class Padded:
    """A batch (B, S) of signals padded with zeros, over which nothing goes that looks along time."""

    def __init__(self, model: Any):
        self._model = model
        convolutions = model.feature_extractor
        on_cpu = next(model.parameters()).device.type == "cpu"
        self._alone = _EachAlone(WaveConvolutions(convolutions) if on_cpu and can_pack() else convolutions)
        model.feature_extractor = self._alone
        # data2vec's position layers stand one behind the other; what the first one makes of padding is not zero.
        for layer in getattr(model.encoder.pos_conv_embed, "layers", ()):
            layer.register_forward_hook(lambda _, __, output: self._alone.silenced(output))

    def __call__(self, signals: Sequence[Tensor], steps: Sequence[int]) -> Any:
        """The model's output, with its hidden states (B, T, F)."""
        self._alone.lengths, self._alone.steps = [len(signal) for signal in signals], list(steps)
        x = pad_sequence(list(signals), batch_first=True)
        mask = None
        if len(set(self._alone.lengths)) > 1:
            mask = (torch.arange(x.shape[1]) < torch.tensor(self._alone.lengths)[:, None]).long().to(x.device)
        return self._model(x, attention_mask=mask, output_hidden_states=True)

    @staticmethod
    def parted(states: np.ndarray, steps: Sequence[int]) -> list[np.ndarray]:
        """Each signal's states (T, L, F) of those of the batch."""
        return [rows[:count] for rows, count in zip(states, steps, strict=True)]


class _EachAlone(nn.Module):
    """The convolutions on each signal without its padding, over which a norm over time must not go."""

    def __init__(self, convolutions: nn.Module):
        super().__init__()
        self.convolutions = convolutions
        self.lengths: list[int] = []
        self.steps: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        if len(set(self.lengths)) == 1:
            return self.convolutions(x)  # (B, S) -> (B, F, T)
        each = [self.convolutions(row[None, :length])[0].T for row, length in zip(x, self.lengths, strict=True)]
        return pad_sequence(each, batch_first=True).transpose(1, 2)

    def silenced(self, x: Tensor) -> Tensor:
        """`x` (B, F, T) with zeros past each signal's end."""
        valid = torch.arange(x.shape[2]) < torch.tensor(self.steps)[:, None]
        return x * valid[:, None].to(x.device)


class Joined:
    """A batch (1, S) of signals one behind another, with what looks along time called for each of them."""

    def __init__(self, model: Any):
        self._model, self._lengths = model, _Lengths()
        model.feature_extractor = _Waves(WaveConvolutions(model.feature_extractor), self._lengths)
        model.encoder.pos_conv_embed = _Positions(model.encoder.pos_conv_embed, self._lengths)
        if model.config.model_type == "wavlm":
            for layer in model.encoder.layers:
                layer.attention = DistanceAttention(layer.attention, self._lengths)
            return
        library = checkpoints.transformers()
        library.AttentionInterface.register(_JOINED, _attend)
        library.AttentionMaskInterface.register(_JOINED, _no_mask)
        model.set_attn_implementation(_JOINED)
        for module in model.encoder.layers.modules():
            module.lengths = self._lengths

    def __call__(self, signals: Sequence[Tensor], steps: Sequence[int]) -> Any:
        """The model's output, with its hidden states (1, T, F)."""
        self._lengths.samples, self._lengths.steps = [len(signal) for signal in signals], list(steps)
        return self._model(torch.cat(list(signals))[None], output_hidden_states=True)

    @staticmethod
    def parted(states: np.ndarray, steps: Sequence[int]) -> list[np.ndarray]:
        """Each signal's states (T, L, F) of those of the batch."""
        return np.split(states[0], np.cumsum(steps)[:-1])


class _Lengths:
    """The lengths of the signals of a batch."""

    samples: Sequence[int]
    steps: Sequence[int]


class _Waves(nn.Module):
    def __init__(self, convolutions: nn.Module, lengths: _Lengths):
        super().__init__()
        self.convolutions, self.lengths = convolutions, lengths

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.convolutions(part) for part in x.split(self.lengths.samples, 1)], 2)  # (1, F, T)


class _Positions(nn.Module):
    def __init__(self, embed: nn.Module, lengths: _Lengths):
        super().__init__()
        self.embed, self.lengths = embed, lengths

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.embed(part) for part in x.split(self.lengths.steps, 1)], 1)  # (1, T, F)


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: None, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """Attention (1, H, T, D) -> (1, T, H, D) within each signal."""
    parts = zip(*(x.split(module.lengths.steps, 2) for x in (query, key, value)), strict=True)
    found = [nn.functional.scaled_dot_product_attention(q, k, v, scale=scaling) for q, k, v in parts]
    return torch.cat(found, 2).transpose(1, 2), None


def _no_mask(*_: Any, **__: Any) -> None:
    return None
