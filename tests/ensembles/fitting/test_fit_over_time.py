"""Ensembles of continuous emotion: fitted, estimated, stored, shown, and predicted with again."""

import json

import numpy as np
import pytest
from tracks import DIMENSIONS, small_run, write
from typer.testing import CliRunner

import emofuse
from ensembles.cli.app import ensemble_app
from ensembles.continuous.evaluate import evaluate
from ensembles.continuous.run import read_continuous_run
from ensembles.fitting.advice import alone, single_of
from ensembles.fitting.fit_over_time import fit_over_time, nested_over_time
from ensembles.fitting.options import FitOptions
from ensembles.fitting.selection import make_selection
from ensembles.fitting.store import fit_and_store
from ensembles.records.stored import open_ensemble, read_ensemble, write_ensemble
from features.errors import EmofuseError, WrongUse
from models.concordance import concordance


@pytest.fixture
def run(tmp_path):
    return small_run(tmp_path)


def names(ensemble):
    return [member.name for member in ensemble.members]


def invoke(*words):
    told = CliRunner().invoke(ensemble_app, [str(word) for word in words])
    assert told.exit_code == 0, (told.output, told.exception)
    return told.stdout


def test_scores_are_those_of_the_evaluation(run):
    options = FitOptions("concordance", name="both", folds=3, params={"recalibrate": True})
    ensemble = fit_and_store(run, options, test=True)
    found = read_continuous_run(run)
    expected = evaluate(found.recordings, 3, recalibrate=True)
    for who, ours in (("fusion", "ensemble"), ("best_single", "best_single"), ("average", "candidates_average")):
        for one in expected.dimensions:
            nested = ensemble.scores[ours]["nested"]
            assert nested.metrics[f"ccc_{one.dimension}"] == pytest.approx(one.scores[who].nested)
            assert nested.intervals[f"ccc_{one.dimension}"].low == pytest.approx(one.scores[who].interval.low)
    mean = np.mean([one.scores["fusion"].nested for one in expected.dimensions])
    assert ensemble.scores["ensemble"]["nested"].metrics["ccc"] == pytest.approx(mean)
    assert (ensemble.scores["ensemble"]["nested"].n_clips, ensemble.scores["ensemble"]["nested"].n_groups) == (6, 6)
    assert ensemble.over_time.gains["valence"].difference == pytest.approx(expected.dimensions[1].against_single)
    assert ensemble.over_time.scale == pytest.approx([one.scale for one in expected.dimensions])
    assert (ensemble.metric, ensemble.classes, ensemble.outputs) == ("ccc", (), DIMENSIONS)
    assert ensemble.over_time.step_s == pytest.approx(0.1)
    np.testing.assert_allclose(nested_over_time(found, ensemble).shape, (len(found.recordings.Y), 2))


def test_it_is_kept_with_its_record(run):
    ensemble = fit_and_store(run, FitOptions("auto", folds=3), test=True)
    stored = open_ensemble(run, "auto")
    assert (stored.scores, stored.over_time, stored.members) == (ensemble.scores, ensemble.over_time, ensemble.members)
    np.testing.assert_allclose(stored.weights, ensemble.weights)
    P = np.random.default_rng(0).normal(size=(len(stored.members), 5, 2))
    fused = stored.predict_over_time(P, np.ones(P.shape, bool))
    expected = np.einsum("md,mtd->td", stored.weights, P) * stored.over_time.scale + stored.over_time.offset
    np.testing.assert_allclose(fused, expected)


def test_the_test_recordings_are_scored_by_the_members_as_searched(run):
    ensemble = fit_over_time(run, FitOptions("uniform"), test=True)
    found = read_continuous_run(run)
    own = [np.mean([t.tracks[-1].p for t in found.trials[name]], axis=0) for name in names(ensemble)]
    y = found.trials[names(ensemble)[0]][0].tracks[-1].y
    fused = np.mean(own, axis=0)[3:]
    scores = ensemble.scores["ensemble"]["test"]
    assert scores.metrics["ccc_arousal"] == pytest.approx(concordance(y[3:, 0], fused[:, 0]), abs=1e-6)
    assert "test" in ensemble.scores["best_single"] and scores.n_clips == 1 and not scores.intervals


def test_no_test_labels_are_told_before_the_fit(tmp_path):
    write(tmp_path, "a", "train", (1, 2), 0.2, test=False)
    with pytest.raises(EmofuseError, match="No test recording has annotations, so nothing can be scored on them"):
        fit_over_time(tmp_path, FitOptions("uniform"), test=True)
    assert fit_over_time(tmp_path, FitOptions("uniform")).scores["ensemble"].keys() == {"fit", "nested"}


