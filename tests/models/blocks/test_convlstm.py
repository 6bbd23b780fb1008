"""The ConvLSTM layer against a loop written for reading."""

import pytest
import torch

from models.blocks import convlstm
from models.blocks.convlstm import ConvLSTM


def by_the_formula(layer, x, h, c):
    """One step after the other, one convolution after the other."""
    states = []
    for x_t in x:
        i, f, o, g = (layer.inputs(x_t) + layer.states(h)).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states), h, c


def quickly(layer, x, h, c):
    states, last = layer(x, (h, c))
    return states, *last


@pytest.mark.parametrize("block", [1, 1000, 10**6])
@pytest.mark.parametrize(("steps", "clips"), [(1, 2), (7, 1), (6, 3)])
def test_the_same_as_a_loop(monkeypatch, steps, clips, block):
    monkeypatch.setattr(convlstm, "_BLOCK", block)
    torch.manual_seed(0)
    layer = ConvLSTM(3, 4)
    x = torch.randn(steps, clips, 3, 5, 6, requires_grad=True)
    h, c = torch.randn(2, clips, 4, 5, 6).requires_grad_().unbind()
    told = []
    for run in (quickly, by_the_formula):
        outputs = run(layer, x, h, c)
        # Each output gets a gradient of its own.
        loss = sum((output * (0.3 + output) * (1 + n)).sum() for n, output in enumerate(outputs))
        told.append([*outputs, *torch.autograd.grad(loss, [x, h, c, *layer.parameters()])])
    for ours, expected in zip(*told, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_starts_from_nothing_and_goes_on():
    torch.manual_seed(0)
    layer, x = ConvLSTM(2, 3), torch.randn(6, 2, 2, 4, 4)
    zero = torch.zeros(2, 3, 4, 4)
    whole, last = layer(x)
    first, between = layer(x[:4], (zero, zero))
    second, end = layer(x[4:], between)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, last)


def test_parameters_and_the_open_forget_gate():
    layer = ConvLSTM(5, 4)
    assert sum(p.numel() for p in layer.parameters()) == 16 * (5 + 4) * 9 + 16
    assert layer.inputs.bias[4:8].mean() > 0.8 > layer.inputs.bias[:4].mean()
