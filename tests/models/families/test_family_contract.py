"""What every family must do, whatever is inside: each registered one runs through all of this."""

import itertools
import random

import numpy as np
import pytest
from scipy.special import softmax

from features.errors import EmofuseError
from models.examples import Examples
from models.family import Context
from models.io import load_model
from models.registry import families
from models.space import check_point

CLASSES = ("angry", "happy")
SHAPES = {1: (7,), 2: (48, 48), 3: (48, 48, 3)}
# The smallest images of families that take much time on larger ones.
SMALL = {
    "alexnet_face": (40, 40, 3),
    "audio_map_lstm": (34, 34),
    "conv3d": (16, 16),
    "convlstm": (16, 16),
    "convlstm3d": (16, 16),
    "convnet100": (32, 32),
    "vgg16": (32, 32, 3),
    "vgg_lstm": (32, 32, 3),
}
# Families whose vectors are probabilities of the classes; other vectors are refused.
OF_PROBABILITIES = {"frame_average"}
# Hyperparameters, within the space, that fit a handful of clips in few steps; the published ones are made for more.
EASY = {
    "alexnet_face": {"width": 0.25, "batch_norm": True, "dropout": 0.0},
    "audio_map_lstm": {"width": 0.125, "dropout": 0.0, "single_epochs": 10, "single_lr": 0.1, "lr": 0.01},
    "cnn_irnn": {"lr": 0.05, "momentum": 0.9},
    "conv3d": {"filters": 8, "hidden": 64, "dropout": 0.0, "lr": 0.002},
    "convlstm": {"filters": 8, "hidden": 64, "dropout": 0.0, "lr": 0.002},
    "convlstm3d": {"filters": 8, "hidden": 64, "dropout": 0.0, "lr": 0.001},
    "convnet100": {"hidden": 512, "batch_norm": True, "dropout": 0.0},
    "fusion_mlp": {"activation": "relu", "momentum": 0.9},
    "face_cnn": {"batch_norm": True, "dropout": 0.0},
    "inception_v2": {"width": 0.25, "dropout": 0.0, "lr": 0.1, "batch_size": 16},
    "vgg16": {"width": 0.25, "batch_norm": True, "dropout": 0.0, "head_lr": 1.0, "lr": 0.02},
    "vgg_lstm": {
        "width": 0.25,
        "batch_norm": True,
        "dropout": 0.0,
        "single_epochs": 10,
        "single_lr": 0.02,
        "head_lr": 1.0,
        "lr": 0.05,
    },
}
SAMPLED_CORNERS = 8


def shape_of(family, slot):
    return (len(CLASSES),) if family.name in OF_PROBABILITIES else SMALL.get(family.name, SHAPES[slot.rank])


def slots(family):
    """The family's inputs; a slot for many of them stands for three."""
    return family.slots([f"{slot.slot}_{number}" for slot in family.inputs for number in (1, 2, 3)])


def context(family, seed=0):
    return Context(CLASSES, {slot.slot: shape_of(family, slot) for slot in slots(family)}, seed)


