"""The families on frame sequences against the numbers of their papers."""

import numpy as np
import pytest
import torch

from models.examples import Examples
from models.families import audio_lstm, cnn_irnn, temporal_pooling
from models.families.audio_lstm import AudioLSTM
from models.families.cnn_irnn import IRNN
from models.families.temporal_pooling import TemporalPooling
from models.family import Context

CLASSES = tuple("abcdefg")


def network(family, features, point=0):
    model = family.build(family.FAMILY.published[point], Context(CLASSES, {family.FAMILY.inputs[0].slot: (features,)}))
    return model._build(), model.settings


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_irnn_starts_at_the_scaled_identity(scale):
    net = IRNN(800, 200, 7, scale)
    assert torch.equal(net.rnn.weight_hh_l0, scale * torch.eye(200))
    for weight in (net.rnn.weight_ih_l0, net.head.weight):
        assert float(weight.detach().std()) == pytest.approx(0.001, rel=0.1)
    for bias in (net.rnn.bias_ih_l0, net.rnn.bias_hh_l0, net.head.bias):
        assert not bias.any()


def test_irnn_as_published():
    """Kahou 2015, section 2.2 and 6.2."""
    net, settings = network(cnn_irnn, 800)
    assert net.rnn.nonlinearity == "relu" and net.rnn.hidden_size == 200 and net.head.out_features == 7
    assert (settings.optimiser, settings.lr, settings.clip, settings.batch_size) == ("sgd", 0.005, 1.0, 64)
    assert cnn_irnn.FAMILY.inputs[0].default == "face_cnn.conv2"


def test_irnn_follows_its_equation():
    net = IRNN(3, 5, 2, 0.5)
    torch.nn.init.normal_(net.rnn.weight_ih_l0)
    x = torch.randn(1, 4, 3)
    h = torch.zeros(5)
    for t in range(3):
        h = torch.relu(net.rnn.weight_ih_l0 @ x[0, t] + net.rnn.weight_hh_l0 @ h)
    encoded = net.encode({"frames": x}, {"frames": torch.tensor([3])})
    torch.testing.assert_close(encoded[0], h)
    logits = net({"frames": x}, {"frames": torch.tensor([3])})
    torch.testing.assert_close(logits[0], net.head.weight @ h + net.head.bias)


def test_audio_lstm_as_published():
    """Guo, sections 2.1 and 2.3."""
    net, settings = network(audio_lstm, 34)
    assert (net.lstm.input_size, net.lstm.hidden_size, net.lstm.num_layers) == (34, 512, 1)
    assert net.head.out_features == 7
    assert 0.0099 < float(net.lstm.weight_hh_l0.detach().abs().max()) <= 0.01
    assert not net.lstm.bias_ih_l0.any() and not net.lstm.bias_hh_l0.any()
    assert (settings.lr, settings.batch_size, settings.decay, settings.decay_iterations) == (0.001, 16, 0.1, 3000)


def test_audio_lstm_repeats_the_last_window_up_to_sixteen():
    rng = np.random.default_rng(0)
    short = rng.normal(size=(3, 34)).astype(np.float32)
    repeated = np.concatenate([short, np.repeat(short[-1:], 13, axis=0)])
    longer = np.repeat(short, 7, axis=0)
    clips = Examples(("short", "repeated", "longer"), {"audio": [short, repeated, longer]}, CLASSES)
    model = audio_lstm.build({**audio_lstm.FAMILY.published[0], "hidden": 64}, Context(CLASSES, {"audio": (34,)}))
    model.fit(Examples(clips.ids, clips.inputs, CLASSES, np.arange(3)), None, epochs=2)
    vectors = model.encode(clips)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-7)
    assert AudioLSTM.min_steps == 16 and not np.allclose(vectors[0], vectors[2], atol=1e-4)


def test_temporal_pooling_as_published():
    """Chao 2016, section 4.1 and table 1."""
    points = {(p["hidden"], p["pool"], p["pool_at"]) for p in temporal_pooling.FAMILY.published}
    assert points >= {
        (64, "max", "hidden"),
        (256, "max", "hidden"),
        (64, "mean", "hidden"),
        (128, "max", "hidden"),
        (64, "max", "input"),
        (64, "mean", "input"),
    }
    net, settings = network(temporal_pooling, 2048)
    assert net.hidden[0].weight.shape == (256, 2048) and net.dropout.p == 0.5
    assert temporal_pooling.FAMILY.max_epochs == settings.max_epochs == 100


def test_weight_decay_acts_on_the_softmax_layer_alone():
    net = TemporalPooling(4, 8, 2, "max", "hidden", 0.5)
    groups = net.parameter_groups(0.0005)
    decayed = [p for group in groups if group["weight_decay"] for p in group["params"]]
    assert [id(p) for p in decayed] == [id(net.head.weight)]
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))


@pytest.mark.parametrize("pool, reduce", [("max", np.max), ("mean", np.mean)])
@pytest.mark.parametrize("pool_at", ["hidden", "input"])
def test_temporal_pooling_follows_its_figure(pool, reduce, pool_at):
    net = TemporalPooling(3, 5, 2, pool, pool_at, 0.5).eval()
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    weight, bias = (p.detach().numpy() for p in net.hidden[0].parameters())

    def hidden(rows):
        return np.maximum(rows @ weight.T + bias, 0)

    expected = hidden(reduce(x, axis=0)) if pool_at == "input" else reduce(hidden(x), axis=0)
    padded = torch.from_numpy(np.concatenate([x, 1e3 * np.ones((2, 3), np.float32)])[None])
    encoded = net.encode({"frames": padded}, {"frames": torch.tensor([4])})
    np.testing.assert_allclose(encoded.detach().numpy()[0], expected, atol=1e-6)
