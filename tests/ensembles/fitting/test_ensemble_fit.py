"""From a run folder to ensemble.json, and back."""

import re
from dataclasses import replace

import numpy as np
import pytest

from ensembles.comparison.compare import compare_ensembles
from ensembles.comparison.leaderboard import leaderboard, short
from ensembles.fitting.fit import fit_ensemble, fit_on, score_on_test
from ensembles.fitting.options import FitOptions
from ensembles.fitting.selection import NO_SELECTION, Selection
from ensembles.fusion import METHODS, DecisionFusion
from ensembles.predictions.sets import HeldOut, read_refits, read_run
from ensembles.records.ensemble import Ensemble
from ensembles.records.stored import ensemble_path, open_ensemble, read_ensemble, write_ensemble
from features.errors import EmofuseError, WrongUse
from features.files import read_json, write_json
from search.run.predictions import prediction_files, read_footer

QUICK = {"draws": 100, "sigma_min": 0.3}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_fits_a_run(write_run, method):
    params = QUICK if method == "decision" else {}
    e = fit_ensemble(write_run(lacking=0.1), FitOptions(method, params=params, selection=NO_SELECTION))
    assert (e.name, e.method, e.partitions, e.n_candidates) == (method, method, ("swap", "train"), 4)
    assert e.weights.shape == (len(e.members), 3) and e.weights.any(axis=1).all()
    np.testing.assert_allclose(e.weights.sum(axis=0), 1)
    assert set(e.scores["ensemble"]) == {"train", "fit", "nested"}
    assert e.scores["ensemble"]["fit"].n_clips == 64
    assert e.scores["ensemble"]["fit"].rows == "held-out clips of partition swap and train, which chose the weights"
    assert e.scores["ensemble"]["nested"].rows.endswith("each by weights fitted without its group")
    assert set(e.members[0].trials) == {"swap", "train"} and e.members[0].refit is None
    assert "best single member" in e.verdict


def test_stored_weights_give_the_scores_that_stand_beside_them(write_run):
    run = write_run(lacking=0.1)
    e = fit_ensemble(run, FitOptions("decision", params=QUICK), test=True)
    predictions = read_run(run)
    keys = [(m.entry, m.config_key) for m in predictions.held_out.members]
    chosen = [keys.index((m.entry, m.config_key)) for m in e.members]
    held_out, test = predictions.held_out.of_members(chosen), predictions.test.of_members(chosen)
    right = e.predict_proba(held_out.P, held_out.valid).argmax(axis=1) == held_out.y
    assert e.scores["ensemble"]["fit"].accuracy == right.mean()
    scored = test.score(e.predict_proba(test.P, test.valid))
    assert e.scores["ensemble"]["test"].accuracy == scored.accuracy
    assert e.scores["ensemble"]["test"].confusion == scored.confusion
    assert set(e.scores) == {"ensemble", "best_single", "uniform_average", "candidates_average"}
    assert all("test" in its for its in e.scores.values())


def test_test_rows_change_nothing_but_the_test_score(write_run, tmp_path):
    run = write_run()
    options = FitOptions("decision", params=QUICK)
    one, other = fit_ensemble(run, options), fit_ensemble(run, options, test=True)
    assert (one.weights == other.weights).all()
    assert one.scores["ensemble"] == {how: s for how, s in other.scores["ensemble"].items() if how != "test"}
    with pytest.raises(AttributeError):
        fit_on(read_run(run).test, FitOptions("decision"))


def test_refitted_members_are_scored_apart(write_run):
    run = write_run()
    e = fit_ensemble(run, FitOptions("uniform", selection=NO_SELECTION))
    with pytest.raises(EmofuseError, match=r"no test predictions of its member e0/"):
        score_on_test(e, read_refits(run, e.refits).test, "test_refit")
    write_run(partitions=("full",))
    keys = {f.config_key: f.trial_key for f in map(read_footer, prediction_files(run)) if f.partition == "full"}
    e = replace(e, members=tuple(replace(m, refit=keys[m.config_key]) for m in e.members))
    refits = read_refits(run, e.refits)
    scored = score_on_test(e, refits.test, "test_refit")
    assert scored.scores["ensemble"]["test_refit"].rows == "test clips, members refitted on train and val"


