"""The plain mean of frame probabilities: what it computes, and what it refuses."""

import numpy as np
import pytest
from scipy.special import softmax

from features.errors import EmofuseError, WrongUse
from models.examples import Examples
from models.families.frame_average import FAMILY, class_order
from models.family import Context

CLASSES = ("angry", "happy", "sad")


def clips(n=5, classes=CLASSES):
    rng = np.random.default_rng(0)
    frames = [softmax(rng.normal(size=(t, 3)), axis=1).astype(np.float32) for t in rng.integers(1, 9, n)]
    return Examples(tuple(f"c{i}" for i in range(n)), {"frames": frames}, classes, np.arange(n) % 3)


def model(classes=CLASSES, width=3):
    return FAMILY.build({}, Context(classes, {"frames": (width,)}))


def test_scores_are_the_mean_over_frames():
    some = clips()
    expected = [frames.mean(0) for frames in some.inputs["frames"]]
    np.testing.assert_allclose(model().predict(some), expected, atol=1e-6)
    np.testing.assert_array_equal(model().encode(some), model().predict(some))


def test_fitting_learns_nothing_and_measures_the_held_out_clips():
    some, told = clips(), []
    unfitted, fitted = model(), model()
    result = fitted.fit(clips(3), some, epochs=7, report=lambda epoch, metrics: told.append((epoch, metrics)))
    np.testing.assert_array_equal(fitted.predict(some), unfitted.predict(some))
    assert (result.epochs, result.best_epoch) == (1, 1)
    assert result.metrics["accuracy"] == np.mean(fitted.predict(some).argmax(1) == some.y)
    assert told == [(1, result.metrics)]


def test_probabilities_of_few_digits_are_scaled_to_sum_one():
    some = clips()
    some.inputs["frames"][:] = [frames.round(3) for frames in some.inputs["frames"]]
    np.testing.assert_allclose(model().predict(some).sum(1), 1, atol=1e-6)


def test_frames_of_another_width_are_refused():
    with pytest.raises(WrongUse, match=r"each of the 3 classes \(angry, happy, sad\) .* but its frames hold 7 numbers"):
        model(width=7)


@pytest.mark.parametrize("bad, held", [([2.0, -1.0, 0.0], "-1 to 2 and 1 in sum"), ([0.9, 0.9, 0], "0 to 0.9 and 1.8")])
def test_frames_that_are_no_probabilities_are_refused_by_name_and_step(bad, held):
    some = clips()
    some.inputs["frames"][2] = np.array([[0.2, 0.3, 0.5], bad, [0.2, 0.3, 0.5]], np.float32)
    for work in (model().predict, model().encode, lambda examples: model().fit(examples, None)):
        with pytest.raises(EmofuseError, match=f"Clip 'c2': expected 'frames' of prob.* its step 1 holds {held}"):
            work(some)


def test_labels_are_needed_and_must_be_of_its_classes():
    with pytest.raises(EmofuseError, match="classes angry, happy, sad in this order, but got happy, angry, sad"):
        model().fit(clips(classes=("happy", "angry", "sad")), None)
    unlabelled = Examples(("a",), {"frames": [np.full((1, 3), 1 / 3, np.float32)]}, CLASSES)
    assert model().predict(unlabelled).shape == (1, 3)
    with pytest.raises(EmofuseError, match="carry no labels"):
        model().fit(unlabelled, None)


@pytest.mark.parametrize("columns", [("sad", "angry", "happy"), ("p_Sad", "p_Angry", "p_Happy")])
def test_columns_with_names_go_to_their_classes(columns, tmp_path):
    some, own = clips(), Context(CLASSES, {"frames": (3,)}, columns={"frames": columns})
    moved = Examples(some.ids, {"frames": [f[:, [2, 0, 1]] for f in some.inputs["frames"]]}, CLASSES, some.y)
    named = FAMILY.build({}, own)
    np.testing.assert_array_equal(named.predict(moved), model().predict(some))
    named.save(tmp_path)
    np.testing.assert_array_equal(FAMILY.load(tmp_path, "cpu").predict(moved), named.predict(moved))


@pytest.mark.parametrize("columns", [("f1", "f2", "f3"), ("p_angry", "p_happy", "p_fear")])
def test_columns_named_otherwise_are_refused(columns):
    told = f"angry, happy, sad, but those of its frames are {', '.join(columns)}; give it .* such as p_angry"
    with pytest.raises(WrongUse, match=told):
        FAMILY.build({}, Context(CLASSES, {"frames": (3,)}, columns={"frames": columns}))


def test_names_that_begin_alike():
    assert class_order(("very_happy", "very_sad"), ("very_sad", "very_happy")) == [1, 0]
    assert class_order(("low", "high"), ()) == [0, 1]


def test_a_hyperparameter_is_refused():
    with pytest.raises(WrongUse, match="'lr'"):
        FAMILY.build({"lr": 0.1}, Context(CLASSES, {"frames": (3,)}))


def test_saved_it_is_one_description(tmp_path):
    model().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
