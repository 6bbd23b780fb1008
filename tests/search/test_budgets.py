"""Whole searches under a budget: stopped at checkpoints, continued by a larger one, killed in between."""

import json
import os
import random
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from small_world import CENTROID, FAMILIES, Centroid

import emofuse
from features.errors import WrongUse
from search.budget.parts import read_parts
from search.budget.worked import read_worked
from search.cluster.workers import Workers
from search.recipe.limits import Budget
from search.run.predictions import prediction_files, read_footer, read_predictions
from search.runner import run_search
from search.watch.status import read_status

STAGES = [{"stage": "clips", "entries": {"centroid": {"configurations": 4}}}]


class Slow(Centroid):
    """Takes 40 ms for an epoch."""

    def predict(self, examples):
        time.sleep(0.04)
        return super().predict(examples)


def _search(run, out=None, **budget):
    recipe = run.recipe.model_copy(update={"budget": run.recipe.budget.model_copy(update=budget)})
    return run_search(recipe, clips=run.clips, store=run.store, out=out or run.path, workers=Workers(in_process=True))


def _same(one, other):
    for path in prediction_files(one):
        twin = other / path.relative_to(one)
        np.testing.assert_array_equal(read_predictions(path).probabilities, read_predictions(twin).probabilities)


def test_a_number_of_trials_ends_a_search_with_whole_configurations_and_a_larger_one_goes_on(
    small_run, tmp_path, capfd
):
    run = small_run(partitions=["train", "swap"], stages=STAGES)
    status = _search(run, trials=5)
    assert (status.left, len(prediction_files(run.path))) == (4, 4)
    assert (
        "No budget is left for 4 trials; the same command with a larger one goes on. Budget: 4 of 5 trials spent, 1"
        in (capfd.readouterr().err)
    )
    assert _search(run, trials=6).left == 2 and _search(run).left == 0
    _search(run, tmp_path / "whole")
    _same(run.path, tmp_path / "whole")


def test_an_entrys_trials_leave_the_others_alone(small_run):
    entries = {
        "centroid": {"configurations": 4, "budget": {"trials": 1}},
        "other": {"family": "centroid", "configurations": 3},
    }
    status = _search(small_run(stages=[{"stage": "clips", "entries": entries}]))
    assert [entry.finished for entry in status.entries] == [1, 3]


def test_what_runs_at_the_end_stops_at_its_checkpoint_and_goes_on_there(small_run, tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=Slow, max_epochs=60))
    monkeypatch.setattr("search.budget.clock._LOOK_S", 0.05)
    run = small_run(stages=[{"stage": "clips", "entries": {"centroid": {"configurations": 1}}}], asha=None)
    status = _search(run, hours=1 / 3600)
    assert status.left == 1 and not prediction_files(run.path)
    epoch = json.loads(next(run.path.glob("checkpoints/*/state.json")).read_text())["epoch"]
    (part,) = read_parts(run.path)
    assert 3 < epoch < 60 and 0.3 < part.wall_s < 2 and not (run.path / ".stopping").exists()
    assert read_worked(run.path) >= 1 and status.books.spent.of("centroid").hours == pytest.approx(part.wall_s / 3600)
    assert _search(run, hours=1 / 3600).left == 1, "it is spent"
    status = _search(run, hours=1)
    (footer,) = map(read_footer, prediction_files(run.path))
    assert status.left == 0 and footer.curve[0]["epoch"] == epoch + 1
    assert status.books.spent.of("centroid").hours == pytest.approx((footer.wall_s + part.wall_s) / 3600)
    _search(run, tmp_path / "whole")
    _same(run.path, tmp_path / "whole")


def test_an_entry_whose_hours_are_over_stops_and_the_next_stage_follows(small_run, monkeypatch):
    monkeypatch.setitem(FAMILIES, "slow", replace(CENTROID, name="slow", build=Slow, max_epochs=60))
    monkeypatch.setattr("search.budget.clock._LOOK_S", 0.05)
    monkeypatch.setattr("search.trial.heartbeats._FIRST_S", 0.1)
    first = {"stage": "clips", "entries": {"slow": {"configurations": 2, "budget": {"hours": 0.8 / 3600}}}}
    status = _search(small_run(stages=[first, *STAGES], asha=None))
    assert [(entry.finished, entry.left) for entry in status.entries] == [(0, 2), (4, 0)]
    assert len(list(status.run.glob("checkpoints/*/state.json"))) == 1