@pytest.mark.parametrize(
    ("stop", "note", "n_clips"),
    [
        (1, "Ctrl-C ended the search: the weights are the best so far, and there is no nested estimate.", None),
        (2, "Ctrl-C ended the nested estimate in its first fold: there is none.", None),
        (4, r"Ctrl-C ended the nested estimate after 2 of 5 fits: it holds for \d\d of 64 clips.", 30),
    ],
)
def test_ctrl_c_is_told(write_run, tmp_path, monkeypatch, stop, note, n_clips):
    run, fits, plain = write_run(), [], DecisionFusion._find_weights

    def interrupted(self, problem, groups):
        fits.append(1)
        weights = plain(self, problem, groups)
        self.interrupted_ = len(fits) == stop
        return weights

    monkeypatch.setattr(DecisionFusion, "_find_weights", interrupted)
    e = fit_ensemble(run, FitOptions("decision", params=QUICK))
    assert len(fits) == stop and re.fullmatch(note, e.note) and e.verdict.endswith(e.note)
    nested = e.scores["ensemble"].get("nested")
    assert (nested is None) == (n_clips is None)
    if nested is not None:
        assert 10 < nested.n_clips < 40 and e.against_single.n_clips == nested.n_clips
        assert {e.scores[who]["nested"].n_clips for who in e.scores} == {nested.n_clips}
    write_ensemble(e, tmp_path / "ensemble.json")
    assert read_ensemble(tmp_path / "ensemble.json").note == e.note
    fits.clear()
    with pytest.raises(KeyboardInterrupt):
        fit_on(read_run(run).held_out, FitOptions("decision", params=QUICK), whole=True)


def test_selection_is_part_of_the_fit(write_run):
    e = fit_ensemble(write_run(M=6), FitOptions("uniform", selection=Selection(per_entry=1, majority=False)))
    assert len(e.members) == 2 and {m.entry for m in e.members} == {"e0", "e1"}
    assert e.selection["per_entry"] == 1
    e = fit_ensemble(write_run(M=6), FitOptions("uniform", selection=Selection(entries=("e1",))))
    assert {m.entry for m in e.members} == {"e1"}


def test_one_group_has_no_estimate_and_says_so(write_run):
    held_out = read_run(write_run()).held_out
    alone = HeldOut(**{**vars(held_out), "groups": ("g",) * len(held_out.y)})
    e = fit_on(alone, FitOptions("greedy"))
    assert set(e.scores["ensemble"]) == {"fit"} and e.verdict == e.note
    assert e.note == "There is no nested estimate: all held-out clips belong to one group."


def test_round_trip(write_run, tmp_path):
    e = fit_ensemble(write_run(), FitOptions("decision", params=QUICK, name="mine"), test=True)
    path = ensemble_path(tmp_path, "mine")
    write_ensemble(e, path)
    back = read_ensemble(path)
    assert (back.weights == e.weights).all()
    for name in Ensemble.__dataclass_fields__:
        if name != "weights":
            assert getattr(back, name) == getattr(e, name), name
    assert open_ensemble(tmp_path, "mine").verdict == e.verdict


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 9}, "ensemble of schema version 9, but this emofuse reads version 2"),
        ({"members": [{"entry": "svm"}]}, r"members\[0\].config_key: this key is required.*; fit the ensemble again"),
        ({"weights": [[0.5, 0.5]]}, r"weights of shape \(4, 3\) \(members, classes or dim.* got \[\[0.5, 0.5"),
        ({"missing": "guess"}, "missing: expected 'share' or 'uniform', but got 'guess'; fit"),
    ],
)
def test_a_bad_file_is_told(write_run, tmp_path, change, message):
    path = tmp_path / "ensemble.json"
    write_ensemble(fit_ensemble(write_run(), FitOptions("uniform", selection=NO_SELECTION)), path)
    write_json(path, read_json(path, "") | change)
    with pytest.raises(EmofuseError, match=message):
        read_ensemble(path)


def test_bad_requests(write_run):
    run = write_run()
    with pytest.raises(WrongUse, match=r"Unknown fusion method 'desision'.*Did you mean 'decision'"):
        fit_ensemble(run, FitOptions("desision"))
    with pytest.raises(WrongUse, match=r"no trial was made on partition 'fold-0-of-4'"):
        fit_ensemble(run, FitOptions("decision", partitions=["fold-0-of-4"]))
    with pytest.raises(WrongUse, match=r"An ensemble's name has letters.*but got '\.\./x'"):
        ensemble_path(run, "../x")
    with pytest.raises(WrongUse, match=r"Unknown ensemble of .* 'mine': known are none"):
        open_ensemble(run, "mine")


def test_compare(write_run):
    run = write_run(N=160)
    average = fit_ensemble(run, FitOptions("uniform", selection=NO_SELECTION))
    single = fit_ensemble(run, FitOptions("best", selection=NO_SELECTION))
    nested = compare_ensembles(run, average, single)
    assert nested.n_clips == 128 and nested.first == average.scores["ensemble"]["nested"].accuracy
    assert nested.difference == pytest.approx(nested.first - nested.second)
    on_test = compare_ensembles(run, average, single, test=True)
    assert on_test.n_clips == 32
    assert compare_ensembles(run, average, average).difference == 0
    other = fit_ensemble(run, FitOptions("uniform", partitions=["train"]))
    with pytest.raises(WrongUse, match=r"a comparison needs the same clips"):
        compare_ensembles(run, average, other)


