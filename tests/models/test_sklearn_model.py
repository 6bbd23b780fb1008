import json

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler

from features.errors import EmofuseError
from models.examples import Examples
from models.families.audio_svm import FAMILY
from models.family import Context
from models.metrics import held_out_metrics

CLASSES = ("angry", "calm", "happy", "sad")
CONTEXT = Context(CLASSES, {"audio": (5,)}, seed=3)


def clips(labels, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.array(labels)
    X = (np.eye(4, 5)[y] * 2 + rng.normal(0, noise, (len(y), 5))).astype(np.float32)
    return Examples(tuple(f"c{i}" for i in range(len(y))), {"audio": list(X)}, CLASSES, y)


@pytest.fixture(params=["rbf", "linear"])
def model(request):
    point = {**FAMILY.published[0], "kernel": request.param, "pca": 1.0}
    return FAMILY.build(point, CONTEXT)


def test_fit_tells_the_held_out_metrics_once(model):
    told, held_out = [], clips([0, 1, 2, 3] * 5, noise=1.0, seed=1)
    result = model.fit(clips([0, 1, 2, 3] * 10, noise=1.0), held_out, report=lambda *args: told.append(args))
    assert (result.epochs, result.best_epoch) == (1, 1)
    assert result.metrics == held_out_metrics(model.predict(held_out), held_out.y)
    assert told == [(1, result.metrics)]
    assert result.curve == ({"epoch": 1, **result.metrics},)


def test_a_refit_needs_no_held_out_clips(model):
    assert model.fit(clips([0, 1, 2, 3] * 4), None, epochs=1).metrics == {}


def test_a_class_without_training_clips_has_probability_0_in_its_own_column(model):
    model.fit(clips([0, 3] * 6), None)
    p = model.predict(clips([0, 3, 3]))
    assert p.shape == (3, 4)
    assert (p[:, 1:3] == 0).all()
    assert p.argmax(1).tolist() == [0, 3, 3]
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 2], [0, 1], [0, 1, 2, 3, 3, 3, 3]])
def test_classes_with_a_single_clip_are_learnt(model, labels):
    train = clips(labels, noise=0.05)
    model.fit(train, None)
    np.testing.assert_array_equal(model.predict(train).argmax(1), labels)


def test_rows_do_not_depend_on_the_batch(model):
    model.fit(clips([0, 1, 2, 3] * 10), None)
    some = clips([2, 1, 0, 3] * 20, seed=5)
    alone = np.concatenate([model.predict(some.subset([i])) for i in range(len(some))])
    np.testing.assert_allclose(model.predict(some), alone, atol=1e-6)


def test_confidence_follows_the_noise(model):
    model.fit(clips([0, 1, 2, 3] * 30, noise=0.3), None)
    sure = model.predict(clips([0, 1, 2, 3] * 10, noise=0.3, seed=1)).max(1).mean()
    model.fit(clips([0, 1, 2, 3] * 30, noise=2.5), None)
    unsure = model.predict(clips([0, 1, 2, 3] * 10, noise=2.5, seed=1)).max(1).mean()
    assert unsure < 0.7 < 0.9 < sure


def test_encodings_are_what_the_machine_sees(model):
    train = clips([0, 1, 2, 3] * 10)
    model.fit(train, None)
    encoded = model.encode(train)
    assert encoded.shape == (40, 5)
    np.testing.assert_allclose(encoded.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(encoded.std(0), 1, atol=1e-3)


def test_refusals_say_what_came_and_what_to_do(model):
    with pytest.raises(EmofuseError, match=r"audio_svm model is not fitted yet: fit or load it first"):
        model.predict(clips([0]))
    with pytest.raises(EmofuseError, match=r"at least two classes, but all 3 are 'calm'"):
        model.fit(clips([1, 1, 1]), None)
    with pytest.raises(EmofuseError, match=r"at least one clip, but got none"):
        model.fit(clips([0, 1]).subset([]), None)
    with pytest.raises(EmofuseError, match=r"classes angry, calm, happy, sad in this order, but got b, a"):
        model.fit(Examples(("x",), {"audio": [np.zeros(5)]}, ("b", "a"), np.zeros(1, int)), None)
    bad = clips([0, 1, 2])
    bad.inputs["audio"][1] = np.zeros(4, np.float32)
    with pytest.raises(EmofuseError, match=r"Clip 'c1': expected one or more 'audio' steps of shape \(5,\).*\(4,\)"):
        model.fit(bad, None)
    bad.inputs["audio"][1] = np.full(5, np.nan, np.float32)
    with pytest.raises(EmofuseError, match=r"Clip 'c1': its 'audio' features hold NaN"):
        model.fit(bad, None)
    with pytest.raises(EmofuseError, match=r"features for input 'audio', but got those for faces"):
        model.fit(Examples(("x",), {"faces": [np.zeros(5)]}, CLASSES, np.zeros(1, int)), None)


def test_saved_files_are_skops_and_json(model, tmp_path):
    model.fit(clips([0, 1, 2, 3] * 5), None)
    model.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "pipeline.skops"}
    config = json.loads((tmp_path / "model.json").read_text())
    assert (config["family"], config["version"], config["classes"]) == ("audio_svm", 1, list(CLASSES))
    assert config["shapes"] == {"audio": [5]} and config["hyperparameters"] == model.hyperparameters
    some = clips([3, 2, 1], seed=2)
    np.testing.assert_array_equal(FAMILY.load(tmp_path, "cpu").predict(some), model.predict(some))


def test_a_file_with_foreign_types_is_refused(model, tmp_path):
    model.fit(clips([0, 1, 2, 3] * 5), None)
    model.save(tmp_path)
    path = tmp_path / "pipeline.skops"

    def evil(x):
        return x

    skops.io.dump({"f": evil}, path)
    with pytest.raises(EmofuseError, match=r"skops: refused, because it holds types that no audio_svm model has"):
        FAMILY.load(tmp_path, "cpu")
    skops.io.dump(RandomForestClassifier(), path)
    with pytest.raises(EmofuseError, match=r"no audio_svm model has \(sklearn.ensemble._forest.RandomForestClassifier"):
        FAMILY.load(tmp_path, "cpu")
    skops.io.dump(StandardScaler(), path)
    with pytest.raises(EmofuseError, match=r"Pipeline of scale \(StandardScaler\) and limit .*, but it holds a S"):
        FAMILY.load(tmp_path, "cpu")
    path.write_bytes(b"no zip")
    with pytest.raises(EmofuseError, match=r"expected a saved audio_svm model, but it can't be read"):
        FAMILY.load(tmp_path, "cpu")
    path.unlink()
    with pytest.raises(EmofuseError, match=r"expected a saved audio_svm model, but it can't be read"):
        FAMILY.load(tmp_path, "cpu")
