"""Recurrences as loops that an ONNX graph can hold: a traced loop of Python would have as many steps as its example."""

from typing import Any

import torch
from torch import Tensor


def peephole_states(steps: Tensor, weight_h: Tensor, peepholes: Tensor) -> Tensor:
    """(B, T, H) as of `models.blocks.peephole`, of the gates' inputs (T, B, 4H)."""
    return _scripted(_peephole)(steps, weight_h, peepholes)


def convolved_states(x: Tensor, h: Tensor, c: Tensor, w: Tensor, b: Tensor, u: Tensor) -> Tensor:
    """(T, B, H, ...) as of `models.blocks.convlstm`, whose weights `w`, `b` and `u` are, for `x` (T, B, C, ...)."""
    return _scripted(_convolved)(x, h, c, w, b, u)


def _scripted(function: Any) -> Any:
    return torch.jit.script(function)


def _peephole(steps: Tensor, weight_h: Tensor, peepholes: Tensor) -> Tensor:
    w_ci, w_cf, w_co = peepholes[0], peepholes[1], peepholes[2]
    h = torch.zeros_like(steps[0, :, : w_ci.shape[0]])
    c = torch.zeros_like(h)
    states = torch.zeros_like(h)[None][:0]
    for t in range(steps.shape[0]):
        gates = steps[t] + torch.matmul(h, weight_h.t())
        i, f, g, o = torch.chunk(gates, 4, dim=1)
        i, f = torch.sigmoid(i + w_ci * c), torch.sigmoid(f + w_cf * c)
        c = f * c + i * torch.tanh(g)
        h = torch.sigmoid(o + w_co * c) * torch.tanh(c)
        states = torch.cat([states, h[None]])
    return states.transpose(0, 1)


def _convolved(x: Tensor, h: Tensor, c: Tensor, w: Tensor, b: Tensor, u: Tensor) -> Tensor:
    # `h` holds the states before the step side by side, oldest first.
    states = c[None][:0]
    for t in range(x.shape[0]):
        gates = torch.conv2d(x[t], w, b, padding=[1, 1]) + torch.conv2d(h, u, padding=[1, 1])
        i, f, o, g = torch.chunk(gates, 4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        new = torch.sigmoid(o) * torch.tanh(c)
        h = torch.cat([h[:, new.shape[1] :], new], dim=1)
        states = torch.cat([states, new[None]])
    return states
