"""Models of the best trials are kept, within the run's budget on disk; predictions are never dropped."""

from collections import defaultdict

import numpy as np
import pytest
from small_world import Centroid, message

from search.cluster.workers import Workers
from search.run.predictions import prediction_files, read_footer
from search.runner import run_search
from search.study.keeping import folder_size

MODEL_KB = 100


@pytest.fixture(autouse=True)
def _large_models(monkeypatch):
    monkeypatch.setattr("search.study.keeping._LOOK_EVERY_S", 0.0)
    save = Centroid.save

    def saved(model, folder):
        save(model, folder)
        (folder / "ballast").write_bytes(b"0" * MODEL_KB * 1000)

    monkeypatch.setattr(Centroid, "save", saved)
    predict = Centroid.predict

    def noisy(model, examples):
        p = predict(model, examples) * np.random.default_rng(model.context.seed).uniform(size=(len(examples), 2)) ** 9
        return (p / p.sum(1, keepdims=True)).astype(np.float32)

    monkeypatch.setattr(Centroid, "predict", noisy)


@pytest.fixture
def search(small_run):
    """Does a search of four configurations on two partitions with changes of the recipe; returns the run."""

    def go(entries=None, stills=False, **changes):
        stages = [{"stage": "clips", "entries": {"centroid": {"configurations": 4}}}]
        run = small_run(stills=stills, **{"partitions": ["train", "swap"], "stages": stages, **changes})
        run_search(
            run.recipe,
            clips=run.clips,
            store=run.store,
            out=run.path,
            stills=run.stills,
            workers=Workers(in_process=True),
        )
        return run

    return go


def _models(run):
    return {path.name for path in (run.path / "models").glob("*") if path.is_dir()}


def _footers(run):
    return [read_footer(path) for path in prediction_files(run.path)]


def _by_rank(run):
    """Trial keys by partition, the best first."""
    ranked = defaultdict(list)
    for footer in sorted(_footers(run), key=lambda footer: (-footer.metrics["accuracy"], footer.trial_key)):
        ranked[footer.partition].append(footer.trial_key)
    return ranked


def test_the_best_models_of_each_partition_are_kept(search):
    run = search(keep=2)
    assert _models(run) == {key for keys in _by_rank(run).values() for key in keys[:2]}
    assert _models(search(keep=1)) == {keys[0] for keys in _by_rank(run).values()}


def test_nothing_is_kept_by_default(search):
    assert not _models(search())


def test_the_least_valuable_goes_first_when_the_disk_is_full(search):
    run = search(keep=4, disk_budget_gb=5.5 * MODEL_KB / 1e6)
    kept = _models(run)
    assert 2 <= len(kept) < 6 and folder_size(run.path) <= 5.5 * MODEL_KB * 1000
    assert len(prediction_files(run.path)) == 8
    values = {footer.trial_key: (footer.partition, footer.metrics["accuracy"]) for footer in _footers(run)}
    for partition in ("train", "swap"):
        inside = [value for key, (where, value) in values.items() if where == partition and key in kept]
        outside = [value for key, (where, value) in values.items() if where == partition and key not in kept]
        assert min(inside) >= max(outside)


def test_a_budget_that_can_not_be_met_is_told(search):
    told = message(search, disk_budget_gb=0.00001)
    assert "but the recipe's disk_budget_gb is 1e-05" in told
    assert told.endswith("raise the budget and run the same command.")
    assert len(prediction_files(search().path)) == 8


def test_backbones_that_are_needed_stay_and_others_stay_finished(search):
    stages = [
        {"stage": "backbone", "entries": {"toy_cnn": {"configurations": 4}}},
        {"stage": "clips", "entries": {"pooled": {"configurations": 1}}},
    ]
    budget = {"stages": stages, "stills": True, "partitions": ["train"]}
    run = search(**budget, disk_budget_gb=2.7 * MODEL_KB / 1e6)
    assert len(_models(run)) < 4
    best = min(
        (footer for footer in _footers(run) if footer.stage == "backbone"),
        key=lambda f: (-f.metrics["accuracy"], f.metrics["log_loss"], f.trial_key),
    )
    assert best.trial_key in _models(run)
    before = {path: path.stat().st_ino for path in prediction_files(run.path)}
    search(**budget, disk_budget_gb=2.7 * MODEL_KB / 1e6)
    assert {path: path.stat().st_ino for path in prediction_files(run.path)} == before


def test_checkpoints_of_trials_that_ended_are_dropped(search):
    run = search()
    (ended, *_) = run.finished()
    for key in (ended, "f" * 64):
        run.checkpoint_folder(key).mkdir(parents=True)
        (run.checkpoint_folder(key) / "training.pt").write_bytes(b"0")
    search()
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["f" * 64]
