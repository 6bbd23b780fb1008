"""A recurrent layer of rectified units whose training on a CPU is not spent in bookkeeping step by step."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  the name that every torch text uses
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class ReLURNN(nn.RNN):
    """`nn.RNN` of one layer with ReLU, from zero states: (B, T, F) to h (B, T, H), to rounding the same numbers.

        h_t = relu(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)

    In full precision, as a rectified state is unbounded. On a GPU it is torch's. On a CPU torch's records every step
    for the backward pass, which then adds to the gradient of W_hh once per step; here one product after the loop gives
    it.
    """

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, features: int, hidden: int):
        super().__init__(features, hidden, nonlinearity="relu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.weight_ih_l0.dtype)
            if x.is_cuda or torch.onnx.is_in_onnx_export():
                return super().forward(x)[0]
            inputs = F.linear(x, self.weight_ih_l0, self.bias_ih_l0 + self.bias_hh_l0)  # (B, T, H)
            return _Steps.apply(inputs.transpose(0, 1).contiguous(), self.weight_hh_l0).transpose(0, 1)


class _Steps(torch.autograd.Function):
    """h_t = relu(inputs_t + W h_{t-1}) for inputs (T, B, H)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        states = torch.empty_like(inputs)
        before, weight_t = None, weight.t()
        for step, state in zip(inputs.unbind(), states.unbind(), strict=True):
            if before is None:
                state.copy_(step)
            else:
                torch.addmm(step, before, weight_t, out=state)
            before = state.relu_()
        ctx.save_for_backward(states, weight)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        states, weight = ctx.saved_tensors
        active = (states > 0).to(states.dtype)
        # Of the sums before rectification, from the last step to the first.
        sums = torch.empty_like(states)
        after = None
        for step, mask, own in zip(*(t.unbind()[::-1] for t in (grad, active, sums)), strict=True):
            if after is None:
                torch.mul(step, mask, out=own)
            else:
                torch.addmm(step, after, weight, out=own).mul_(mask)
            after = own
        return sums, sums[1:].flatten(0, 1).t() @ states[:-1].flatten(0, 1)
