"""LSTM encoding against its paper's numbers (Chao 2016)."""

import numpy as np
import pytest
import torch

from models.families import lstm_encoder
from models.families.lstm_encoder import LSTMEncoder
from models.family import Context

CLASSES = tuple("abcdefg")


def test_as_published():
    """Section 4.1 and table 1: 2048/64/64/7."""
    assert [point["pool"] for point in lstm_encoder.FAMILY.published] == ["mean", "last"]
    for point in lstm_encoder.FAMILY.published:
        model = lstm_encoder.build(point, Context(CLASSES, {"frames": (2048,)}))
        network, settings = model._build(), model.settings
        assert network.hidden[0].weight.shape == (64, 2048)
        assert (network.lstm.input_size, network.lstm.hidden_size, network.lstm.num_layers) == (64, 64, 1)
        assert network.head.weight.shape == (7, 64)
        assert (settings.weight_decay, settings.max_epochs) == (0.0005, 100)
        assert [layer.p for layer in network.modules() if isinstance(layer, torch.nn.Dropout)] == [0.5, 0.5]
        assert network.lstm.dropout == 0
    assert lstm_encoder.FAMILY.max_epochs == 100


def test_weight_decay_acts_on_the_softmax_layer_alone():
    network = LSTMEncoder(4, 8, 8, 2, "mean", 0.5)
    groups = network.parameter_groups(0.0005)
    decayed = [p for group in groups if group["weight_decay"] for p in group["params"]]
    assert [id(p) for p in decayed] == [id(network.head.weight)]
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


@pytest.mark.parametrize("pool, reduce", [("mean", lambda h: h.mean(0)), ("last", lambda h: h[-1])])
def test_the_vector_is_the_mean_or_last_state_whatever_follows_the_clip(pool, reduce):
    network = LSTMEncoder(3, 6, 5, 2, pool, 0.5).eval()
    x = torch.randn(4, 3)
    weight, bias = network.hidden[0].parameters()
    h, _ = network.lstm(torch.relu(x @ weight.t() + bias))  # (4, 5)
    padded = torch.cat([x, 1e3 * torch.ones(3, 3)])[None]
    encoded = network.encode({"frames": padded}, {"frames": torch.tensor([4])})
    torch.testing.assert_close(encoded[0], reduce(h))
    logits = network({"frames": padded}, {"frames": torch.tensor([4])})
    torch.testing.assert_close(logits[0], network.head(reduce(h)))


def test_dropout_takes_half_of_what_enters_the_lstm_and_the_softmax_layer():
    network = LSTMEncoder(3, 400, 400, 2, "last", 0.5).train()
    torch.nn.init.ones_(network.hidden[0].bias)
    x = torch.zeros(1, 5, 3)
    entering = network.hidden(x)[0]
    assert set(np.unique(entering.detach())) == {0.0, 2.0}
    assert float((entering == 0).float().mean()) == pytest.approx(0.5, abs=0.06)
    encoded = network.encode({"frames": x}, {"frames": torch.tensor([5])})
    assert float((encoded == 0).float().mean()) == pytest.approx(0.5, abs=0.12)
