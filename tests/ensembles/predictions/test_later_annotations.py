"""Labels over time that the organisers give later score as those of the clip table, and nothing is fitted on them."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from tracks import DIMENSIONS, small_run, track, write
from typer.testing import CliRunner

from ensembles.cli.app import ensemble_app
from ensembles.comparison.compare_over_time import compare_over_time
from ensembles.continuous.run import read_continuous_run
from ensembles.predictions.later_annotations import TestAnnotations
from ensembles.predictions.later_labels import read_test_labels
from ensembles.records.stored import open_ensemble
from ensembles.report.page import write_report
from features.errors import EmofuseError, WrongUse
from search.run.continuous_predictions import read_continuous_predictions, write_continuous_predictions
from search.run.predictions import prediction_files

METHODS = ("concordance", "uniform")


def gold():
    """What the test recording of tracks.py is labelled with; its first three moments have no label."""
    one = track(9, "test", 0.0, np.random.default_rng(0))
    return one.time_s[3:], one.y[3:]


def as_table(path, **changes):
    time_s, y = gold()
    columns = {"clip_id": ["r9"] * len(y), "time_s": time_s, "arousal": y[:, 0], "valence": y[:, 1], **changes}
    table = pa.table({name: values for name, values in columns.items() if values is not None})
    (pq.write_table if path.suffix == ".parquet" else pa_csv.write_csv)(table, path)
    return path


def as_avec(folder):
    """The organisers' form of AVEC 2019, with a dimension that nobody learnt."""
    folder.mkdir()
    lines = [f"'r9';{t:.1f};{float(a)!r};{float(v)!r};0.5" for t, (a, v) in zip(*gold(), strict=True)]
    (folder / "r9.csv").write_text("\n".join(["name;time;arousal;valence;liking", *lines]))
    return folder


@pytest.fixture
def runs(tmp_path):
    """The same run twice: with the labels of its test recording, and without."""
    labelled, without = small_run(tmp_path / "labelled"), small_run(tmp_path / "without")
    for path in prediction_files(without):
        trial = read_continuous_predictions(path)
        tracks = [replace(t, y=t.y * np.nan) if t.role == "test" else t for t in trial.tracks]
        write_continuous_predictions(without, replace(trial, tracks=tuple(tracks)))
    return labelled, without


def invoke(*words):
    return CliRunner().invoke(ensemble_app, [str(word) for word in words], catch_exceptions=True)


@pytest.mark.parametrize("form", ["csv", "parquet", "avec"])
def test_later_labels_give_the_scores_of_labels_in_the_table(runs, tmp_path, form):
    labelled, without = runs
    file = as_avec(tmp_path / "gold") if form == "avec" else as_table(tmp_path / f"gold.{form}")
    look = read_test_labels(file)
    assert isinstance(look, TestAnnotations) and read_continuous_run(without, test=True).members[0].test == {}
    for one, other in zip(
        read_continuous_run(labelled, test=True).members, read_continuous_run(without, test=look).members, strict=True
    ):
        assert other.test == pytest.approx(one.test) and other.metrics == one.metrics


def test_every_command_that_shows_test_scores_takes_them(runs, tmp_path):
    labelled, without = runs
    later = ("--test", "--labels", as_table(tmp_path / "gold.csv"))
    for run, words in ((labelled, ("--test",)), (without, later)):
        assert invoke("fit", run, "--name", "one", *words).exit_code == 0
        assert invoke("fit", run, "--name", "two", "--method", "uniform").exit_code == 0
    one, other = (open_ensemble(run, "one").scores["ensemble"]["test"] for run in runs)
    assert other.metrics == pytest.approx(one.metrics) and other.intervals == one.intervals
    boards = [json.loads(invoke("leaderboard", without, *words, "--json").output) for words in ((), later)]
    two = {own["name"]: own for own in boards[1]["continuous"]["ensembles"]}["two"]
    assert "test" in two["scores"]["ensemble"] and boards[1]["continuous"]["members"][0]["test"]
    assert "test" not in {own["name"]: own for own in boards[0]["continuous"]["ensembles"]}["two"]["scores"]["ensemble"]
    told = [
        json.loads(invoke("compare", run, "one", "two", *words, "--json").output)["gains"]["ccc"]["difference"]
        for run, words in ((labelled, ("--test",)), (without, later))
    ]
    assert told[0] == pytest.approx(told[1])
    page = write_report(without, tmp_path / "r.html", test=read_test_labels(later[2])).read_text()
    assert f"{other.metrics['ccc_arousal']:.3f}" in page


