"""An ensemble as an object: what it shows, fuses, refits and exports."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from small_world import message

import emofuse as ef
from features.errors import EmofuseError, WrongUse


@pytest.fixture(autouse=True)
def _inside(world, monkeypatch):
    monkeypatch.chdir(world.folder)


def test_it_shows_scores_the_nested_estimate_and_weights(world):
    ensemble = world.run.ensemble("best")
    console = Console(record=True, width=120)
    console.print(ensemble)
    for text in (repr(ensemble), console.export_text(), ensemble._repr_html_()):
        for part in ("honest", "(nested)", "single member", "plain average", "happy", *ensemble.members):
            assert part in text
        assert ensemble.verdict in " ".join(text.split())
    assert ensemble._repr_html_().count("<table") == 2


def test_html_of_a_name_is_text():
    P = np.array([[[0.9, 0.1], [0.2, 0.8]]])
    shown = ef.fit(P, [0, 1], method="uniform", members=["<script>"])._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_predictions_are_those_of_its_members_weighted(world):
    ensemble = world.run.ensemble("best")
    held_out, test = ensemble.predictions(), ensemble.predictions("test")
    wide = world.run.predictions("validation").pivot(index="sample_id", columns="model", values="p_happy")
    expected = (wide[list(ensemble.members)] * ensemble.weights["happy"]).sum(axis=1)
    np.testing.assert_allclose(held_out["p_happy"], expected, rtol=1e-6)
    right = (held_out["label"] == held_out["prediction"]).mean()
    assert right == ensemble.scores.loc[("ensemble", "fit"), "accuracy"]
    assert len(test) == 4 and "label" not in test
    assert "not 'train'" in message(ensemble.predictions, "train", error=WrongUse)


def test_from_refit_to_the_classes_of_new_files(world, tmp_path):
    ensemble = world.run.ensemble("best")
    assert "not refitted on train and val yet" in message(world.run.fit("uniform", name="raw").export, tmp_path / "b")
    refitted = ensemble.refit(test=True, in_process=True)
    assert world.run.ensemble("best").scores.equals(refitted.scores)
    assert refitted.predictions("test", refitted=True).shape == (4, 4)
    bundle = ef.load(refitted.export(tmp_path / "bundle", anyway=True))
    assert bundle.ensemble.members == refitted.members and "2 members, classes angry, happy" in repr(bundle)
    table = bundle.predict(["a.mp4", "gone.mp4", "b.mp4"])
    assert table["label"].tolist() == ["happy", None, "angry"]
    assert table.loc["a.mp4", ["p_angry", "p_happy"]].sum() == pytest.approx(1)
    assert table["reason"].tolist() == [None, "missing: no such file: gone.mp4", None]
    assert bundle.predict("a.mp4").index.tolist() == ["a.mp4"]
    assert bundle.predict([]).empty


def test_settings_that_exclude_each_other(world):
    refit = world.run.ensemble("best").refit
    assert "--in-process trains in this process alone" in message(refit, in_process=True, cpus=2, error=WrongUse)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    P = rng.dirichlet([2, 2, 2], (4, 60))
    P[np.arange(4)[:, None], np.arange(60), y] += np.array([0.1, 0.3, 0.6, 0.9])[:, None]
    return P / P.sum(axis=2, keepdims=True), y, [f"speaker{n % 12}" for n in range(60)]


def test_own_arrays(arrays):
    P, y, groups = arrays
    ensemble = ef.fit(P, y, groups=groups, method="decision", draws=50)
    assert ensemble.weights.shape == (4, 3) and ensemble.classes == ("0", "1", "2")
    assert ensemble.scores.loc[("ensemble", "nested"), "n_groups"] == 12
    named = ef.fit(P, np.array(["a", "b", "c"])[y], groups=groups, method="decision", draws=50)
    assert named.classes == ("a", "b", "c")
    np.testing.assert_array_equal(named.weights.to_numpy(), ensemble.weights.to_numpy())
    fused = ensemble.predict_proba(P)
    assert (
        fused.shape == (60, 3)
        and (fused.argmax(axis=1) == y).mean() == ensemble.scores.loc[("ensemble", "fit"), "accuracy"]
    )


def test_arrays_are_left_as_they_were(arrays):
    P, y, groups = arrays
    P, valid = P.astype(np.float32), np.ones((4, 60), bool)
    valid[0, :5] = False
    before = P.copy()
    ef.fit(P, y, groups=groups, valid=valid, method="uniform")
    np.testing.assert_array_equal(P, before)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"y": [0, 1]}, r"Expected one label per clip, shape \(60,\), but got \(2,\)"),
        ({"y": [3] * 60}, "Expected labels from 0 to 2, but got 3"),
        ({"y": ["a", "b"] * 30}, "Expected 3 different classes, as P has scores of, but got 2: a, b"),
        ({"y": ["d"] * 60, "classes": ["a", "b", "c"]}, "Expected labels among a, b, c, but got"),
        ({"groups": ["g"]}, "Expected one group per clip, 60 of them, but got 1"),
        ({"members": ["a", "a", "b", "c"]}, "Expected 4 different names of members"),
        ({"P": np.full((4, 60, 3), 0.5)}, "sum to 1"),
        ({"method": "gredy"}, "Did you mean 'greedy'"),
    ],
)
def test_arrays_that_do_not_fit(arrays, change, told):
    P, y, groups = arrays
    given = {"P": P, "y": y, "groups": groups, "method": "uniform"} | change
    with pytest.raises(EmofuseError, match=told):
        ef.fit(given.pop("P"), given.pop("y"), **given)


def test_an_ensemble_of_arrays_has_no_run(arrays):
    P, y, groups = arrays
    ensemble = ef.fit(P, y, groups=groups, method="uniform")
    for do in (ensemble.refit, ensemble.predictions, lambda: ensemble.export("x")):
        assert "was fitted on arrays, so it has no run" in message(do, error=WrongUse)
    assert "Expected probabilities of 4 members over 3 classes, but got 3 over 3" in message(
        ensemble.predict_proba, P[:3], error=WrongUse
    )


def test_a_table_is_pandas(world):
    assert all(isinstance(t, pd.DataFrame) for t in (world.run.trials(), world.run.ensemble("best").weights))
