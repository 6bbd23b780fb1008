"""The layer of rectified units against torch's own."""

import pytest
import torch
from torch import nn

from models.blocks.relu_rnn import ReLURNN


@pytest.mark.parametrize("b, t, f, h", [(3, 7, 4, 5), (1, 1, 2, 3), (2, 30, 6, 50)])
def test_same_states_and_gradients_as_torchs(b, t, f, h):
    torch.manual_seed(b)
    own, known = ReLURNN(f, h), nn.RNN(f, h, nonlinearity="relu", batch_first=True)
    known.load_state_dict(own.state_dict())
    one = torch.randn(b, t, f, requires_grad=True)
    other = one.detach().clone().requires_grad_()
    weights = torch.randn(b, t, h)
    ours, theirs = own(one), known(other)[0]
    torch.testing.assert_close(ours, theirs)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-4)
    for a, b in zip(own.parameters(), known.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4)


def test_gradients_are_exact():
    torch.manual_seed(0)
    layer = ReLURNN(3, 4).double()
    assert torch.autograd.gradcheck(layer, torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True))


def test_in_bfloat16():
    torch.manual_seed(0)
    layer, x = ReLURNN(3, 4), torch.randn(2, 5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        states = layer(x)
    torch.testing.assert_close(states.float(), layer(x), atol=0.05, rtol=0.05)
    states.float().sum().backward()
    assert layer.weight_hh_l0.grad.dtype == torch.float32 and layer.weight_hh_l0.grad.any()
