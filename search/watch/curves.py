"""Learning curves for TensorBoard, derived from a run's files while it goes on.

`<run>/tensorboard/<entry>/<key>-<partition>/` holds one event file of a trial: loss, learning rate and held-out metrics
by epoch, its hyperparameters, and when it is finished its final metrics. Nothing is written while training: finished
trials have their curve in their prediction file, running ones in their heartbeat.
"""

import io
import math
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.files import write_bytes
from models.space import Scalar
from search.run.ended import Ended, read_ended
from search.run.layout import Layout
from search.run.predictions import Footer, read_footer
from search.trial.heartbeats import Heartbeat, read_running

if TYPE_CHECKING:
    from search.recipe.recipe import Recipe

FOLDER = "tensorboard"
_FILE = "events.out.tfevents.0.emofuse"


@dataclass
class _Written:
    """How far a trial's event file goes."""

    epoch: int = 0
    over: bool = False


class Curves:
    """The event files of a run's running trials and of the `best` finished ones of each entry; made anew at first."""

    def __init__(self, run: Path, best: int):
        self._run, self._best = run, best
        self.folder = run / FOLDER
        self._written: dict[str, _Written] = {}
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()

    def describe(self, recipe: "Recipe") -> None:
        """Tell TensorBoard which hyperparameters and final metrics there are, for the columns of its HParams tab."""
        from tensorboard.plugins.hparams.summary_v2 import HParam, Metric, hparams_config_pb

        names = {name for _, entry in recipe.all_entries() for name in (*entry.effective_space(), *entry.fixed)}
        searched = [recipe.metric_of(entry) for _, entry in recipe.all_entries()]
        told = dict.fromkeys([*searched, *(("log_loss",) if set(searched) - {"ccc"} else ())])
        metrics = [Metric(f"final/{name}", display_name=f"held-out {name}") for name in told]
        summary = hparams_config_pb([HParam("entry"), *map(HParam, sorted(names))], metrics)
        write_bytes(self.folder / _FILE, _records(_start(), _event(time.time(), summary=summary)), sync=False)

    def update(self) -> int:
        """Write what is new; the number of trials that have a curve."""
        ended = {trial.trial_key: trial for trial in read_ended(self._run)}
        for beat in read_running(self._run):
            if beat.trial_key not in ended:
                self._follow(beat)
        for trial in self._chosen(ended):
            if not self._written.get(trial.trial_key, _Written()).over:
                self._finish(trial)
        return len(self._written)

    def _chosen(self, ended: Mapping[str, Ended]) -> list[Ended]:
        finished: dict[str, list[Ended]] = defaultdict(list)
        for trial in ended.values():
            if trial.status == "finished":
                finished[trial.entry].append(trial)
        chosen = {
            trial.trial_key: trial
            for trials in finished.values()
            for trial in sorted(trials, key=_value, reverse=True)[: self._best]
        }
        # What was followed while it ran is told to the end.
        chosen |= {key: ended[key] for key in self._written if key in ended}
        return list(chosen.values())

    def _follow(self, beat: Heartbeat) -> None:
        path = self._file(beat.entry, beat.trial_key, beat.partition)
        self._begin(path, beat.trial_key, beat.config_key, beat.entry, beat.hyperparameters, beat.started_s)
        self._epochs(path, self._written[beat.trial_key], beat.curve, beat.started_s, time.time())

    def _finish(self, trial: Ended) -> None:
        path = self._file(trial.entry, trial.trial_key, trial.partition)
        events = []
        if trial.status == "finished":
            footer = read_footer(Layout(self._run).prediction(trial.entry, trial.trial_key))
            started_s = trial.at_s - trial.wall_s
            self._begin(path, trial.trial_key, trial.config_key, trial.entry, footer.hyperparameters, started_s)
            self._epochs(path, self._written[trial.trial_key], footer.curve, started_s, trial.at_s)
            events.append(_final(footer, trial.at_s))
        _append(path, [*events, _over(trial)])
        self._written[trial.trial_key].over = True

    def _begin(
        self, path: Path, key: str, config_key: str, entry: str, hyperparameters: Mapping[str, Scalar], started_s: float
    ) -> None:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        if key in self._written:
            return
        # A configuration's partitions are one row of the HParams tab, with their mean.
        told = hparams_pb(
            {"entry": entry, **hyperparameters}, trial_id=f"{entry} {config_key[:8]}", start_time_secs=started_s
        )
        write_bytes(path, _records(_start(), _event(started_s, summary=told)), sync=False)
        self._written[key] = _Written()

    def _epochs(
        self, path: Path, written: _Written, curve: Sequence[Mapping[str, float]], from_s: float, to_s: float
    ) -> None:
        # When each epoch ended isn't stored; they take about the same time.
        last = max((int(row["epoch"]) for row in curve), default=1)
        new = [row for row in curve if row["epoch"] > written.epoch]
        _append(
            path,
            [_event(from_s + (to_s - from_s) * row["epoch"] / last, int(row["epoch"]), _scalars(row)) for row in new],
        )
        written.epoch = max([written.epoch, *(int(row["epoch"]) for row in new)])

    def _file(self, entry: str, key: str, partition: str) -> Path:
        return self.folder / entry / f"{key[:8]}-{partition}" / _FILE


def _value(trial: Ended) -> float:
    return -math.inf if trial.value is None else trial.value


def _scalars(row: Mapping[str, float], prefix: str = "") -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=prefix + name, simple_value=value) for name, value in row.items() if name != "epoch"]
    return Summary(value=values)


def _final(footer: Footer, at_s: float) -> Any:
    return _event(at_s, footer.best_epoch, _scalars(footer.metrics, "final/"))


def _over(trial: Ended) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_FAILURE if trial.status == "failed" else api_pb2.STATUS_SUCCESS
    # TensorBoard's own function for this needs TensorFlow.
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=trial.at_s)
    told = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=told)
    return _event(trial.at_s, summary=Summary(value=[value]))


def _start() -> Any:
    return _event(0.0, file_version="brain.Event:2")


def _event(wall_s: float, step: int = 0, summary: Any = None, **fields: Any) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=wall_s, step=step, summary=summary, **fields)


def _records(*events: Any) -> bytes:
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def _append(path: Path, events: Sequence[Any]) -> None:
    if events:
        with path.open("ab") as file:
            file.write(_records(*events))
