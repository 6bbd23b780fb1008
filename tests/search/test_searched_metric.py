"""What a search maximises: one `metric` rules early stopping, the study, what is kept, status, leaderboard and fit."""

import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from continuous_world import make_table
from continuous_world import write_recipe as continuous_recipe
from small_world import Centroid, message, recipe_file

from ensembles.cli.command import main
from ensembles.comparison.leaderboard import leaderboard
from ensembles.fitting.fit import fit_ensemble
from ensembles.fitting.options import FitOptions
from features.errors import WrongUse
from features.files import read_json, write_json
from models.metrics import Metric, told
from search.cluster.workers import Workers
from search.recipe.reading import read_recipe
from search.run.ended import read_ended
from search.run.planned import read_metric
from search.run.predictions import prediction_files, read_footer
from search.run.spec import TrialSpec
from search.runner import run_search
from search.study.best import best_trials
from search.study.keeping import Keeper
from search.study.plan import entry_spec, refit_spec
from search.watch.status import read_status
from search.watch.status_view import table

METRICS = get_args(Metric)
# Of SPEC, as they were before a recipe could name a metric.
TRIAL_KEY = "94c072e2d8a866df078c45afff5befe8d3b1613c90000683ec71e05796c110e9"
CONTINUOUS_KEY = "e3ff714e74c2a310f8ee5f4032269326b30ba0fe738280520f64fd129e1f279f"
SPEC = TrialSpec(
    *("run", "clips", "store", "clips", "lstm", "audio_lstm", 2, {"frames": "short_term"}, {"frames": "k"}, "prints"),
    *(3, 40, {"lr": 0.01}, "train"),
)


@pytest.fixture
def _at_odds(monkeypatch):
    """Configurations of a large scale decide best and are the surest of their mistakes: the metrics disagree."""

    def predict(model, examples):
        scale, n = model.hyperparameters["scale"], len(examples)
        right = np.array([int(clip_id.rpartition("-")[2]) % 2 for clip_id in examples.ids])
        wrong = np.arange(n) % 8 >= (7 if scale > 2 else 6)
        sure = 0.999 if scale > 2 else 0.8
        shown = np.where(wrong, 1 - right, right)
        return np.where(np.arange(2) == shown[:, None], sure, 1 - sure).astype(np.float32)

    monkeypatch.setattr(Centroid, "predict", predict)


@pytest.fixture
def search(small_run):
    def go(**changes):
        run = small_run(**changes)
        run_search(run.recipe, clips=run.clips, store=run.store, out=run.path, workers=Workers(in_process=True))
        return run

    return go


def test_the_keys_of_trials_for_the_default_are_those_of_earlier_releases():
    assert SPEC.trial_key == TRIAL_KEY
    assert replace(SPEC, annotations="a", metric="ccc").trial_key == CONTINUOUS_KEY
    keys = {replace(SPEC, metric=metric).trial_key for metric in METRICS}
    assert len(keys) == 5 and TRIAL_KEY in keys
    assert replace(SPEC, metric="log_loss").seed != SPEC.seed


@pytest.mark.usefixtures("_at_odds")
@pytest.mark.parametrize("metric", METRICS)
def test_a_search_maximises_the_recipes_metric(search, metric, capsys):
    run = search(metric=metric)
    capsys.readouterr()
    footers = [read_footer(path) for path in prediction_files(run.path)]
    values = {footer.trial_key: told(metric, footer.metrics[metric]) for footer in footers}
    assert {footer.trial_key: footer.value for footer in footers} == values
    assert {trial.trial_key: trial.value for trial in read_ended(run.path)} == values
    status = read_status(run)
    best = told(metric, max(values.values()))
    assert (status.entries[0].best, status.entries[0].metric) == (best, metric)
    shown = table(status).splitlines()
    assert shown[0].split()[-2:] == (["held", "out"] if metric == "accuracy" else ["out", "of"])
    assert shown[1].split()[9:] == [f"{best:.3f}", *([metric] if metric != "accuracy" else [])]
    journal = [json.loads(line) for line in run.journal.read_text().splitlines() if "values" in line]
    assert {line["values"][0] for line in journal if line.get("values")} == set(values.values())
    assert read_metric(run.path) == metric
    assert fit_ensemble(run.path, FitOptions("greedy")).metric == metric