def test_ensembles_of_continuous_emotion_are_compared_by_ccc(runs):
    run = runs[0]
    for method in METHODS:
        assert invoke("fit", run, "--name", method, "--method", method).exit_code == 0
    found = compare_over_time(run, *(open_ensemble(run, name) for name in METHODS))
    nested = {
        name: open_ensemble(run, name).scores["ensemble"]["nested"].metrics for name in ("concordance", "uniform")
    }
    for name in ("ccc", "ccc_arousal", "ccc_valence"):
        assert found.first[name] == pytest.approx(nested["concordance"][name])
        assert found.gains[name].difference == pytest.approx(nested["concordance"][name] - nested["uniform"][name])
        bounds = found.gains[name].interval
        assert bounds.low <= found.gains[name].difference <= bounds.high
    shown = invoke("compare", run, "concordance", "uniform").output
    assert "CCC on 6 held-out recordings" in shown and "valence" in shown and "mean" in shown
    methods = invoke("compare", run, "--method", "best", "--method", "auto").output
    assert "CCC ahead of the best single members" in methods and "+0.000" in methods
    assert "expects the names of two stored ensembles alone" in str(
        invoke("compare", run, "concordance", "uniform", "--method", "best").exception
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"valence": None}, "but valence is missing among arousal"),
        (
            {"clip_id": ["r8"] * 46},
            "'r8' is no test recording of the run; expected the id of one of its 1",
        ),
        (
            {"time_s": np.arange(46) + 100.0},
            "labels of 'r9' lie at 100 to 145 s, but it was predicted at other",
        ),
        ({"time_s": np.zeros(46)}, "recording 'r9' is labelled twice at one moment"),
        ({"arousal": ["high"] * 46}, "expected numbers in the columns time_s, arousal, valence"),
    ],
)
def test_wrong_labels_are_told(runs, tmp_path, changes, said):
    with pytest.raises(EmofuseError, match=said):
        read_continuous_run(runs[1], test=read_test_labels(as_table(tmp_path / "gold.csv", **changes)))


def test_labels_that_contradict_the_runs_or_are_of_another_kind_are_refused(runs, tmp_path):
    _, y = gold()
    look = read_test_labels(as_table(tmp_path / "gold.csv", arousal=y[:, 0] + 0.1))
    with pytest.raises(EmofuseError, match="'r9' is labelled otherwise than in the run's annotations"):
        read_continuous_run(runs[0], test=look)
    classes = tmp_path / "classes.csv"
    classes.write_text("clip_id,label\nr9,happy\n")
    told = invoke("fit", runs[1], "--test", "--labels", classes).exception
    assert isinstance(told, WrongUse) and "holds classes of clips, but the members learnt continuous emotion" in str(
        told
    )


def test_classes_are_not_scored_by_labels_over_time(tmp_path, write_run):
    told = invoke("leaderboard", write_run(), "--test", "--labels", as_table(tmp_path / "gold.csv")).exception
    assert isinstance(told, WrongUse) and "holds labels over time, but the members tell classes apart" in str(told)


def test_moments_get_the_nearest_label_at_most_half_a_step_away():
    look = TestAnnotations({"Test_01": (np.array([0.0, 0.1, 0.2]), np.array([[1.0], [2.0], [3.0]]))}, ("a",), "f")
    known = {"test/Test_01": (np.array([0.04, 0.12, 0.2, 0.3]), np.full((4, 1), np.nan))}
    found = look.labelled(known, ("a",))["test/Test_01"][:, 0]
    assert found[:3].tolist() == [1.0, 2.0, 3.0] and np.isnan(found[3])


def test_the_order_of_dimensions_is_the_runs(tmp_path):
    write(tmp_path, "a", "train", (0, 1, 2), 0.2, test=False)
    table = as_table(tmp_path / "gold.csv")
    swapped = tmp_path / "swapped.csv"
    pa_csv.write_csv(pa_csv.read_csv(table).select(["clip_id", "valence", "time_s", "arousal"]), swapped)
    one, other = (
        read_continuous_run(tmp_path, test=read_test_labels(file)).members[0].test for file in (table, swapped)
    )
    assert one == other and set(one) == {"ccc", "mse", *(f"ccc_{name}" for name in DIMENSIONS)}
