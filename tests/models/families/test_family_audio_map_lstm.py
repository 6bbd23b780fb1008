"""Guo's Inception-LSTM on audio maps against the paper's numbers (section 2.4)."""

import numpy as np
import pytest
import torch
from torch import nn

from features.audio.maps import audio_maps
from models.examples import Examples
from models.families.audio_map_lstm import FAMILY, build
from models.family import Context

CLASSES = tuple("abcdefg")


def published(**changes):
    return build({**FAMILY.published[0], **changes}, Context(CLASSES, {"maps": (34, 34)}))


def test_as_published():
    model = published()
    with torch.device("meta"):
        network = model._make()
    assert network.lstm.input_size == 1024 and network.lstm.hidden_size == 128 and network.lstm.num_layers == 1
    assert network.head.in_features == 128 and network.head.out_features == 7
    assert list(network.stages)[-1] == "global_pool" and network.cut_into.steps == 8
    second = model.settings
    assert (second.lr, second.decay, second.decay_iterations) == (0.001, 0.1, 3000)
    assert (second.batch_size, second.weight_decay, second.max_iterations) == (16, 0.002, 10_000)
    assert second.lr_at(200, 2999) == 0.001 and second.lr_at(1, 6000) == pytest.approx(0.00001)
    first = model._first
    assert (first.lr, first.weight_decay) == (0.045, 0.00004) and first.lr_at(3, 0) == pytest.approx(0.045 * 0.94, 1e-3)
    assert FAMILY.inputs[0].default == "audio_maps"


def test_a_clip_of_few_maps_repeats_the_last_one_up_to_eight():
    rng = np.random.default_rng(0)
    three = audio_maps(rng.normal(size=(68, 34)).astype(np.float32))
    assert len(three) == 3
    repeated = np.concatenate([three, np.repeat(three[-1:], 5, axis=0)])
    clips = Examples(("few", "eight"), {"maps": [three, repeated]}, CLASSES, np.arange(2))
    model = published(width=0.125)
    model.fit(clips, None, epochs=1)
    vectors = model.encode(clips)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-7)


def test_maps_are_neither_moved_nor_mirrored():
    model = published(width=0.125, dropout=0.0)
    cnn = model._build(model._make_cnn).train()
    seen = []
    cnn.stages["conv1"].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    maps = torch.randn(3, 34, 34)
    cnn.frames(maps)
    assert torch.equal(seen[0][:, 0], maps)
    assert not any(isinstance(m, nn.Conv2d) and m.in_channels == 3 for m in cnn.modules())
