"""The attention LSTM against its equations and its paper's numbers (Zheng)."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from models.families import attention_lstm
from models.families.attention_lstm import Attention, AttentionLSTM
from models.family import Context

CLASSES = tuple("abcdefgh")
H = 5


def test_attention_follows_its_equations():
    torch.manual_seed(0)
    attention = Attention(H)
    h = np.random.default_rng(0).normal(size=(H, 4)).astype(np.float32)  # (d, N) as the paper writes it
    w_h, w, w_p, w_x = (p.detach().numpy() for p in attention.parameters())
    m = np.tanh(w_h @ h)
    a = softmax(w[0] @ m)
    r = h @ a
    expected = np.tanh(w_p @ r + w_x @ h[:, -1])
    states, lengths = torch.from_numpy(h.T.copy()[None]), torch.tensor([4])
    with torch.no_grad():
        np.testing.assert_allclose(attention.weights(states, lengths)[0], a, atol=1e-6)
        np.testing.assert_allclose(attention(states, lengths)[0], expected, atol=1e-6)
    assert [tuple(p.shape) for p in attention.parameters()] == [(H, H), (1, H), (H, H), (H, H)], "no biases"


def test_attention_is_on_valid_steps_alone():
    states, lengths = torch.randn(3, 6, H), torch.tensor([6, 4, 1])
    a = Attention(H).weights(states, lengths).detach()
    for row, length in zip(a, lengths, strict=True):
        assert float(row.sum()) == pytest.approx(1.0, abs=1e-6)
        assert (row[:length] > 0).all() and not row[length:].any()


@pytest.mark.parametrize("attention", [True, False])
def test_padding_does_not_change_a_clips_score(attention):
    network = AttentionLSTM(3, H, 8, attention, 0.0).eval()
    short = torch.randn(1, 4, 3)
    padded = torch.cat([short, 1e3 * torch.randn(1, 5, 3)], dim=1)
    with torch.no_grad():
        alone = network({"frames": short}, {"frames": torch.tensor([4])})
        together = network({"frames": padded.repeat(2, 1, 1)}, {"frames": torch.tensor([4, 9])})
    torch.testing.assert_close(together[:1], alone)
    assert not torch.allclose(together[1:], alone)


def test_the_softmax_layer_reads_the_clips_vector():
    network = AttentionLSTM(3, H, 8, True, 0.0).eval()
    inputs, lengths = {"frames": torch.randn(2, 4, 3)}, {"frames": torch.tensor([4, 2])}
    expected = network.attention(network.lstm(inputs["frames"]), lengths["frames"])
    torch.testing.assert_close(network.encode(inputs, lengths), expected)
    torch.testing.assert_close(network(inputs, lengths), expected @ network.head.weight.t() + network.head.bias)


def test_without_attention_it_is_convnet_lstm():
    network = AttentionLSTM(3, H, 8, False, 0.0).eval()
    x = torch.randn(1, 4, 3)
    encoded = network.encode({"frames": x}, {"frames": torch.tensor([3])})
    torch.testing.assert_close(encoded, network.lstm(x)[:, 2])


def test_as_published():
    with_attention, without = attention_lstm.FAMILY.published
    assert with_attention["attention"] and not without["attention"]
    for point in (with_attention, without):
        settings = attention_lstm.build(point, Context(CLASSES, {"frames": (8,)})).settings
        assert (settings.lr, settings.decay, settings.decay_iterations, settings.l1) == (0.005, 0.99, None, 1e-4)
        assert settings.lr_at(epoch=3, iteration=500) == pytest.approx(0.005 * 0.99**2)
        assert settings.patience < settings.max_epochs, "it stops early"
