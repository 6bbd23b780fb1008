"""What the networks on face volumes share (Huang 2018): convolutions over time and picture, pooled, piece by piece.

Long recordings don't fit in memory at once, so a clip goes through in pieces. A piece brings along as many frames
before and after as its outputs depend on, and in training is computed again on the way back: outputs and gradients are
those of the whole clip, whatever its length.
"""

from collections.abc import Mapping
from itertools import pairwise
from math import prod
from typing import Any, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812  the name that every torch text uses
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.training.regression import StepNetwork, repeated, up

_Layer = TypeVar("_Layer", nn.Conv3d, nn.Linear)

# Table 1: the kernels of the four max pooling layers, time x height x width. Where they pool time by 8 the text repeats
# predictions "6 times"; the kernels are followed.
KERNELS = {
    "original": ((1, 2, 2), (1, 2, 2), (1, 2, 2), (1, 2, 2)),
    "max_pooling": ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
    "temporal_pooling": ((1, 2, 2), (1, 2, 2), (1, 2, 2), (1, 2, 2)),
    "both": ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)),
}
AVERAGED = ("temporal_pooling", "both")
# Numbers that the first convolution gives for one piece of all clips of a batch (160 MB as float32).
_PIECE = 40_000_000


class VolumeNetwork(StepNetwork):
    """Section 4: three padded 3x3x3 convolutions, each max-pooled, a fourth layer, two dense layers, for every step.

    `filters` of the first convolution, twice as many of the second, four times as many of the others: the paper's
    numbers stand in a figure that its text doesn't repeat. `pooling` is a row of KERNELS; with those of AVERAGED frames
    and labels are first averaged over `window` steps. Outputs at a pooled step are repeated to full length.
    """

    def __init__(
        self, shape: tuple[int, ...], filters: int, hidden: int, outputs: int, pooling: str, window: int, dropout: float
    ):
        super().__init__({"faces": shape})
        self.window = window if pooling in AVERAGED else 1
        self.kernels = KERNELS[pooling]
        self.rate = prod(time for time, _, _ in self.kernels)  # steps that one output stands for
        widths = (1, filters, 2 * filters, 4 * filters)
        self.convolutions = nn.ModuleList(
            start_(nn.Conv3d(before, after, 3, padding=1)) for before, after in pairwise(widths)
        )
        self.filters, self.width = filters, widths[-1]
        sides = [-(-side // 2**4) for side in shape]
        self.dense = start_(nn.Linear(self.width * prod(sides), hidden))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, outputs)

    def fourth(self, x: Tensor, state: Any, outside: Tensor, inner: slice) -> tuple[Tensor, Any]:
        """The fourth layer, pooled, of a piece `x` (B, C, T, ...); and what the next piece goes on from.

        `outside` (B, T) are the steps past a clip's end, `inner` the piece's own steps, without those brought along.
        """
        raise NotImplementedError

    def states(self, inputs: Mapping[str, Tensor], lengths: Mapping[str, Tensor]) -> Tensor:
        frames, length = inputs["faces"], lengths["faces"]
        total = frames.shape[1]
        if torch.onnx.is_in_onnx_export():  # as one piece, since a graph has no pieces for clips of other lengths
            return self._piece(frames, length, None, 0, None)[0][:, : up(total, self.window)]
        first_numbers = len(frames) * self.filters * frames[0, 0].numel()
        unit = self.window * self.rate  # frames that one output stands for
        piece = max(1, _PIECE // first_numbers // self.rate) * unit
        # Each of the four layers looks one of its own steps to both sides.
        reach = self.window * sum(prod(k[0] for k in self.kernels[:n]) for n in range(4))
        around = -(-reach // unit) * unit
        parts, state = [], None
        for start in range(0, total, piece):
            end = min(start + piece, total)
            first = max(0, start - around)
            some = frames[:, first : end + around]
            arguments = some, length - first, state, (start - first) // unit, -(-(end - first) // unit)
            if torch.is_grad_enabled() and piece < total:
                part, state = checkpoint(self._piece, *arguments, use_reentrant=False)
            else:
                part, state = self._piece(*arguments)
            parts.append(part)
        return torch.cat(parts, 1)[:, : -(-total // self.window)]  # (B, T', hidden)

    def _piece(self, frames: Tensor, left: Tensor, state: Any, start: int, end: int | None) -> tuple[Tensor, Any]:
        """Outputs `start` to `end` of `frames` (B, T, H, W), of which the clips have `left` (B,) until they end.

        Without an `end`, all from `start` on.
        """
        x = self._averaged(self.scalers["faces"](frames), left)[:, None]  # (B, 1, T, H, W)
        left = up(left, self.window)
        for convolution, kernel in zip(self.convolutions, self.kernels, strict=False):
            x = convolution(x)
            # Past a clip's end there is nothing, at any layer: else its outputs would depend on how it is padded.
            x = x.masked_fill(_outside(left, x)[:, None, :, None, None], 0)
            x = F.relu(max_pooled(x, kernel))
            left = up(left, kernel[0])
        time = self.kernels[3][0]
        x, state = self.fourth(x, state, _outside(left, x), slice(start * time, None if end is None else end * time))
        x = F.relu(self.dense(self.dropout(x.movedim(2, 1).flatten(2))))  # (B, T, C, ...) -> (B, T, hidden)
        return repeated(self.dropout(x), self.rate), state

    def _averaged(self, x: Tensor, left: Tensor) -> Tensor:
        """The mean of each `window` frames in a row, of those before the clip's end; (B, T, H, W) -> (B, T', H, W)."""
        inside = ~_outside(left, x[:, None])
        x = x * inside[:, :, None, None]
        if self.window == 1:
            return x
        whole = up(x.shape[1], self.window) * self.window
        more = self.window - 1  # at least as many as are missing
        # Reshaped, not unflattened: a graph would keep the number of windows that its example has.
        count = F.pad(inside, (0, more))[:, :whole].reshape(len(x), -1, self.window).sum(2).clamp(min=1)
        sums = F.pad(x, (0, 0, 0, 0, 0, more))[:, :whole].reshape(len(x), -1, self.window, *x.shape[2:]).sum(2)
        return sums / count[:, :, None, None]


def start_(layer: _Layer) -> _Layer:
    """`layer` with He's weights for rectified outputs."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.constant_(layer.bias, 0)  # type: ignore[arg-type]
    return layer


def max_pooled(x: Tensor, kernel: tuple[int, int, int]) -> Tensor:
    """`x` (B, C, T, H, W) max-pooled, the last windows being what is left."""
    if not torch.onnx.is_in_onnx_export():
        return F.max_pool3d(x, kernel, ceil_mode=True)
    # ONNX counts such windows otherwise.
    time, height, width = (size - 1 for size in kernel)
    return F.max_pool3d(F.pad(x, (0, width, 0, height, 0, time), value=-torch.inf), kernel)


def _outside(left: Tensor, x: Tensor) -> Tensor:
    """Which steps of `x` (B, C, T, ...) lie past the clips' ends: (B, T) bool."""
    return torch.arange(x.shape[2], device=x.device) >= left[:, None]