def clips(family, n, seed=0):
    """`n` clips whose classes lie well apart, of 1 to 24 steps."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % len(CLASSES)
    inputs = {}
    for slot in slots(family):
        shape = shape_of(family, slot)
        prototypes = np.random.default_rng(99).normal(size=(len(CLASSES), *shape))
        if slot.rank > 1:  # large patches, as pictures have; white noise is gone after the first pooling
            prototypes = 2 * prototypes[:, ::8, ::8].repeat(8, axis=1).repeat(8, axis=2)[:, : shape[0], : shape[1]]
        if family.name in OF_PROBABILITIES:
            prototypes = np.eye(len(CLASSES))  # nothing is learnt: the class itself has the highest probability
        steps = np.ones(n, int) if slot.level == "clip" else rng.integers(1, 25, n)
        if slot.rank > 1:
            steps = np.minimum(steps, 3)
        arrays = [prototypes[c] + rng.normal(size=(t, *shape)) / 4 for c, t in zip(y, steps, strict=True)]
        if family.name in OF_PROBABILITIES:
            arrays = [softmax(a, axis=1) for a in arrays]
        if slot.is_image:
            arrays = [np.clip(128 + 40 * a, 0, 255).astype(np.uint8) for a in arrays]
        else:
            arrays = [a.astype(np.float32) for a in arrays]
        inputs[slot.slot] = [a[0] for a in arrays] if slot.level == "clip" else arrays
    return Examples(tuple(f"clip{i}" for i in range(n)), inputs, CLASSES, y.astype(np.int64))


def easy(family):
    return {**family.published[0], **EASY.get(family.name, {})}


def corners(family):
    """Every combination of extreme values; when they are many, a sample in which each value still occurs."""
    values = {name: parameter.corners() for name, parameter in family.space.items()}
    points = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
    if len(points) <= SAMPLED_CORNERS:
        return points
    rng = random.Random(0)
    most = max(map(len, values.values()))
    sample = [{name: some[i % len(some)] for name, some in values.items()} for i in range(most)]
    return sample + rng.sample(points, SAMPLED_CORNERS - len(sample))


def is_distribution(p, n):
    right_type = p.shape == (n, len(CLASSES)) and p.dtype == np.float32
    return right_type and (p >= 0).all() and np.allclose(p.sum(1), 1, atol=1e-5)


@pytest.fixture(params=[name for name, one in families().items() if "classification" in one.tasks], scope="module")
def family(request):
    return families()[request.param]


@pytest.fixture(scope="module")
def fitted(family):
    """A model fitted on eight clips."""
    model = family.build(easy(family), context(family))
    model.fit(clips(family, 8), None, epochs=40)
    return model


def test_published_points_lie_in_the_space(family):
    assert family.published
    for point in family.published:
        check_point(family.space, point, family.name)


def test_every_corner_of_the_space_builds_and_takes_a_step(family):
    train = clips(family, 8)
    for point in corners(family):
        check_point(family.space, point, family.name)
        model = family.build(point, context(family))
        model.fit(train, None, epochs=1)
        assert is_distribution(model.predict(train), 8), point


def test_memorises_eight_clips(family, fitted):
    train = clips(family, 8)
    np.testing.assert_array_equal(fitted.predict(train).argmax(1), train.y)


def test_stops_on_held_out_clips_and_tells_their_metrics(family):
    told = []
    model = family.build(easy(family), context(family))
    held_out = clips(family, 6, seed=1)
    report = lambda epoch, metrics: told.append((epoch, metrics))  # noqa: E731
    result = model.fit(clips(family, 8), held_out, max_epochs=3, report=report)
    assert 1 <= result.best_epoch <= result.epochs <= 3
    assert [epoch for epoch, _ in told] == list(range(1, result.epochs + 1))
    assert result.metrics["accuracy"] == np.mean(model.predict(held_out).argmax(1) == held_out.y)
    assert result.metrics["accuracy"] == told[result.best_epoch - 1][1]["accuracy"]


def test_a_seed_fixes_the_result(family):
    def once():
        model = family.build(easy(family), context(family, seed=5))
        model.fit(clips(family, 8), clips(family, 6, seed=1), max_epochs=2)
        return model.predict(clips(family, 6, seed=2))

    first = once()
    np.random.random()  # noqa: NPY002  draws from the global state, which must not matter
    np.testing.assert_array_equal(first, once())


def test_saved_and_loaded_it_gives_the_same_scores(family, fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = load_model(tmp_path)
    some = clips(family, 6, seed=3)
    np.testing.assert_array_equal(loaded.predict(some), fitted.predict(some))
    np.testing.assert_array_equal(loaded.encode(some), fitted.encode(some))
    assert not list(tmp_path.glob("*.pkl")), "a saved model must not be able to run code"


def test_a_clips_scores_do_not_depend_on_the_others(family, fitted):
    some = clips(family, 9, seed=4)
    together = fitted.predict(some)
    alone = np.concatenate([fitted.predict(some.subset([i])) for i in range(len(some))])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(fitted.predict(some.subset(range(8, -1, -1)))[::-1], together, atol=1e-6)


def test_predictions_are_distributions_for_inputs_far_outside(family, fitted):
    if family.name in OF_PROBABILITIES:
        pytest.skip("probabilities have no outside: what is none is refused")
    some = clips(family, 4, seed=6)
    for slot in slots(family):
        if not slot.is_image:
            some.inputs[slot.slot][0] = some.inputs[slot.slot][0] * 1e4
        some.inputs[slot.slot][1] = np.zeros_like(some.inputs[slot.slot][1])
    assert is_distribution(fitted.predict(some), 4)


def test_nan_is_refused_by_the_clips_name(family, fitted):
    vectors = [slot.slot for slot in slots(family) if not slot.is_image]
    if not vectors:
        pytest.skip("uint8 images hold no NaN")
    for bad in (np.nan, np.inf):
        some = clips(family, 8)
        some.inputs[vectors[0]][3][..., -1] = bad
        new = family.build(easy(family), context(family))
        for work in (fitted.predict, fitted.encode, lambda examples, new=new: new.fit(examples, None, epochs=1)):
            with pytest.raises(EmofuseError, match=f"Clip 'clip3': its '{vectors[0]}' features hold NaN or infinity"):
                work(some)


def test_encodings_have_one_width(family, fitted):
    few, more = fitted.encode(clips(family, 2, seed=7)), fitted.encode(clips(family, 5, seed=8))
    assert few.dtype == np.float32 and few.ndim == 2 and np.isfinite(more).all()
    assert (len(few), len(more)) == (2, 5) and few.shape[1] == more.shape[1]
