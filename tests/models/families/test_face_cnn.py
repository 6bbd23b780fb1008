"""The face CNN against the numbers of Kahou 2015, section 2.1.3."""

import numpy as np
import pytest
import torch
from torch import nn

from features.errors import WrongUse
from models.examples import Examples
from models.families.face_cnn import FAMILY, FaceCNN, _centre_crop, _random_crop, build
from models.family import Context

CLASSES = ("a", "b", "c")
POINT = FAMILY.published[0]


def convolutions(structure):
    network = FaceCNN((48, 48), structure, 7, 0.25, False)
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize("structure, size, filters", [("5x5", 5, [64, 64, 128]), ("9x9", 9, [32, 32, 64])])
def test_the_shallow_structures(structure, size, filters):
    layers = convolutions(structure)
    assert [layer.out_channels for layer in layers] == filters
    assert {layer.kernel_size for layer in layers} == {(size, size)}


def test_the_deep_structure_has_small_filters():
    assert {layer.kernel_size for layer in convolutions("3x3")} == {(3, 3)} and len(convolutions("3x3")) == 8


@pytest.mark.parametrize(
    "structure, parameters",
    [
        ("9x9", (81 * 1 + 1) * 32 + (81 * 32 + 1) * 32 + (81 * 32 + 1) * 64 + (64 * 2 * 2 + 1) * 7),
        ("5x5", (25 * 1 + 1) * 64 + (25 * 64 + 1) * 64 + (25 * 64 + 1) * 128 + (128 * 4 * 4 + 1) * 7),
    ],
)
def test_parameter_counts(structure, parameters):
    assert sum(weight.numel() for weight in FaceCNN((48, 48), structure, 7, 0.25, False).parameters()) == parameters


def test_the_second_layer_is_read_after_its_pooling():
    """Kahou 2015, section 2.2: the features of the IRNN."""
    second = FaceCNN((48, 48), "9x9", 7, 0.25, False).stages[1]
    kinds = [type(module) for module in second.modules()]
    assert kinds.index(nn.Conv2d) < kinds.index(nn.MaxPool2d)


def test_published_points():
    assert [point["structure"] for point in FAMILY.published] == ["9x9", "5x5", "3x3"], "the best first"
    assert {point["dropout"] for point in FAMILY.published} == {0.25}
    assert FAMILY.stage == "backbone" and FAMILY.inputs[0].default == "faces:size=48"


def faces(n, steps=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, steps, 48, 48), np.uint8)


@pytest.fixture(scope="module")
def fitted():
    model = build({**POINT, "batch_norm": True}, Context(CLASSES, {"faces": (48, 48)}))
    stills = Examples(tuple("abcdef"), {"faces": list(faces(6))}, CLASSES, np.arange(6) % 3)
    model.fit(stills, None, epochs=2)
    return model


def test_mean_and_deviation_images_are_those_of_the_fit_stills(fitted):
    images = faces(6)[:, 0].astype(np.float64)
    np.testing.assert_allclose(fitted.network.scalers["faces"].mean, images.mean(0), rtol=1e-5)
    np.testing.assert_allclose(fitted.network.scalers["faces"].std, images.std(0), rtol=1e-4)


@pytest.mark.parametrize(
    "layer, width",
    [("conv1", 32 * 18 * 18), ("conv2", 32 * 5 * 5), ("conv3", 64 * 2 * 2), ("logits", 3), ("probabilities", 3)],
)
def test_layers_can_be_read(fitted, layer, width):
    images = faces(1, steps=300)[0]
    images.setflags(write=False)
    rows = fitted.activations(images, layer)
    assert rows.shape == (300, width) and rows.dtype == np.float32
    np.testing.assert_allclose(rows[299:], fitted.activations(images[299:], layer), atol=1e-4)
    if layer.startswith("conv"):
        assert (rows >= 0).all() and (rows > 0).any()


def test_the_last_layer_is_the_score_of_a_still(fitted):
    images = faces(4, seed=1)
    stills = Examples(tuple("abcd"), {"faces": list(images)}, CLASSES)
    p = fitted.activations(images[:, 0], "probabilities")
    np.testing.assert_allclose(fitted.predict(stills), p, atol=1e-6)
    logits = torch.from_numpy(fitted.activations(images[:, 0], "logits"))
    np.testing.assert_allclose(logits.softmax(1), p, atol=1e-6)


def test_a_clip_scores_the_mean_of_its_frames(fitted):
    images = faces(1, steps=5, seed=2)[0]
    clips = Examples(("long", "short"), {"faces": [images, images[:2]]}, CLASSES)
    frames = fitted.activations(images, "probabilities")
    np.testing.assert_allclose(fitted.predict(clips), [frames.mean(0), frames[:2].mean(0)], atol=1e-6)


def test_training_on_clips_is_training_on_their_frames():
    images, context = faces(6, seed=3), Context(CLASSES, {"faces": (48, 48)})
    stills = Examples(tuple("abcdef"), {"faces": list(images)}, CLASSES, np.array([0, 0, 0, 1, 1, 1]))
    clips = Examples(("x", "y"), {"faces": [images[:3, 0], images[3:, 0]]}, CLASSES, np.array([0, 1]))
    scores = []
    for some in (stills, clips):
        model = build(POINT, context)
        model.fit(some, None, epochs=1)
        scores.append(model.predict(stills))
    np.testing.assert_array_equal(*scores)


def test_crops_are_random_windows_mirrored_half_the_time():
    torch.manual_seed(0)
    image = torch.arange(48 * 48).view(48, 48)
    crops = _random_crop(image.expand(400, 48, 48), (44, 44))
    corner = crops[:, 0, 0]
    mirrored = crops[:, 0, 1] < corner
    assert 160 < int(mirrored.sum()) < 240
    plain = crops[~mirrored]
    top, left = plain[:, 0, 0] // 48, plain[:, 0, 0] % 48
    assert sorted(set(top.tolist())) == sorted(set(left.tolist())) == [0, 1, 2, 3, 4]
    assert torch.equal(plain[0], image[top[0] : top[0] + 44, left[0] : left[0] + 44])
    assert torch.equal(_centre_crop(image[None], (44, 44))[0], image[2:46, 2:46])


def test_wrong_images_and_layers_are_told(fitted):
    with pytest.raises(WrongUse, match="Unknown layer of face_cnn 'conv4': known are conv1"):
        fitted.activations(faces(1)[0], "conv4")
    with pytest.raises(WrongUse, match=r"expects uint8 images of shape \(48, 48\), but got float64 \(48, 48\)"):
        fitted.activations(faces(1)[0].astype(float), "conv1")
    small = Examples(("a",), {"faces": [np.zeros((1, 24, 24), np.uint8)]}, CLASSES, np.array([0]))
    with pytest.raises(WrongUse, match="with 9x9 filters expects faces of 48x48 pixels or more, but got 24x24"):
        build(POINT, Context(CLASSES, {"faces": (24, 24)})).fit(small, None, epochs=1)
