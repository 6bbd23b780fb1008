"""The ConvLSTM layer (Shi 2015, without peepholes): an LSTM whose products are convolutions, quick on long sequences.

    z_t = W * x_t + U * h_{t-1} + b;  i, f, o = sigmoid of its first three parts, g = tanh of the last
    c_t = f c_{t-1} + i g;  h_t = o tanh(c_t)

A step's four gates are one convolution. W is convolved with many steps at once, and so are the gradients of W, U and x:
what remains for each step is one convolution forward and one backward. The steps go in blocks that fit the processor's
cache, and nothing is kept for the way back but gates and states.

With a depth of 3 the kernels are 3x3x3: W spans three steps of the input, of which the last is the newest, and U the
three states before the step.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812  the name that every torch text uses
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input, conv2d_weight

from models.blocks.exported import convolved_states

State = tuple[Tensor, Tensor]
# So many numbers of all gates together in one block of steps (4 MB as float32).
_BLOCK = 1_000_000


class ConvLSTM(nn.Module):
    """From `channels` to `hidden` maps of the same size, all convolutions 3x3 over `depth` steps."""

    def __init__(self, channels: int, hidden: int, depth: int = 1):
        super().__init__()
        self.hidden, self.depth = hidden, depth
        # What a kernel spans in time lies side by side as channels, oldest first.
        self.inputs = nn.Conv2d(depth * channels, 4 * hidden, 3, padding=1)
        self.states = nn.Conv2d(depth * hidden, 4 * hidden, 3, padding=1, bias=False)
        # A forget gate that starts open lets gradients reach far back (Jozefowicz 2015).
        self.inputs.bias.data[hidden : 2 * hidden] += 1  # type: ignore[union-attr]

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The states h (T, B, hidden, height, width) of `x` (T, B, depth * channels, height, width), and what follows.

        The state that the next steps go on from: the last `depth` h side by side as channels, oldest first, and c.
        """
        if state is None:
            zero = x.new_zeros(x.shape[1], self.hidden, *x.shape[3:], dtype=torch.float32)
            state = zero.repeat(1, self.depth, 1, 1), zero
        if torch.onnx.is_in_onnx_export():
            bias = cast(Tensor, self.inputs.bias)
            return convolved_states(x, *state, self.inputs.weight, bias, self.states.weight), state
        # In full precision: rounding errors of a long recurrence add up.
        with torch.autocast(x.device.type, enabled=False):
            weights = self.inputs.weight, self.inputs.bias, self.states.weight
            h, last_h, last_c = _Scan.apply(x.float(), *state, *weights)
        return h, (last_h, last_c)


def _blocks(gates: Tensor) -> list[slice]:
    steps = max(1, _BLOCK // gates[0].numel())
    return [slice(t, min(t + steps, len(gates))) for t in range(0, len(gates), steps)]


def _steps(x: Tensor, steps: int, channels: int) -> Tensor:
    return x.new_empty(steps, x.shape[1], channels, *x.shape[3:])


def _same(x: Tensor, w: Tensor) -> Tensor:
    if x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        # Left to itself torch takes a slower way for one small clip.
        return torch.mkldnn_convolution(x, w, None, (1, 1), (1, 1), (1, 1), 1)
    return F.conv2d(x, w, padding=1)


def _before(hs: Tensor, t: int, depth: int) -> Tensor:
    """The `depth` states before step `t`, side by side (B, depth * H, ...)."""
    return hs[t] if depth == 1 else hs[t : t + depth].movedim(0, 1).flatten(1, 2)


class _Scan(Function):
    """The recurrence over `x` (T, B, C, ...) from `h` (B, depth * H, ...) and `c` (B, H, ...), gradients written out.

    `hs` holds the states before the first step, then those of each.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, c: Tensor, w: Tensor, b: Tensor, u: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        steps, hidden = len(x), c.shape[1]
        depth = h.shape[1] // hidden
        x = x.contiguous()
        hs, cs = _steps(x, steps + depth, hidden), _steps(x, steps + 1, hidden)
        gates = _steps(x, steps, 4 * hidden)
        hs[:depth], cs[0] = h.unflatten(1, (depth, hidden)).movedim(1, 0), c
        for block in _blocks(gates):
            z = F.conv2d(x[block].flatten(0, 1), w, b, padding=1).view_as(gates[block])
            for t, z_t in enumerate(z, block.start):
                a = torch.add(_same(_before(hs, t, depth), u), z_t, out=gates[t])
                a[:, : 3 * hidden].sigmoid_()
                a[:, 3 * hidden :].tanh_()
                i, f, o, g = a.split(hidden, 1)
                torch.mul(f, cs[t], out=cs[t + 1]).addcmul_(i, g)
                torch.mul(o, cs[t + 1].tanh(), out=hs[t + depth])
        ctx.save_for_backward(x, gates, hs, cs, w, u)
        return hs[depth:], _before(hs, steps, depth).clone(), cs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dhs: Tensor, dh: Tensor, dc: Tensor) -> tuple[Tensor, ...]:
        x, gates, hs, cs, w, u = ctx.saved_tensors
        hidden = hs.shape[2]
        depth = u.shape[1] // hidden
        # Of the states that step t reads, and of its own, what later steps want: oldest first.
        pending = list(dh.split(hidden, 1))
        dx, dw, db, du = torch.empty_like(x), torch.zeros_like(w), w.new_zeros(len(w)), torch.zeros_like(u)
        back = u.flip(2, 3).transpose(0, 1).contiguous()  # so that a convolution carries a gradient back
        for block in reversed(_blocks(gates)):
            dz = _steps(x, block.stop - block.start, 4 * hidden)
            for t in reversed(range(block.start, block.stop)):
                i, f, o, g = gates[t].split(hidden, 1)
                da, tanh_c = dz[t - block.start], cs[t + 1].tanh()
                dh = pending.pop() + dhs[t]
                torch.mul(dh, tanh_c, out=da[:, 2 * hidden : 3 * hidden])
                dc = torch.addcmul(dc, dh * o, 1 - tanh_c.square_())
                torch.mul(dc, g, out=da[:, :hidden])
                torch.mul(dc, cs[t], out=da[:, hidden : 2 * hidden])
                torch.mul(dc, i, out=da[:, 3 * hidden :]).mul_(1 - g.square())
                sigmoids = gates[t][:, : 3 * hidden]
                da[:, : 3 * hidden].mul_(sigmoids * (1 - sigmoids))
                dc = dc * f
                own = _same(da, back).split(hidden, 1)
                pending = [own[0], *(later + now for later, now in zip(pending, own[1:], strict=True))]
            flat, inputs = dz.flatten(0, 1), x[block].flatten(0, 1)
            read = (
                hs[block] if depth == 1 else torch.cat([hs[block.start + k : block.stop + k] for k in range(depth)], 2)
            )
            du += conv2d_weight(read.flatten(0, 1), u.shape, flat, padding=1)
            dw += conv2d_weight(inputs, w.shape, flat, padding=1)
            db += flat.sum((0, 2, 3))
            dx[block] = conv2d_input(inputs.shape, w, flat, padding=1).view_as(x[block])
        return dx, torch.cat(pending, 1), dc, dw, db, du
