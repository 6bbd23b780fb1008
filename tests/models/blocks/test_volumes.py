"""The networks on face volumes: shapes, parameters, pieces, padding."""

import numpy as np
import pytest
import torch

from models.blocks import volumes
from models.blocks.volumes import KERNELS
from models.families import conv3d, convlstm, convlstm3d
from models.families.conv3d import Conv3D
from models.families.convlstm import ConvLSTMNetwork
from models.families.convlstm3d import ConvLSTM3DNetwork

EACH = pytest.mark.parametrize("network", [Conv3D, ConvLSTMNetwork, ConvLSTM3DNetwork])
POOLING = pytest.mark.parametrize("pooling", KERNELS)


def make(network, pooling="original", window=3, shape=(16, 16), outputs=2):
    torch.manual_seed(0)
    made = network(shape, 2, 8, outputs, pooling, window, 0.5).eval()
    made.scalers["faces"].mean.fill_(100.0)
    made.scalers["faces"].std.fill_(50.0)
    return made


def faces(clips, steps, seed=0, shape=(16, 16)):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (clips, steps, *shape), dtype=np.uint8))


def steps_of(made, frames, lengths=None):
    lengths = torch.full((len(frames),), frames.shape[1]) if lengths is None else torch.tensor(lengths)
    return made.steps({"faces": frames}, {"faces": lengths})


def test_kernels_are_those_of_table_1():
    assert [[kernel[0] for kernel in row] for row in KERNELS.values()] == [
        [1, 1, 1, 1],
        [1, 2, 2, 2],
        [1, 1, 1, 1],
        [1, 1, 2, 2],
    ]
    assert {kernel[1:] for row in KERNELS.values() for kernel in row} == {(2, 2)}


@EACH
def test_layers_of_the_full_size(network):
    made = network((112, 112), 16, 256, 2, "original", 8, 0.5)
    count = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
    assert [count(layer) for layer in made.convolutions] == [27 * 16 + 16, 27 * 16 * 32 + 32, 27 * 32 * 64 + 64]
    fourth = {
        Conv3D: 27 * 64 * 64 + 64,
        ConvLSTMNetwork: 4 * 64 * (64 + 64) * 9 + 4 * 64,
        ConvLSTM3DNetwork: 4 * 64 * (64 + 64) * 27 + 4 * 64,
    }[network]
    assert count(made.last if network is Conv3D else made.recurrent) == fourth
    assert count(made.dense) == 64 * 7 * 7 * 256 + 256, "112 is halved four times"
    assert count(made) == sum(count(layer) for layer in made.convolutions) + fourth + count(made.dense) + 256 * 2 + 2


@EACH
@POOLING
def test_one_prediction_for_each_window_of_the_input(network, pooling):
    made = make(network, pooling)
    assert made.window == (3 if pooling in ("temporal_pooling", "both") else 1)
    assert made.rate == {"original": 1, "max_pooling": 8, "temporal_pooling": 1, "both": 4}[pooling]
    with torch.no_grad():
        scores = steps_of(made, faces(1, 50))[0]
    assert scores.shape == (50 if made.window == 1 else 17, 2)
    repeated = scores[: len(scores) // made.rate * made.rate].unflatten(0, (-1, made.rate))
    assert (repeated == repeated[:, :1]).all(), "pooled steps are repeated to full length"
    assert len(scores.unique(dim=0)) == -(-len(scores) // made.rate)


@EACH
@POOLING
def test_pieces_change_neither_outputs_nor_gradients(network, pooling, monkeypatch):
    told = []
    for piece in (10**9, 8 * 2 * 2 * 16 * 16):  # the whole; eight steps of two clips
        monkeypatch.setattr(volumes, "_PIECE", piece)
        made = make(network, pooling)
        out = steps_of(made, faces(2, 61), [61, 37])
        out[0].square().sum().backward()
        told.append([out[0].detach(), out[1, : -(-37 // made.window)].detach(), *(p.grad for p in made.parameters())])
    for whole, pieces in zip(*told, strict=True):
        torch.testing.assert_close(pieces, whole, atol=1e-4, rtol=1e-3)


@EACH
def test_dropout_is_the_same_when_a_piece_is_computed_again(network, monkeypatch):
    monkeypatch.setattr(volumes, "_PIECE", 8 * 2 * 16 * 16)
    made = make(network).train()
    frames = faces(1, 40)
    made.head.weight.data.fill_(1.0)
    torch.manual_seed(3)
    out = steps_of(made, frames).sum()
    out.backward()
    before, gradient = out.item(), made.dense.bias.grad.clone()
    made.dense.bias.data += 1e-2 * gradient / gradient.norm()
    torch.manual_seed(3)
    after = steps_of(made, frames).sum().item()
    assert (after - before) / 1e-2 == pytest.approx(gradient.norm().item(), rel=0.05)


@EACH
@POOLING
def test_padding_does_not_change_a_clips_scores(network, pooling):
    made = make(network, pooling)
    lengths = [1, 5, 23, 40]
    frames = faces(4, 40)
    with torch.no_grad():
        together = steps_of(made, frames, lengths)
        for n, length in enumerate(lengths):
            alone = steps_of(made, frames[n : n + 1, :length])[0]
            torch.testing.assert_close(together[n, : len(alone)], alone, atol=1e-5, rtol=1e-4)


def test_a_window_is_the_mean_of_its_frames():
    made = make(Conv3D, "temporal_pooling", window=4)
    frames = faces(1, 10)
    short = [frames[:, i : i + 4].float().mean(1, keepdim=True) for i in (0, 4, 8)]
    with torch.no_grad():
        expected = make(Conv3D).steps({"faces": torch.cat(short, 1)}, {"faces": torch.tensor([3])})
        torch.testing.assert_close(steps_of(made, frames), expected, atol=1e-4, rtol=1e-4)


def test_published_are_all_variants_with_their_windows():
    points = [(point["pooling"], point["window"]) for point in conv3d.FAMILY.published]
    assert points == [
        ("original", 8),
        ("max_pooling", 8),
        ("temporal_pooling", 8),
        ("temporal_pooling", 6),
        ("both", 4),
        ("both", 2),
    ]
    assert conv3d.FAMILY.published == convlstm.FAMILY.published == convlstm3d.FAMILY.published
    assert conv3d.FAMILY.max_epochs == 100 and {point["dropout"] for point in conv3d.FAMILY.published} == {0.5}
