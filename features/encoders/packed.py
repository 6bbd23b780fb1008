"""A network's products on a CPU by oneDNN, for which its weights are laid out once and not with every call.

They come out as they did, to rounding; many of them also in bfloat16, with all between them in float32. What is packed
can't be moved to a GPU or trained any more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_OPS = torch.ops.mkldnn
# The rows for which a layout is chosen; other numbers of rows are computed with it too.
_ROWS = 128
# By the end of a class' name: modules that read their layers' weights instead of calling them.
_READERS = ("WavLMAttention",)


def can_pack(kind: torch.dtype = torch.float32) -> bool:
    """Whether this torch has oneDNN's operators, and for `kind`."""
    names = ("_linear_pointwise", "_reorder_linear_weight", "_convolution_pointwise", "_reorder_convolution_weight")
    there = torch.backends.mkldnn.is_available() and all(hasattr(_OPS, name) for name in names)
    return there and (kind == torch.float32 or bool(_OPS._is_mkldnn_bf16_supported()))


class Product(nn.Module):
    """x (..., I) times a weight (O, I), and a bias (O,): what `nn.Linear` computes."""

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self._weight: Tensor | None = _OPS._reorder_linear_weight(weight.detach().contiguous(), _ROWS)
        self._bias = None if bias is None else bias.detach()
        self._low: Tensor | None = None
        self.lowered = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.lowered:
            return _OPS._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        if self._low is None:
            self._low = self._in_bfloat16()
        bias = None if self._bias is None else self._bias.bfloat16()
        return _OPS._linear_pointwise(x.bfloat16(), self._low, bias, "none", [], "").float()

    def keep(self, low: bool) -> None:
        """Forget the weights in float32 (`low`), or those in bfloat16: they aren't asked for any more."""
        if low:
            self._low, self._weight = self._in_bfloat16() if self._low is None else self._low, None
        else:
            self._low = None

    def _in_bfloat16(self) -> Tensor:
        assert self._weight is not None
        packed: Tensor = _OPS._reorder_linear_weight(self._weight.to_dense().bfloat16().contiguous(), _ROWS)
        return packed


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


@contextmanager
def lowered(model: Any) -> Iterator[None]:
    """Let the model's products be computed in bfloat16."""
    products = _products(model)
    for product in products:
        product.lowered = True
    try:
        yield
    finally:
        for product in products:
            product.lowered = False


def keep(model: Any, low: bool) -> None:
    """Keep the weights of all products in bfloat16 (`low`) or in float32 alone."""
    for product in _products(model):
        product.keep(low)


def _products(model: Any) -> list[Product]:
    return [module for module in model.modules() if isinstance(module, Product)]


class WaveConvolutions(nn.Module):
    """wav2vec 2.0's convolutions from waves (B, S) to steps (B, C, T), with time first in memory: products all.

    The first one, which costs little, stays in float32, outside of `model.modules()`: it reads the samples themselves.
    """

    def __init__(self, encoder: Any):
        super().__init__()
        first, *rest = [_WaveLayer(layer) for layer in encoder.conv_layers]
        self._first, self._rest = (first,), nn.ModuleList(rest)

    def forward(self, waves: Tensor) -> Tensor:
        return torch.stack([self._steps(wave[:, None]) for wave in waves]).transpose(1, 2)

    def _steps(self, x: Tensor) -> Tensor:
        for layer in (*self._first, *self._rest):
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
