"""A torch network as a model: saving, loading, misuse."""

import numpy as np
import pytest
import torch

from features.errors import EmofuseError, WrongUse
from features.files import read_json, write_json
from models.examples import Examples
from models.families import temporal_pooling
from models.family import Context
from models.io import load_model
from models.training import network
from models.training.network import Standardise, last_step, max_step, mean_step
from models.training.rows import InMemory

CLASSES = ("a", "b")
POINT = {**temporal_pooling.FAMILY.published[0], "hidden": 64}


def examples(y=(0, 1, 0), classes=CLASSES):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(t, 4)).astype(np.float32) for t in (2, 5, 1)]
    return Examples(("c0", "c1", "c2"), {"frames": arrays}, classes, None if y is None else np.array(y))


def model():
    return temporal_pooling.build(POINT, Context(CLASSES, {"frames": (4,)}, seed=7))


@pytest.fixture
def saved(tmp_path):
    fitted = model()
    fitted.fit(examples(), None, epochs=2)
    fitted.save(tmp_path)
    return tmp_path


def test_the_description_tells_all_that_loading_needs(saved):
    assert read_json(saved / "model.json", "") == {
        "family": "temporal_pooling",
        "version": 1,
        "hyperparameters": POINT,
        "classes": ["a", "b"],
        "seed": 7,
        "shapes": {"frames": [4]},
    }
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "model.safetensors"]


def test_loading_tells_what_is_wrong(saved):
    with pytest.raises(EmofuseError, match="no such file, expected a saved model's description"):
        load_model(saved / "nowhere")
    description = read_json(saved / "model.json", "")
    write_json(saved / "model.json", {**description, "family": "temporal_poling"})
    with pytest.raises(WrongUse, match="Did you mean 'temporal_pooling'"):
        load_model(saved)
    write_json(saved / "model.json", {**description, "hyperparameters": {**POINT, "hidden": 128}})
    with pytest.raises(EmofuseError, match=r"expected the weights of a temporal_pooling model, but .*size mismatch"):
        load_model(saved)
    write_json(saved / "model.json", description)
    (saved / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(EmofuseError, match="expected the weights of a temporal_pooling model, but "):
        load_model(saved)


def test_misuse_is_told():
    with pytest.raises(EmofuseError, match="This temporal_pooling model has no weights yet: fit or load it first"):
        model().predict(examples())
    with pytest.raises(EmofuseError, match="These clips carry no labels, but training needs them"):
        model().fit(examples(y=None), None, epochs=1)
    with pytest.raises(EmofuseError, match="labelled with the classes a, b in this order, but got b, a"):
        model().fit(examples(classes=("b", "a")), None, epochs=1)


def test_unlabelled_clips_are_scored(saved):
    assert load_model(saved).predict(examples(y=None)).shape == (3, 2)


def test_fitting_again_starts_anew():
    once, twice = model(), model()
    once.fit(examples(), None, epochs=2)
    for _ in range(2):
        twice.fit(examples(), None, epochs=2)
    np.testing.assert_array_equal(once.predict(examples()), twice.predict(examples()))


def test_standardising_is_learnt_on_the_fit_rows_alone():
    fitted = model()
    fitted.fit(examples(), None, epochs=1)
    frames = np.concatenate(examples().inputs["frames"])
    scaler = fitted.network.scalers["frames"]
    np.testing.assert_allclose(scaler.mean, frames.mean(0), atol=1e-6)
    np.testing.assert_allclose(scaler.std, frames.std(0), atol=1e-6)


def test_a_constant_feature_becomes_zero():
    values = torch.tensor([[3.3e4, 1.0], [3.3e4, 2.0]])
    scaler = Standardise((2,))
    scaler.fit(InMemory(values))
    np.testing.assert_allclose(scaler(values), [[0, -1], [0, 1]], atol=1e-6)


@pytest.mark.parametrize("steps", [1, 3, 7, 100])
def test_moments_do_not_depend_on_the_pieces(monkeypatch, steps):
    monkeypatch.setattr(network, "_PIECE", 2 * steps)
    values = 1e4 + np.random.default_rng(0).normal(size=(53, 2))
    scaler = Standardise((2,))
    scaler.fit(InMemory(torch.tensor(values)))
    np.testing.assert_allclose(scaler.mean, values.mean(0), rtol=1e-7)
    np.testing.assert_allclose(scaler.std, values.std(0), rtol=1e-6)


def test_pooling_sees_valid_steps_alone():
    states = torch.tensor([[[1.0], [-3.0], [99.0]], [[-2.0], [-4.0], [-6.0]]])
    lengths = torch.tensor([2, 3])
    assert last_step(states, lengths).tolist() == [[-3], [-6]]
    assert mean_step(states, lengths).tolist() == [[-1], [-4]]
    assert max_step(states, lengths).tolist() == [[1], [-2]]
