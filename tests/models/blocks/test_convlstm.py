"""The ConvLSTM layer against a loop written for reading."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  the name that every torch text uses

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


def in_three_dimensions(layer, x, h, c):
    """The same with kernels of three steps, as 3-D convolutions over x and over the three states before each step."""
    channels, hidden = x.shape[2] // 3, layer.hidden

    def convolved(convolution, steps):  # (3, B, channels, ...) oldest first
        weight = convolution.weight.unflatten(1, (3, -1)).movedim(1, 2)  # (4 H, channels, 3, 3, 3)
        return F.conv3d(steps.movedim(0, 2), weight, convolution.bias, padding=(0, 1, 1)).squeeze(2)

    states, before = [], list(h.unflatten(1, (3, hidden)).movedim(1, 0))
    for x_t in x.unflatten(2, (3, channels)).movedim(2, 1):  # (3, B, channels, ...)
        z = convolved(layer.inputs, x_t) + convolved(layer.states, torch.stack(before[-3:]))
        i, f, o, g = z.chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        before.append(o.sigmoid() * c.tanh())
        states.append(before[-1])
    return torch.stack(states), torch.cat(before[-3:], 1), c


def quickly(layer, x, h, c):
    states, last = layer(x, (h, c))
    return states, *last


@pytest.mark.parametrize("block", [1, 1000, 10**6])
@pytest.mark.parametrize(("steps", "clips"), [(1, 2), (7, 1), (6, 3)])
@pytest.mark.parametrize(("depth", "formula"), [(1, by_the_formula), (3, in_three_dimensions)])
def test_the_same_as_a_loop(monkeypatch, steps, clips, block, depth, formula):
    monkeypatch.setattr(convlstm, "_BLOCK", block)
    torch.manual_seed(0)
    layer = ConvLSTM(3, 4, depth)
    x = torch.randn(steps, clips, depth * 3, 5, 6, requires_grad=True)
    h, c = (torch.randn(clips, channels, 5, 6, requires_grad=True) for channels in (depth * 4, 4))
    told = []
    for run in (quickly, formula):
        outputs = run(layer, x, h, c)
        # Each output gets a gradient of its own.
        loss = sum((output * (0.3 + output) * (1 + n)).sum() for n, output in enumerate(outputs))
        told.append([*outputs, *torch.autograd.grad(loss, [x, h, c, *layer.parameters()])])
    for ours, expected in zip(*told, strict=True):
        torch.testing.assert_close(ours, expected, atol=3e-5, rtol=1e-4)


@pytest.mark.parametrize("depth", [1, 3])
def test_starts_from_nothing_and_goes_on(depth):
    torch.manual_seed(0)
    layer, x = ConvLSTM(2, 3, depth), torch.randn(6, 2, depth * 2, 4, 4)
    zero = torch.zeros(2, 3, 4, 4)
    whole, last = layer(x)
    first, between = layer(x[:4], (zero.repeat(1, depth, 1, 1), zero))
    second, end = layer(x[4:], between)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, last)


def test_parameters_and_the_open_forget_gate():
    layer = ConvLSTM(5, 4)
    assert sum(p.numel() for p in layer.parameters()) == 16 * (5 + 4) * 9 + 16
    assert sum(p.numel() for p in ConvLSTM(5, 4, 3).parameters()) == 16 * (5 + 4) * 27 + 16
    assert layer.inputs.bias[4:8].mean() > 0.8 > layer.inputs.bias[:4].mean()