def test_no_hours_are_a_mistake(small_run):
    with pytest.raises(WrongUse, match=r"^hours: expected a number above 0, but got 0\.$"):
        small_run().recipe.within(0)


def test_hours_on_the_command_and_in_python(small_run, tmp_path, capsys):
    run = small_run(stages=STAGES)
    out = tmp_path / "second"
    words = ["search", "run", str(tmp_path / "recipe.yaml"), "--clips", str(run.clips), "--features", str(run.store)]
    words += ["-o", str(out), "--in-process", "--hours"]
    assert emofuse.main([*words, "0"]) == 2
    assert "hours: expected a number above 0, but got 0." in capsys.readouterr().err
    assert emofuse.main([*words, "0.5"]) == 0
    told = capsys.readouterr().out
    assert "clips centroid       4 " in told and "Budget: 0.00 of 0.5 hours spent, 0.50 left." in told
    assert emofuse.main(["search", "status", str(out), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["budget"]["hours"] == 0.5 and status["spent"]["entries"]["centroid"]["finished"] == 4
    recipe = {"name": "small", "seed": 4, "stages": STAGES}
    places = {"clips": run.clips, "features": run.store, "out": tmp_path / "third", "in_process": True}
    emofuse.search(recipe, hours=1e-9, **places)
    assert "No budget is left for 4 trials" in capsys.readouterr().err
    assert len(emofuse.search(recipe, hours=1, **places).trials()) == 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_under_growing_budgets_until_it_is_done(small_run, tmp_path, monkeypatch, seed):
    monkeypatch.setitem(FAMILIES, "centroid", replace(CENTROID, build=Slow))
    run = small_run(partitions=["train", "swap"], stages=STAGES)
    whole = _search(run, tmp_path / "whole")
    moments, kills, ends, hours = random.Random(seed), 0, 0, 0.6 / 3600
    while read_status(run).left:
        driver = os.fork()
        if driver == 0:
            _search(run, hours=hours)
            os._exit(0)
        # Every other one is killed before its budget can be over.
        end, done = time.monotonic() + (moments.uniform(0.1, 0.5) if kills <= ends else 60.0), (0, 0)
        while done == (0, 0) and time.monotonic() < end:
            time.sleep(0.01)
            done = os.waitpid(driver, os.WNOHANG)
        if done == (0, 0):
            os.kill(driver, signal.SIGKILL)
            os.waitpid(driver, 0)
            kills += 1
        else:
            assert os.waitstatus_to_exitcode(done[1]) == 0
            ends += 1
        hours += 0.4 / 3600
    assert kills and ends and read_status(run).entries == whole.entries
    _same(run.path, tmp_path / "whole")
    assert {p.name for p in prediction_files(run.path)} == {p.name for p in prediction_files(tmp_path / "whole")}


def test_hopeless_configurations_are_given_up_after_two_folds_and_stay_so(small_run):
    entries = {"centroid": {"configurations": 8, "published": False}}
    rule = {"rule": "median", "least": 2}
    stages = [{"stage": "clips", "entries": entries}]
    run = small_run(partitions=[{"folds": 4}], stages=stages, fold_stopping=rule, metric="log_loss")
    status = _search(run)
    (entry,) = status.entries
    assert entry.pruned > 2 and entry.finished + entry.pruned == 32 and entry.left == 0
    reasons = {outcome.reason.partition(":")[0] for outcome in run.outcomes()}
    assert reasons <= {"given up after 2 of 4 partitions", "given up after 3 of 4 partitions"}
    assert status.books.spent.trials == entry.finished, "what never began has cost nothing"
    assert _search(run).entries == status.entries, "decided once"
    everything = run.recipe.model_copy(update={"fold_stopping": None})
    again = run_search(everything, clips=run.clips, store=run.store, out=run.path, workers=Workers(in_process=True))
    assert again.entries[0].finished == 32, "without the word they are finished"


def test_further_seeds_of_the_best_are_trials_of_the_budget_and_begin_on_all_partitions(small_run, capfd):
    stages = [{"stage": "clips", "entries": {"centroid": {"configurations": 2, "seeds": {"best": 3}}}}]
    run = small_run(partitions=["train", "swap"], stages=stages)
    for trials, finished in ((5, 4), (7, 6), (8, 8)):
        status = _search(run, trials=trials)
        assert (status.entries[0].finished, status.left) == (finished, 8 - finished)
        assert status.books.spent.trials == finished
    told = capfd.readouterr().err
    assert told.count("further seeds of the best configuration of centroid") == 2
    assert "No budget is left for 2 trials" in told and told.count("No budget is left") == 2


def test_what_a_fusion_reads_is_made_once_more_without_being_counted(small_run, capfd):
    fusion = {"fused": {"configurations": 1, "inputs": {"members": ["centroid"]}}}
    stages = [
        {"stage": "clips", "entries": {"centroid": {"configurations": 2, "budget": {"trials": 2}}}},
        {"stage": "fusion", "entries": fusion},
    ]
    run = small_run(stages=stages)
    status = _search(run, trials=2)
    assert [(entry.finished, entry.left) for entry in status.entries] == [(2, 0), (0, 1)]
    told = capfd.readouterr().err
    assert "No budget is left for 1 trial;" in told and "encodings for fused" not in told
    status = _search(run, trials=3)
    assert [(entry.finished, entry.left) for entry in status.entries] == [(2, 0), (1, 0)]
    assert status.books.spent.trials == 3 and "encodings for fused: 1 trials once more" in capfd.readouterr().err


def test_once_nothing_is_gained_no_fusion_begins_and_none_is_prepared(small_run, capfd):
    fusion = {"fused": {"configurations": 1, "inputs": {"members": ["centroid"]}}}
    stages = [
        {"stage": "clips", "entries": {"centroid": {"configurations": 8}}},
        {"stage": "fusion", "entries": fusion},
    ]
    run = small_run(stages=stages, stop_when={"no_gain": 2})
    status = _search(run)
    assert status.enough and status.left == 0 and status.entries[0].finished < 8 and not status.entries[1].finished
    assert "encodings" not in capfd.readouterr().err


class Failing(Centroid):
    """Is never trained."""

    def fit(self, *args, **options):
        raise ValueError("out of luck")


@pytest.mark.parametrize("first", ["centroid", "toy_cnn"])
def test_what_reads_an_entry_of_which_its_budget_finished_nothing_waits_for_a_larger_one(
    small_run, monkeypatch, capfd, first
):
    family = FAMILIES[first]
    monkeypatch.setitem(FAMILIES, first, replace(family, build=Failing))
    reader, inputs = ("fused", {"members": [first]}) if first == "centroid" else ("pooled", {"frames": f"{first}.flat"})
    stages = [
        {"stage": family.stage, "entries": {first: {"configurations": 2, "budget": {"trials": 1}}}},
        {"stage": FAMILIES[reader].stage, "entries": {reader: {"configurations": 1, "inputs": inputs}}},
    ]
    run = small_run(stills=True, stages=stages)
    places = {"clips": run.clips, "store": run.store, "out": run.path, "stills": run.stills}
    status = run_search(run.recipe, **places, workers=Workers(in_process=True))
    assert [(entry.failed, entry.left) for entry in status.entries] == [(1, 1), (0, 1)]
    assert "No budget is left for 2 trials" in capfd.readouterr().err
    monkeypatch.setitem(FAMILIES, first, family)
    recipe = run.recipe.model_copy(update={"stages": (_without_budget(run.recipe.stages[0]), run.recipe.stages[1])})
    status = run_search(recipe, **places, workers=Workers(in_process=True))
    assert [(entry.failed, entry.finished, entry.left) for entry in status.entries] == [(1, 1, 0), (0, 1, 0)]


def _without_budget(stage):
    entries = {name: entry.model_copy(update={"budget": Budget()}) for name, entry in stage.entries.items()}
    return stage.model_copy(update={"entries": entries})
