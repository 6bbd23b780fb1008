import numpy as np
import pytest

from models.examples import Examples
from models.families.audio_svm import FAMILY
from models.family import Context
from models.svm import RbfSVM


def test_the_papers_points():
    kahou, guo = FAMILY.published
    assert (kahou["kernel"], guo["kernel"], guo["pca"]) == ("rbf", "linear", 1.0)
    assert kahou["pca"] < 1.0
    assert (FAMILY.inputs[0].default, FAMILY.inputs[0].level) == ("is10", "clip")


def test_hyperparameters_reach_the_machine():
    context = Context(("a", "b"), {"audio": (200,)}, seed=4)
    point = {"kernel": "rbf", "C": 2.0, "gamma": 0.5, "pca": 0.9, "class_weight": "balanced"}
    steps = FAMILY.build(point, context)._unfitted.named_steps
    assert isinstance(steps["svm"], RbfSVM)
    assert steps["svm"].get_params() == {"C": 2.0, "gamma": 0.5 / 200, "class_weight": "balanced"}
    assert steps["pca"].n_components == 0.9
    steps = FAMILY.build({**point, "kernel": "linear", "pca": 1.0}, context)._unfitted.named_steps
    assert "pca" not in steps
    assert (steps["svm"].C, steps["svm"].random_state) == (2.0 / 200, 4)


@pytest.mark.real_data
def test_real_speech_of_unheard_actors(real_data):
    from features.audio.functionals import SET
    from features.sets import Media

    files = sorted((real_data / "ravdess_audio").glob("Actor_*/*.flac"))
    fields = [path.stem.split("-") for path in files]
    actor = np.array([int(field[6]) for field in fields])
    X = [SET.extract(Media(path), {}).values[0] for path in files]
    y = np.array([int(field[2]) - 1 for field in fields])
    classes = tuple("12345678")
    clips = Examples(tuple(p.stem for p in files), {"audio": X}, classes, y, tuple(map(str, actor)))
    for point in FAMILY.published:
        model = FAMILY.build(point, Context(classes, {"audio": X[0].shape}))
        train, test = (clips.subset(np.flatnonzero(side)) for side in (actor <= 12, actor > 12))
        metrics = model.fit(train, test).metrics
        assert metrics["accuracy"] > 0.53  # IS10 and an untuned linear machine: .492
        assert metrics["log_loss"] < 1.4
