"""Fits that start from a user's file of weights."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from features.errors import EmofuseError
from models.examples import Examples
from models.families import alexnet_face, vgg16
from models.families.vgg16 import LAYERS
from models.family import Context
from models.registry import get_family
from models.training.pretrained import start_from

CLASSES = ("a", "b")
SHAPE = (32, 32, 3)
POINT = {**get_family("vgg16").published[0], "width": 0.25, "lr": 1e-4}


def stills(n=6, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (n, 1, *SHAPE), np.uint8)
    return Examples(tuple(map(str, range(n))), {"faces": list(images)}, CLASSES, np.arange(n) % 2)


def model(weights=None, **changes):
    return get_family("vgg16").build({**POINT, **changes}, Context(CLASSES, {"faces": SHAPE}, weights=weights))


def network(classes=2):
    torch.manual_seed(1)
    return vgg16.VGG16(SHAPE, 0.25, classes, 0.5, False, 10.0)


def vgg_face(net, outputs=2622):
    """`net` as VGG-Face's converted files name it, with another softmax layer."""
    state = net.state_dict()
    named = {
        f"{name}.{part}": state[f"stages.{name}.0.{part}"]
        for name in LAYERS
        if name.startswith("conv")
        for part in ("weight", "bias")
    }
    named |= {f"fc{n}.{part}": state[f"stages.fc{n}.1.{part}"] for n in (6, 7) for part in ("weight", "bias")}
    return named | {"fc8.weight": torch.zeros(outputs, 1024), "fc8.bias": torch.zeros(outputs)}


def test_a_fit_starts_from_an_earlier_ones_weights(tmp_path):
    first = model(lr=0.01)
    first.fit(stills(), None, epochs=2)
    first.save(tmp_path)
    path = tmp_path / "model.safetensors"
    target = network()
    start_from(target, path)
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, target.state_dict()[name]), name
    second = model(path)
    second.fit(stills(seed=1), None, epochs=1)
    scaler = second.network.scalers["faces"]
    assert torch.equal(scaler.mean, first.network.scalers["faces"].mean), "the images' scale comes with the weights"
    np.testing.assert_allclose(second.predict(stills()), first.predict(stills()), atol=0.05)
    second.save(tmp_path)
    loaded = get_family("vgg16").load(tmp_path, "cpu")
    np.testing.assert_array_equal(loaded.predict(stills()), second.predict(stills()))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_vgg_faces_names(tmp_path, capsys, suffix):
    source, path = network(), tmp_path / f"vgg_face{suffix}"
    tensors = {f"module.{name}": value.contiguous().clone() for name, value in vgg_face(source).items()}
    if suffix == ".pth":
        torch.save({"state_dict": tensors}, path)
    else:
        save_file(tensors, path)
    target = network()
    before = target.head.weight.clone()
    torch.nn.init.zeros_(target.stages["conv3_2"][0].weight)
    start_from(target, path, vgg16.NAMINGS)
    for layer in ("conv1_1", "conv3_2"):
        assert torch.equal(target.stages[layer][0].weight, source.stages[layer][0].weight)
    assert torch.equal(target.head.weight, before)
    assert "the softmax layer begins anew, the file has none for 2 classes" in capsys.readouterr().err
    pixels = target.scalers["faces"](torch.tensor([129, 105, 94]).expand(1, *SHAPE))
    assert float(pixels.abs().max()) < 1, "their mean is subtracted"
    assert float(target.scalers["faces"].std.unique()) == 1


def test_torchvisions_names():
    expected = ["features.0", "features.2", "features.5", "features.28", "classifier.0", "classifier.3"]
    modules = vgg16.NAMINGS[1].modules
    ours = [
        "stages.conv1_1.0",
        "stages.conv1_2.0",
        "stages.conv2_1.0",
        "stages.conv5_3.0",
        "stages.fc6.1",
        "stages.fc7.1",
    ]
    assert [modules[name] for name in ours] == expected and modules["head"] == "classifier.6"


def test_caffes_colours_are_turned_round(tmp_path):
    def alexnet():
        return alexnet_face.AlexNet((40, 40, 3), 0.25, 2, 0.5, False)

    source, target = alexnet(), alexnet()
    modules = alexnet_face.NAMINGS[0].modules
    state = {name: value for name, value in source.state_dict().items() if not name.startswith("scalers")}
    torch.save({alexnet_face.NAMINGS[0].theirs(name): value for name, value in state.items()}, tmp_path / "caffe.pt")
    start_from(target, tmp_path / "caffe.pt", alexnet_face.NAMINGS)
    assert torch.equal(target.stages["conv1"][0].weight, source.stages["conv1"][0].weight.flip(1))
    assert torch.equal(target.stages["conv2"][0].weight, source.stages["conv2"][0].weight)
    assert modules["head"] == "fc8" and torch.equal(target.head.weight, source.head.weight)


def test_what_does_not_fit_is_told(tmp_path):
    path = tmp_path / "w.pth"

    def message(state, **changes):
        torch.save(state, path)
        with pytest.raises(EmofuseError) as caught:
            model(path, **changes).fit(stills(), None, epochs=1)
        return str(caught.value)

    tensors = vgg_face(network())
    told = message({**tensors, "fc6.weight": torch.zeros(1024, 25088)})
    assert "parameter 'stages.fc6.1.weight' has the shape (1024, 25088), but this network's is (1024, 128)" in told
    told = message({name: value for name, value in tensors.items() if name != "conv4_2.bias"})
    assert "named as by emofuse, VGG-Face (converted from MatConvNet), torchvision, but there is no 'conv4_2." in told
    assert "the file's are conv1_1.weight, conv1_1.bias" in told
    assert "there is no" in message(tensors, batch_norm=True)
    assert "expected tensors by name, but it holds a list" in message([torch.zeros(1)])


def test_code_in_a_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(EmofuseError, match="that loads with weights_only=True"):
        model(tmp_path / "evil.pth").fit(stills(), None, epochs=1)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(EmofuseError, match="no such file, expected pretrained weights"):
        model(tmp_path / "none.pth").fit(stills(), None, epochs=1)
