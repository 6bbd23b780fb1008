"""The backbones on stills against the papers' numbers; big networks are built without memory (device meta)."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from features.errors import WrongUse
from models.blocks.stills import StagedNetwork, frames_at_once, shifted
from models.examples import Examples
from models.families import alexnet_face, convnet100, inception_v2, vgg16
from models.family import Context
from models.registry import get_family

CLASSES = ("a", "b")


def width(network, shape, layer):
    images = torch.zeros((1, *shape), dtype=torch.uint8, device="meta")
    return network.eval().frames(images, layer).shape[1]


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("side", [224, 227])
def test_alexnet_gives_chaos_widths(side):
    with torch.device("meta"):
        network = alexnet_face.AlexNet((side, side, 3), 1.0, 1000, 0.5, False)
    widths = {layer: width(network, (side, side, 3), layer) for layer in alexnet_face.LAYERS}
    # Chao states 9216 for pool5, 43264 for conv4 and 69984 for conv3: in Krizhevsky's network the latter two are the
    # widths of the second and the first pooling, 256 x 13 x 13 and 96 x 27 x 27.
    assert (widths["pool5"], widths["pool2"], widths["pool1"]) == (9216, 43264, 69984)
    assert widths["conv3"] == widths["conv4"] == 384 * 13 * 13 and widths["conv5"] == 43264
    assert (widths["fc6"], widths["fc7"]) == (4096, 4096)
    assert count(network) == 60_965_224  # Krizhevsky's with two groups, as in Caffe's model zoo


def test_vgg16_has_its_number_of_parameters():
    with torch.device("meta"):
        network = vgg16.VGG16((224, 224, 3), 1.0, 7, 0.5, False, 10.0)
        whole = vgg16.VGG16((224, 224, 3), 1.0, 1000, 0.5, False, 10.0)
    assert (count(whole), count(network)) == (138_357_544, 134_289_223)
    assert width(network, (224, 224, 3), "pool5") == 25088 and width(network, (224, 224, 3), "fc6") == 4096
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 13
    assert network.head.out_features == 7


def test_vgg16s_last_layer_learns_ten_times_as_fast():
    network = vgg16.VGG16((32, 32, 3), 0.25, 7, 0.5, False, 10.0)
    assert 0.008 < float(network.head.weight.detach().std()) < 0.012, "variance 1e-4"
    last = network.parameter_groups(0.1)[-1]
    assert last["lr_factor"] == 10.0 and {id(p) for p in last["params"]} == {id(p) for p in network.head.parameters()}
    sizes = [sum(p.numel() for p in group["params"]) for group in network.parameter_groups(0.1)]
    assert sum(sizes) == count(network)


def test_a_groups_factor_multiplies_the_learning_rate():
    family = get_family("vgg16")
    stills = Examples(tuple("abcd"), {"faces": list(faces(4, (32, 32, 3)))}, CLASSES, np.arange(4) % 2)

    def head(head_lr, lr):
        point = {**family.published[0], "width": 0.25, "weight_decay": 0.0, "head_lr": head_lr, "lr": lr}
        model = family.build(point, Context(CLASSES, {"faces": (32, 32, 3)}))
        model.fit(stills, None, epochs=1)
        return model.network.head.weight.detach()

    start = head(1.0, 0.0)
    np.testing.assert_allclose(head(10.0, 1e-3) - start, 10 * (head(1.0, 1e-3) - start), atol=1e-6)


def test_convnet100_is_like_alexnet_with_small_filters():
    with torch.device("meta"):
        network = convnet100.ConvNet((100, 100), 4096, 7, 0.5, False, False)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert [layer.out_channels for layer in convolutions] == [96, 256, 384, 384, 256]
    assert width(network, (100, 100), "pool5") == 9216
    assert get_family("convnet100").inputs[0].default == "faces:size=100"


def test_inception_v2_has_its_layers_and_number_of_parameters():
    with torch.device("meta"):
        network = inception_v2.Inception((224, 224, 3), 1.0, 7, 0.2)
    shapes = {
        "conv1": (64, 112),
        "pool1": (64, 56),
        "conv2": (192, 56),
        "pool2": (192, 28),
        "mixed3a": (256, 28),
        "mixed3b": (320, 28),
        "mixed3c": (576, 14),
        "mixed4a": (576, 14),
        "mixed4d": (576, 14),
        "mixed4e": (1024, 7),
        "mixed5b": (1024, 7),
        "global_pool": (1024, 1),
    }
    for layer, (channels, side) in shapes.items():
        assert width(network, (224, 224, 3), layer) == channels * side * side, layer
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    # TensorFlow's test of its inception_v2 counts 10,173,112: weights, and shift, mean and variance of each filter. Its
    # first convolution is separable (8 filters of 7x7 per colour, then 24 x 64) and has 64 biases instead.
    first, *others = convolutions
    assert first.weight.numel() == 3 * 64 * 7 * 7
    separable = 3 * 8 * 7 * 7 + 24 * 64 + 64
    assert separable + sum(layer.weight.numel() + 3 * layer.out_channels for layer in others) == 10_173_112


def test_inception_v2_takes_guos_maps():
    with torch.device("meta"):
        network = inception_v2.Inception((34, 34), 1.0, 7, 0.2)
    assert width(network, (34, 34), "mixed5b") == 1024 * 2 * 2
    assert width(network, (34, 34), "global_pool") == 1024


class Still(StagedNetwork):
    def __init__(self):
        super().__init__((32, 32))
        self.finish(1, 2)


def test_training_shifts_and_mirrors():
    torch.manual_seed(0)
    image = torch.arange(32 * 32).view(32, 32)
    moved = shifted(image.expand(300, 32, 32), 2)
    assert moved.shape == (300, 32, 32)
    middle = moved[:, 16, 16]
    mirrored = moved[:, 16, 17] < middle
    assert 110 < int(mirrored.sum()) < 190
    down, right = (middle[~mirrored] // 32 - 16).tolist(), (middle[~mirrored] % 32 - 16).tolist()
    assert set(down) == set(right) == {-2, -1, 0, 1, 2}
    assert set(moved[:, 0, 0].tolist()) <= set(image[:3].flatten().tolist()), "borders are repeated"
    x = torch.zeros(4, 32, 32, dtype=torch.uint8)
    assert Still().shift == 2 and Still().frames(x).shape == (4, 32 * 32)


def faces(n, shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 1, *shape), np.uint8)


@pytest.mark.parametrize(
    ("name", "shape", "point"),
    [
        ("alexnet_face", (40, 40, 3), {"width": 0.25}),
        ("convnet100", (32, 32), {"hidden": 512}),
        ("inception_v2", (32, 32), {"width": 0.25}),
        ("vgg16", (32, 32, 3), {"width": 0.25}),
    ],
)
def test_all_layers_can_be_read(name, shape, point):
    family = get_family(name)
    model = family.build({**family.published[0], **point}, Context(CLASSES, {"faces": shape}))
    images = faces(4, shape)
    model.fit(Examples(tuple("abcd"), {"faces": list(images)}, CLASSES, np.arange(4) % 2), None, epochs=1)
    for layer in model.layers:
        rows = model.activations(images[:, 0], layer)
        assert rows.dtype == np.float32 and len(rows) == 4 and np.isfinite(rows).all(), layer
    p = model.predict(Examples(tuple("abcd"), {"faces": list(images)}, CLASSES))
    np.testing.assert_allclose(model.activations(images[:, 0], "probabilities"), p, atol=1e-5)
    with pytest.raises(WrongUse, match=f"Unknown layer of {name} 'conv9'"):
        model.activations(images[:, 0], "conv9")


@pytest.mark.parametrize(
    ("name", "shape", "width"),
    [
        ("convnet100", (32, 32), {"hidden": 512}),
        ("alexnet_face", (40, 40, 3), {"width": 0.25}),
        ("convnet100", (32, 32), {"hidden": 512, "batch_norm": True}),
    ],
)
def test_frozen_convolutions_stay_as_they_are(name, shape, width):
    family = get_family(name)
    images = faces(6, shape)
    stills = Examples(tuple("abcdef"), {"faces": list(images)}, CLASSES, np.arange(6) % 2)
    conv, logits = [], []
    for epochs in (1, 3):
        point = {**family.published[0], **width, "frozen": True}
        model = family.build(point, Context(CLASSES, {"faces": shape}))
        model.fit(stills, None, epochs=epochs)
        conv.append(model.activations(images[:, 0], "pool5"))
        logits.append(model.activations(images[:, 0], "logits"))
    np.testing.assert_array_equal(*conv)
    assert (logits[0] != logits[1]).any()


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("vgg16", (16, 16, 3), "vgg16 expects faces of 32x32 pixels or more, but got 16x16x3"),
        ("alexnet_face", (32, 32, 3), "alexnet_face expects faces of 39x39 pixels or more, but got 32x32x3"),
        ("convnet100", (32, 48), "Expected square faces, but got 32x48 pixels"),
    ],
)
def test_small_or_oblong_faces_are_refused(name, shape, message):
    family = get_family(name)
    still = Examples(("a",), {"faces": [faces(1, shape)[0]]}, CLASSES, np.array([0]))
    with pytest.raises(WrongUse, match=message):
        family.build({**family.published[0]}, Context(CLASSES, {"faces": shape})).fit(still, None, epochs=1)


def test_large_images_go_through_in_small_numbers_and_in_larger_ones_on_a_large_gpu(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    shapes = (48, 48), (224, 224, 3), (3000, 3000)
    assert [frames_at_once(shape, cpu) for shape in shapes] == [256, 16, 1]
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=16 * 2**30))
    assert [frames_at_once(shape, gpu) for shape in shapes] == [512, 33, 1]
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=140 * 2**30))
    assert [frames_at_once(shape, gpu) for shape in shapes] == [2048, 132, 2]
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=4 * 2**30))
    assert [frames_at_once(shape, gpu) for shape in shapes] == [256, 16, 1]
