"""Guo's VGG-LSTM against the paper's numbers (section 2.1)."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.blocks.window_lstm import WindowLSTM
from models.examples import Examples
from models.families import vgg16
from models.families.vgg_lstm import FAMILY, build
from models.family import Context

CLASSES = ("a", "b")
SHAPE = (32, 32, 3)
SMALL = {"width": 0.25, "single_epochs": 1}


def model(weights=None, **changes):
    return build({**FAMILY.published[0], **changes}, Context(CLASSES, {"faces": SHAPE}, seed=2, weights=weights))


def clips(lengths, seed=0):
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(0, 256, (t, *SHAPE), np.uint8) for t in lengths]
    y = np.arange(len(lengths)) % 2
    return Examples(tuple(f"c{i}" for i in range(len(lengths))), {"faces": arrays}, CLASSES, y)


def test_as_published():
    with torch.device("meta"):
        published = build(FAMILY.published[0], Context(tuple("abcdefg"), {"faces": (224, 224, 3)}))
        network, cnn = published._make(), published._make_cnn()
    assert list(network.stages)[-1] == "fc6" and "fc7" in cnn.stages
    assert (network.lstm.input_size, network.lstm.hidden_size, network.lstm.num_layers) == (4096, 128, 1)
    assert network.head.out_features == cnn.head.out_features == 7
    assert (network.cut_into.steps, network.cut_into.gap) == (16, 8)
    assert [g.get("lr_factor", 1.0) for g in network.parameter_groups(0.1)] == [1.0, 10.0]
    assert [g.get("lr_factor", 1.0) for g in cnn.parameter_groups(0.1)] == [1.0, 10.0]


def test_layers_that_begin_anew_have_the_stated_values():
    small = model(**SMALL)
    network, cnn = small._build(), small._build(small._make_cnn)
    assert float(cnn.head.weight.detach().var()) == pytest.approx(1e-4, rel=0.2)
    for weight in (network.lstm.weight_ih_l0.detach(), network.lstm.weight_hh_l0.detach()):
        assert 0.0099 < float(weight.abs().max()) <= 0.01
    assert not network.lstm.bias_ih_l0.any() and not network.lstm.bias_hh_l0.any()


@pytest.mark.parametrize(
    "frames, windows",
    [
        (1, [[0]]),
        (20, [[0, 8, 16]]),
        (128, [range(0, 128, 8)]),
        (300, [range(0, 128, 8), range(128, 256, 8), range(176, 304, 8)]),
    ],
)
def test_it_sees_every_eighth_frame(monkeypatch, frames, windows):
    one = clips([frames])
    one.inputs["faces"][0][:, 0, 0, 0] = np.arange(frames) % 256
    small = model(**SMALL)
    small._network = small._build()
    seen = []
    run = WindowLSTM.frames

    def frames(self, images):
        seen.extend(images[:, 0, 0, 0].tolist())
        return run(self, images)

    monkeypatch.setattr(WindowLSTM, "frames", frames)
    small.predict(one)
    assert seen == [t % 256 for window in windows for t in window]


def test_it_starts_from_a_vgg16_of_emofuse(tmp_path):
    stills = vgg16.FAMILY
    point = {**stills.published[0], "width": 0.25}
    backbone = stills.build(point, Context(CLASSES, {"faces": SHAPE}))
    backbone.fit(clips([1, 1, 1, 1]), None, epochs=1)
    backbone.save(tmp_path)
    begun = model(tmp_path / "model.safetensors", **SMALL, single_lr=0.0001, lr=0.0001)
    begun.fit(clips([3, 2], 1), None, epochs=1)
    for name in ("stages.conv1_1.0.weight", "stages.fc6.1.weight", "scalers.faces.mean"):
        theirs, ours = (m.network.state_dict()[name] for m in (backbone, begun))
        torch.testing.assert_close(ours, theirs, atol=0.005, rtol=0)
    scratch = model(**SMALL)
    scratch.fit(clips([3, 2], 1), None, epochs=1)
    assert not torch.allclose(scratch.network.scalers["faces"].mean, begun.network.scalers["faces"].mean)


def test_vgg_face_gives_both_steps_its_pixels(tmp_path):
    network = model(**SMALL)._make_cnn()
    stages = {name: value for name, value in network.state_dict().items() if name.startswith("stages.")}
    theirs = {vgg16.NAMINGS[0].theirs(name): value.contiguous() for name, value in stages.items()}
    save_file(theirs, tmp_path / "vgg_face.safetensors")
    begun = model(tmp_path / "vgg_face.safetensors", **SMALL)
    begun.fit(clips([3, 2], 1), None, epochs=2)
    mean = begun.network.scalers["faces"].mean
    assert mean[0, 0].tolist() == pytest.approx([129.1863, 104.7624, 93.5940])
