"""PCA whitening in front of a model, learnt on the fit rows alone."""

from dataclasses import replace

import numpy as np
import pytest

from features.errors import EmofuseError
from models.examples import Examples
from models.family import Context
from models.io import load_model
from models.registry import get_family
from models.whitened import Projection, Whitening, build_whitened

CLASSES = ("angry", "happy")
POOLING = get_family("temporal_pooling")


def sequences(n=30, width=6, seed=0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(7).normal(size=(width, width)) * 10.0 ** -np.arange(width)
    arrays = [np.float32((rng.normal(size=(rng.integers(2, 9), width)) + i % 2) @ mixing + 5) for i in range(n)]
    return Examples(tuple(f"c{i}" for i in range(n)), {"frames": arrays}, CLASSES, np.arange(n) % 2)


def pooling(components):
    hyperparameters = {**POOLING.published[0], "hidden": 64}
    return build_whitened(
        POOLING, hyperparameters, Context(CLASSES, {"frames": (6,)}), {"frames": Whitening(components)}
    )


def test_components_are_uncorrelated_of_variance_one_and_the_strongest_first():
    rows = np.concatenate(sequences().inputs["frames"]).astype(np.float64)
    white = Projection.learn(sequences().inputs["frames"], Whitening(3)).apply(rows)
    np.testing.assert_allclose(np.cov(white.T), np.eye(3), atol=0.02)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    first = (rows - rows.mean(0)) @ vectors[:, -1] / np.sqrt(values[-1])
    assert abs(np.corrcoef(first, white[:, 0])[0, 1]) > 0.9999


def test_scaled_is_the_whitening_of_standardised_numbers():
    rows = sequences().inputs["frames"]
    joined = np.concatenate(rows).astype(np.float64)
    standard = (joined - joined.mean(0)) / joined.std(0)
    scaled = Projection.learn(rows, Whitening(2, scaled=True)).apply(joined.astype(np.float32))
    plain = Projection.learn([standard], Whitening(2)).apply(standard)
    np.testing.assert_allclose(np.abs(scaled), np.abs(plain), atol=5e-3)


def test_missing_components_are_zero():
    flat = [np.float32([[1, 2, 3], [2, 4, 6], [4, 8, 12]])]
    white = Projection.learn(flat, Whitening(5)).apply(flat[0])
    assert white.shape == (3, 5)
    assert np.abs(white[:, 0]).min() > 0.1
    np.testing.assert_array_equal(white[:, 1:], 0)
    assert not Projection.learn([np.ones(4, np.float32)], Whitening(2)).apply(np.ones(4, np.float32)).any()


def test_only_the_fit_rows_are_learnt_from():
    train, held_out = sequences(), sequences(10, seed=1)
    far = replace(held_out, inputs={"frames": [array * 100 for array in held_out.inputs["frames"]]})
    one, other = pooling(3), pooling(3)
    one.fit(train, held_out, max_epochs=1)
    other.fit(train, far, max_epochs=1)
    some = sequences(5, seed=2)
    np.testing.assert_array_equal(one.predict(some), other.predict(some))


def test_saved_and_loaded_it_gives_the_same_scores(tmp_path):
    model, some = pooling(3), sequences(5, seed=2)
    model.fit(sequences(), None, epochs=2)
    model.save(tmp_path)
    loaded = load_model(tmp_path)
    np.testing.assert_array_equal(loaded.predict(some), model.predict(some))
    np.testing.assert_array_equal(loaded.encode(some), model.encode(some))


def test_a_clip_of_another_width_is_told_by_name():
    model = pooling(3)
    model.fit(sequences(), None, epochs=1)
    with pytest.raises(EmofuseError, match="Clip 'c0': expected 'frames' vectors of 6 numbers, but got an array"):
        model.predict(sequences(2, width=4))


def test_without_whitening_it_is_the_familys_own_model():
    context = Context(CLASSES, {"frames": (6,)})
    assert type(build_whitened(POOLING, POOLING.published[0], context, {})).__name__ == "TorchModel"