def test_windows_entries_and_members_can_be_chosen(run):
    for seed, held_out in enumerate([(0, 1, 2), (3, 4, 5)]):
        write(run, "a", f"fold-{seed}-of-2", held_out, 0.3, seed=seed, window=4)

    def members(selection=None, **where):
        options = FitOptions("uniform", selection=selection or make_selection(), where=where)
        return names(fit_over_time(run, options))

    assert members() == ["a/configa40000", "a/configa80000", "b/configb80000"]
    assert members(window=4) == ["a/configa40000"]
    assert members(window=8) == ["a/configa80000", "b/configb80000"]
    assert members(make_selection(["b"])) == ["b/configb80000"]
    assert members(make_selection(per_entry=1)) == ["a/configa80000", "b/configb80000"], "the better one"
    assert members(make_selection(members=["a/configa4"])) == ["a/configa40000"]
    with pytest.raises(WrongUse, match="No member has window=5: window is 4, 8"):
        members(window=5)
    with pytest.raises(WrongUse, match="No member has windows=4: windows is no hyperparameter of any"):
        members(windows=4)
    with pytest.raises(WrongUse, match="Unknown entry 'c'"):
        members(make_selection(["c"]))
    with pytest.raises(WrongUse, match="No member is left by what --entry and --where ask for together"):
        members(make_selection(["b"]), window=4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (FitOptions("decision"), "Unknown method for continuous emotion 'decision'"),
        (FitOptions("uniform", params={"bagged": 2}), "Unknown parameter of uniform for continuous emotion 'bagged'"),
        (FitOptions("auto", params={"bagged": True}), "Parameter bagged expects a number of samples, but got True"),
        (FitOptions("auto", params={"shrunk": 1}), "Parameter shrunk expects true or false, but got 1"),
        (FitOptions("auto", metric="macro_f1"), "fitted by CCC; leave the metric 'macro_f1' out"),
        (FitOptions("auto", repeats=2), "The estimate of continuous emotion is made once: leave --repeats out"),
        (FitOptions("auto", task="continuous"), "Unknown task 'continuous'"),
    ],
)
def test_mistakes_are_told(run, options, told):
    with pytest.raises(WrongUse, match=told):
        fit_and_store(run, options)


def test_one_group_has_no_estimate(tmp_path):
    write(tmp_path, "a", "train", (1,), 0.2)
    ensemble = fit_over_time(tmp_path, FitOptions("concordance"))
    assert ensemble.verdict == "There is no nested estimate: all held-out recordings belong to one group."
    assert set(ensemble.scores["ensemble"]) == {"fit"} and not ensemble.over_time.gains


def test_the_best_single_members_as_an_ensemble(run):
    ensemble = fit_over_time(run, FitOptions("uniform", folds=3))
    assert not alone(ensemble) and alone(fit_over_time(run, FitOptions("best", folds=3)))
    single = single_of(ensemble, run)
    assert names(single) == ["a/configa80000"] and single.weights.tolist() == [[1, 1]]
    assert single.scores["ensemble"] == ensemble.scores["best_single"]
    assert single.verdict == f"The best single member of ensemble {ensemble.name}, exported alone."
    with pytest.raises(WrongUse, match="is recalibrated, and its best single member for itself; fit that alone"):
        single_of(fit_over_time(run, FitOptions("uniform", params={"recalibrate": True})), run)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"over_time": {"dimensions": ["arousal", "arousal"]}}, "one or more different dimensions"),
        ({"over_time": {"scale": [1.0]}}, "with a scale, an offset, a mean label and a best single member for each"),
        ({"over_time": {"scale": [-1.0, 1.0]}}, "finite numbers, with scales above 0 and a step_s of 0.001 or more"),
        ({"over_time": {"step_s": 1e-9}}, "finite numbers, with scales above 0 and a step_s of 0.001 or more"),
        ({"weights": [[1.0]]}, "non-negative weights of shape"),
        ({"classes": ["x"]}, "two or more different classes"),
        ({"members": []}, "one or more members"),
    ],
)
def test_a_record_that_cant_be_is_refused(run, tmp_path, change, told):
    path = tmp_path / "ensemble.json"
    write_ensemble(fit_over_time(run, FitOptions("uniform")), path)
    data = json.loads(path.read_text())
    del data["content_sha256"]
    inner = change.pop("over_time", {})
    path.write_text(json.dumps({**data, **change, "over_time": {**data["over_time"], **inner}}))
    with pytest.raises(EmofuseError, match=told):
        read_ensemble(path)


def test_the_commands_show_it(run, tmp_path):
    told = invoke("fit", run, "--folds", "3", "--name", "both", "--test", "--where", "window=8")
    assert "CCC on 6 held-out recordings of 6 groups" in told and "honest estimate (nested)" in told
    assert "on recordings that had no part in choosing" in " ".join(told.split())
    board = invoke("leaderboard", run, "--csv", tmp_path / "board.csv")
    assert "Ensembles, mean CCC" in board and "both" in board
    header, *rows = (tmp_path / "board.csv").read_text().splitlines()
    assert [row.replace('"', "").split(",")[:2] for row in rows] == [
        ["member", "a/configa80000"],
        ["member", "b/configb80000"],
        ["ensemble", "both"],
    ]
    assert {"ccc", "ccc_arousal", "fit_ccc_valence_low"} <= set(header.replace('"', "").split(","))
    data = json.loads(invoke("leaderboard", run, "--json"))["continuous"]
    assert [one["name"] for one in data["ensembles"]] == ["both"]


def test_its_predictions_are_written_for_the_organisers(run, tmp_path):
    ensemble = emofuse.open_run(run).fit("uniform", name="both")
    invoke("predictions", run, "both", "--split", "test", "--format", "avec2019", "-o", tmp_path / "dev")
    lines = (tmp_path / "dev" / "r9.csv").read_text().splitlines()
    assert lines[0] == "name;timestamp;arousal;valence" and len(lines) == 1 + 49
    found = read_continuous_run(run)
    own = [np.mean([t.tracks[-1].p for t in found.trials[name]], axis=0) for name in ensemble.members]
    first = [float(value) for value in lines[1].split(";")[2:]]
    np.testing.assert_allclose(first, np.mean(own, axis=0)[0], atol=1e-5)
    invoke("predictions", run, "both", "--split", "validation", "-o", tmp_path / "val.csv")
    assert len((tmp_path / "val.csv").read_text().splitlines()) == 1 + sum(40 + n for n in range(6))
