import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from search.run.layout import Layout, Outcome
from search.run.predictions import Footer, Predictions, write_predictions
from search.trial.heartbeats import Heartbeat
from search.watch.curves import Curves

ROWS = tuple({"epoch": e, "loss": 1.0 / e, "lr": 0.1, "accuracy": e / 10} for e in (1, 2, 3))


def _finish(run, key, accuracy=0.5, entry="lstm"):
    import numpy as np

    footer = Footer(
        key,
        "c" * 64,
        "lstm",
        entry,
        {"lr": 0.1, "pool": "mean"},
        "train",
        ("a", "b"),
        0,
        3,
        2,
        {"accuracy": accuracy, "log_loss": 1.5},
        curve=ROWS,
        wall_s=30.0,
    )
    write_predictions(run, Predictions(footer, *((),) * 5, np.zeros(0, bool), np.zeros((0, 2), np.float32)))


def _read(run, key="k" * 64, entry="lstm"):
    events = EventAccumulator(str(run / "tensorboard" / entry / f"{key[:8]}-train"))
    events.Reload()
    return events


def _scalars(events, tag):
    return [(e.step, pytest.approx(e.value)) for e in events.Scalars(tag)]


@pytest.fixture
def running(monkeypatch):
    """The trials that run, as a list to change."""
    beats = []
    monkeypatch.setattr("search.watch.curves.read_running", lambda run: list(beats))
    return beats


def _beat(epochs, key="k" * 64):
    return Heartbeat(key, "c" * 64, "lstm", "train", "h", 1, 0.0, 9, {"lr": 0.1, "pool": "mean"}, ROWS[:epochs])


def test_a_finished_trial_has_its_curve_hyperparameters_and_final_metrics(tmp_path, running):
    _finish(tmp_path, "k" * 64)
    assert Curves(tmp_path, best=5).update() == 1
    events = _read(tmp_path)
    assert _scalars(events, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)] and _scalars(events, "lr") == [
        (1, 0.1),
        (2, 0.1),
        (3, 0.1),
    ]
    assert _scalars(events, "final/accuracy") == [(2, 0.5)]
    assert events.Scalars("loss")[-1].wall_time - events.Scalars("loss")[0].wall_time == pytest.approx(20.0)
    told = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"pool" in told and b"lstm cccccccc" in told


def test_a_running_trial_is_followed_to_its_end(tmp_path, running):
    curves = Curves(tmp_path, best=0)
    for epochs in (0, 1, 1, 2):
        running[:] = [_beat(epochs)]
        curves.update()
    assert _scalars(_read(tmp_path), "accuracy") == [(1, 0.1), (2, 0.2)]
    running.clear()
    _finish(tmp_path, "k" * 64)
    for _ in range(2):
        curves.update()
    events = _read(tmp_path)
    assert _scalars(events, "accuracy") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert _scalars(events, "final/log_loss") == [(2, 1.5)]


def test_a_pruned_trial_keeps_what_was_seen_of_it(tmp_path, running):
    curves = Curves(tmp_path, best=5)
    running[:] = [_beat(2)]
    curves.update()
    Layout(tmp_path).write_outcome(Outcome("k" * 64, "c", "pruned", "stopped early", "lstm", "lstm", "train"))
    running.clear()
    assert curves.update() == 1 and len(_scalars(_read(tmp_path), "loss")) == 2


def test_the_best_of_each_entry_are_shown_and_old_files_removed(tmp_path, running):
    (tmp_path / "tensorboard" / "gone").mkdir(parents=True)
    for n in range(4):
        _finish(tmp_path, f"{n}" * 64, n / 10)
        _finish(tmp_path, f"{n + 4}" * 64, n / 10, entry="svm")
    assert Curves(tmp_path, best=2).update() == 4
    found = {path.parent.relative_to(tmp_path / "tensorboard").as_posix() for path in tmp_path.rglob("*tfevents*")}
    assert found == {"lstm/22222222-train", "lstm/33333333-train", "svm/66666666-train", "svm/77777777-train"}


def test_the_columns_of_the_hparams_tab(small_run):
    run = small_run()
    Curves(run.path, best=1).describe(run.recipe)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    told = events.summary_metadata["_hparams_/experiment"].plugin_data.content
    assert all(name in told for name in (b"scale", b"steps", b"entry", b"final/accuracy", b"held-out log_loss"))