@pytest.mark.usefixtures("_at_odds")
@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_best_configuration_is_best_by_the_metric(search, metric, capsys):
    run = search(metric=metric, keep=1)
    surest = metric == "accuracy"
    base = entry_spec(run, *run.recipe.entry("centroid"))
    (best,) = best_trials(base, ("train",)).values()
    assert (best.hyperparameters["scale"] > 2) == surest
    assert [path.name for path in (run.path / "models").iterdir() if path.is_dir()] == [best.trial_key]
    assert Keeper(run).started(base.at(best.hyperparameters, "train")) == best.value
    board = leaderboard(run.path)
    assert board.metric == metric
    assert best.config_key.startswith(board.members[0].name.partition("/")[2])
    other = next(name for name in ("accuracy", "log_loss") if name != metric)
    assert leaderboard(run.path, metric=other).members[0] == board.members[1]
    capsys.readouterr()
    assert main(["ensemble", "leaderboard", str(run.path)]) == 0
    heading = " ".join(capsys.readouterr().out.split("┏")[0].split())
    assert (", by log_loss; accuracy in %" in heading) == (metric == "log_loss")


def test_a_trial_for_another_metric_is_another_trial(search, small_run):
    first = {footer.trial_key for footer in map(read_footer, prediction_files(search().path))}
    run = search(metric="macro_f1")
    footers = list(map(read_footer, prediction_files(run.path)))
    assert len(footers) == 4 and {footer.metric for footer in footers} == {None, "macro_f1"}
    status = read_status(run)
    assert (status.entries[0].finished, status.entries[0].earlier) == (2, 2)
    parent = next(footer for footer in footers if footer.trial_key not in first)
    assert refit_spec(run, [parent]).config_key == parent.config_key
    assert search().recipe.metric is None  # back again: nothing is trained anew
    assert len(prediction_files(run.path)) == 4


def test_a_run_of_an_earlier_release_has_the_defaults(search):
    run = search()
    data = read_json(run.path / "run.json", "a run", missing="", damaged="")
    del data["recipe"]["metric"]
    for planned in data["plan"]:
        del planned["metric"]
    write_json(run.path / "run.json", data)
    assert (read_metric(run.path), read_status(run).entries[0].metric) == ("accuracy", "accuracy")


def test_an_entry_has_a_metric_of_its_own(tmp_path, world):
    stages = [{"stage": "clips", "entries": {n: {"family": "centroid", "configurations": 1} for n in ("one", "two")}}]
    stages[0]["entries"]["two"]["metric"] = "log_loss"
    recipe = read_recipe(recipe_file(tmp_path, metric="macro_f1", stages=stages))
    assert [recipe.metric_of(entry) for _, entry in recipe.all_entries()] == ["macro_f1", "log_loss"]


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        (
            "log_los",
            "metric: Unknown metric 'log_los': known are accuracy, ccc, log_loss, macro_average_precision, macro_f1, "
            "unweighted_accuracy. Did you mean 'log_loss'?",
        ),
        (
            "ccc",
            "metric: ccc is the metric of continuous emotion, but classes are told apart here; see docs/search.md.",
        ),
    ],
)
def test_a_wrong_metric_is_one_sentence(tmp_path, world, metric, sentence):
    path = recipe_file(tmp_path, metric=metric)
    assert message(read_recipe, path, error=WrongUse) == f"{path}: {sentence}"
    stages = [{"stage": "clips", "entries": {"centroid": {"configurations": 1, "metric": metric}}}]
    told = message(read_recipe, recipe_file(tmp_path, stages=stages), error=WrongUse)
    assert sentence.removeprefix("metric: ") in told and "stages[0].entries.centroid" in told


def test_continuous_emotion_is_measured_by_its_own(tmp_path):
    make_table(tmp_path)
    recipe = read_recipe(continuous_recipe(tmp_path, metric="ccc"), tmp_path / "store")
    assert {recipe.metric_of(entry) for _, entry in recipe.all_entries()} == {"ccc"}
    path = continuous_recipe(tmp_path, metric="accuracy")
    assert message(read_recipe, path, tmp_path / "store", error=WrongUse) == (
        f"{path}: metric: continuous emotion is measured by ccc, but got 'accuracy', which is a metric of classes."
    )
