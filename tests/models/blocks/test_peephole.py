"""The peephole LSTM against a loop written for reading, and against torch's LSTM."""

import numpy as np
import pytest
import torch
from scipy.special import expit as sigmoid

from models.blocks.peephole import PeepholeLSTM

B, T, F, H = 3, 6, 4, 5


def by_the_book(layer, x):
    """Equation 1 of Zheng, one clip, step and cell after the other."""
    parts = {name: value.detach().numpy().astype(np.float64) for name, value in layer.named_parameters()}
    w_x, w_h, b = (parts[name].reshape(4, H, -1) for name in ("weight_x", "weight_h", "bias"))
    w_ci, w_cf, w_co = parts["peepholes"]
    states = np.zeros((len(x), x.shape[1], H))
    for n, clip in enumerate(x):
        h, c = np.zeros(H), np.zeros(H)
        for t, x_t in enumerate(clip):
            new_h, new_c = np.zeros(H), np.zeros(H)
            for k in range(H):
                i, f, g, o = (w_x[gate, k] @ x_t + w_h[gate, k] @ h + b[gate, k, 0] for gate in range(4))
                new_c[k] = sigmoid(f + w_cf[k] * c[k]) * c[k] + sigmoid(i + w_ci[k] * c[k]) * np.tanh(g)
                new_h[k] = sigmoid(o + w_co[k] * new_c[k]) * np.tanh(new_c[k])
            h, c = new_h, new_c
            states[n, t] = h
    return states


def layer():
    torch.manual_seed(0)
    return PeepholeLSTM(F, H)


def test_follows_its_equations():
    made = layer()
    torch.nn.init.normal_(made.peepholes)
    x = np.random.default_rng(0).normal(size=(B, T, F)).astype(np.float32)
    with torch.no_grad():
        states = made(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(states, by_the_book(made, x), atol=1e-6)


def test_without_peepholes_it_is_torchs_lstm():
    made, known = layer(), torch.nn.LSTM(F, H, batch_first=True)
    with torch.no_grad():
        made.peepholes.zero_()
        known.weight_ih_l0.copy_(made.weight_x)
        known.weight_hh_l0.copy_(made.weight_h)
        known.bias_ih_l0.copy_(made.bias)
        known.bias_hh_l0.zero_()
    x = torch.randn(B, T, F)
    ours, theirs = made(x), known(x)[0]
    torch.testing.assert_close(ours, theirs)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    torch.testing.assert_close(made.weight_h.grad, known.weight_hh_l0.grad)
    torch.testing.assert_close(made.weight_x.grad, known.weight_ih_l0.grad)


@pytest.mark.parametrize("name", ["weight_x", "weight_h", "bias", "peepholes"])
def test_every_parameter_starts_small_and_learns(name):
    made = layer()
    parameter = getattr(made, name)
    assert 0 < float(parameter.detach().abs().max()) <= H**-0.5
    made(torch.randn(B, T, F))[:, -1].sum().backward()
    rows = parameter.grad.reshape(-1, H if name == "peepholes" else parameter[0].numel())
    assert rows.abs().amax(1).gt(0).all()


def test_in_bfloat16_the_cells_stay_exact():
    made, x = layer(), torch.randn(B, 50, F)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        states = made(x)
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, made(x).detach(), atol=0.03, rtol=0)
