"""A network's products on a CPU by oneDNN, for which its weights are laid out once and not with every call.

They come out as they did, to rounding. What is packed can't be moved to a GPU or trained any more.
"""

from typing import Any

import torch
from torch import Tensor, nn

_OPS = torch.ops.mkldnn
# The rows for which a layout is chosen; other numbers of rows are computed with it too.
_ROWS = 128
# By the end of a class' name: modules that read their layers' weights instead of calling them.
_READERS = ("WavLMAttention",)


def can_pack() -> bool:
    """Whether this torch has oneDNN's operators."""
    names = ("_linear_pointwise", "_reorder_linear_weight", "_convolution_pointwise", "_reorder_convolution_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(_OPS, name) for name in names)


class Product(nn.Module):
    """x (..., I) times a weight (O, I), and a bias (O,): what `nn.Linear` computes."""

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self._weight = _OPS._reorder_linear_weight(weight.detach().contiguous(), _ROWS)
        self._bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        return _OPS._linear_pointwise(x, self._weight, self._bias, "none", [], "")


class Convolution(nn.Module):
    """What a convolution (1-D, zero padding) computes on x (B, C, T)."""

    def __init__(self, conv: nn.Conv1d):
        super().__init__()
        self._sizes = ((0, *conv.padding), (1, *conv.stride), (1, *conv.dilation), conv.groups)
        weight = conv.weight.detach()[:, :, None].contiguous()  # a picture of one row
        self._weight = _OPS._reorder_convolution_weight(weight, *self._sizes, (1, conv.in_channels, 1, _ROWS))
        self._bias = None if conv.bias is None else conv.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _OPS._convolution_pointwise(x[:, :, None], self._weight, self._bias, *self._sizes, "none", [], "")
        return y[:, :, 0]


def pack(model: Any) -> None:
    """Pack the linear layers and the grouped convolutions of a model."""
    for module in model.modules():
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear and not type(module).__name__.endswith(_READERS):
                setattr(module, name, Product(child.weight, child.bias))
            elif isinstance(child, nn.Conv1d) and child.groups > 1 and child.padding_mode == "zeros":
                setattr(module, name, Convolution(child))


class WaveConvolutions(nn.Module):
    """wav2vec 2.0's convolutions from waves (B, S) to steps (B, C, T), with time first in memory: products all."""

    def __init__(self, encoder: Any):
        super().__init__()
        self._layers = [_WaveLayer(layer) for layer in encoder.conv_layers]

    def forward(self, waves: Tensor) -> Tensor:
        return torch.stack([self._steps(wave[:, None]) for wave in waves]).transpose(1, 2)

    def _steps(self, x: Tensor) -> Tensor:
        for layer in self._layers:
            x = layer(x)
        return x  # (T, C)


class _WaveLayer(nn.Module):
    """A convolution, a norm where the layer has one, and its activation: (T, I) -> (T', O)."""

    def __init__(self, layer: Any):
        super().__init__()
        conv: nn.Conv1d = layer.conv
        (self._kernel,), (self._stride,) = conv.kernel_size, conv.stride
        self._product = Product(conv.weight.transpose(1, 2).flatten(1), conv.bias)
        self._norm, self._activation = getattr(layer, "layer_norm", None), layer.activation

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        steps = (len(x) - self._kernel) // self._stride + 1
        # Each step's samples lie behind one another: a row of a matrix whose rows overlap.
        fields = x.contiguous().as_strided((steps, self._kernel * channels), (self._stride * channels, 1))
        return self._activation(self._normed(self._product(fields)))

    def _normed(self, x: Tensor) -> Tensor:
        norm = self._norm
        if not isinstance(norm, nn.GroupNorm):
            return x if norm is None else norm(x)
        if norm.num_groups == norm.num_channels and len(x) > 1:  # each channel over time
            return nn.functional.batch_norm(x, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
        return norm(x.T[None])[0].T