def test_leaderboard(write_run, tmp_path):
    run = write_run(lacking=0.1)
    write_ensemble(fit_ensemble(run, FitOptions("greedy")), ensemble_path(run, "greedy"))
    write_ensemble(fit_ensemble(run, FitOptions("uniform")), ensemble_path(run, "uniform"))
    board = leaderboard(run)
    accuracies = [row.accuracy for row in board.members]
    assert accuracies == sorted(accuracies, reverse=True) and len(accuracies) == 4
    assert all(row.test_accuracy is None for row in board.members)
    assert board.members[0].epochs == 7 and 0.7 < board.members[0].coverage < 1
    assert [e.name for e in board.ensembles] in (["greedy", "uniform"], ["uniform", "greedy"])
    assert all(row.test_accuracy is not None for row in leaderboard(run, test=True).members)
    first, second = leaderboard(run, test=True, intervals=1).members[:2]
    assert first.interval.low < first.accuracy < first.interval.high and first.test_interval
    assert second.interval is None and second.test_interval is None


def test_hyperparameters_on_one_line():
    assert short({"lr": 0.00012345, "hidden": 64, "kind": "rbf"}) == "hidden=64, kind=rbf, lr=0.000123"


@pytest.mark.parametrize("method", ["best", "greedy", "stacking"])
def test_a_plain_average_is_over_the_same_members_wherever_it_is_measured(write_run, method):
    run = write_run(M=6, lacking=0.1)
    e = fit_ensemble(run, FitOptions(method, selection=NO_SELECTION), test=True)
    held_out = read_run(run).held_out
    alone = fit_ensemble(run, FitOptions("uniform", selection=NO_SELECTION), test=True).scores["ensemble"]
    assert e.candidates == tuple(member.name for member in held_out.members)
    for how in ("fit", "nested", "test"):
        assert e.scores["candidates_average"][how].metrics == alone[how].metrics
    if method == "best":  # an ensemble of one member, whichever that is in a fold
        assert e.scores["uniform_average"]["nested"].accuracy == e.scores["ensemble"]["nested"].accuracy
        assert e.scores["uniform_average"]["fit"].metrics == e.scores["ensemble"]["fit"].metrics
    if method == "stacking":
        assert e.scores["uniform_average"] == e.scores["candidates_average"]


def test_an_ensemble_of_the_first_schema_is_read(write_run, tmp_path):
    path = tmp_path / "ensemble.json"
    e = fit_ensemble(write_run(), FitOptions("greedy"), test=True)
    write_ensemble(e, path)
    old = read_json(path, "")
    del old["candidates"]
    of_members, of_all = (old["scores"].pop(f"{who}_average") for who in ("uniform", "candidates"))
    old["scores"]["uniform_average"] = of_members | {"nested": of_all["nested"]}
    write_json(path, old | {"schema_version": 1})
    back = read_ensemble(path)
    assert back.scores["uniform_average"] == {
        how: m for how, m in e.scores["uniform_average"].items() if how != "nested"
    }
    assert back.scores["candidates_average"] == {"nested": e.scores["candidates_average"]["nested"]}
    assert (back.weights == e.weights).all() and back.verdict == e.verdict and back.candidates == ()


@pytest.mark.parametrize("metric", ["unweighted_accuracy", "macro_f1", "log_loss", "macro_average_precision"])
def test_every_metric_has_its_estimate_interval_and_verdict(write_run, tmp_path, metric):
    e = fit_ensemble(write_run(), FitOptions("greedy", metric=metric, selection=NO_SELECTION), test=True)
    for how in ("fit", "nested", "test"):
        measured = e.scores["ensemble"][how]
        assert measured.intervals[metric].low < measured.metrics[metric] < measured.intervals[metric].high
    c = e.against_single
    assert (e.metric, c.metric) == (metric, metric) and c.interval.low < c.difference < c.interval.high
    assert f"{metric} " in e.verdict and ("%" in e.verdict) == (metric != "log_loss")
    better = c.difference < 0 if metric == "log_loss" else c.difference > 0
    assert e.no_better == (not better) == ("does not beat" in e.verdict)
    write_ensemble(e, tmp_path / "ensemble.json")
    back = read_ensemble(tmp_path / "ensemble.json")
    assert (back.metric, back.scores, back.against_single) == (e.metric, e.scores, e.against_single)
    again = compare_ensembles(tmp_path, e, e)
    assert again.difference == 0
