"""The fused score of a run over time, a line for each configuration that finished; the lines may be deleted."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from features.disk.sealed import open_line, sealed_line
from features.errors import EmofuseError
from models.metrics import Metric, worth
from search.goal.fused import Fused
from search.goal.held_out import Clips, HeldOutScores
from search.run.ended import Ended
from search.run.layout import Layout
from search.run.planned import read_no_gain

NAME = "fused.jsonl"

Name = tuple[str, str]  # a configuration: its entry and its key
Finished = Mapping[Name, Sequence[Ended]]


class FusedPoint(NamedTuple):
    """One configuration that finished at `at_s` (seconds since 1970): what it reached itself, and all so far together.

    Both are the run's metric on the held-out clips, turned so that more is better (`models.metrics.told` tells it);
    `fused` is nested: on clips that had no part in choosing the ensemble.
    """

    config_key: str
    entry: str
    at_s: float
    own: float
    fused: float


class FusedHistory:
    """Follows a run: each of its finished configurations joins the ensemble, in the order in which they finished.

    `partitions` are those on which a configuration of each entry has to be finished (`finished_configurations`).
    Configurations with damaged predictions, or on other clips than the first, don't join.
    """

    def __init__(self, run: Path, partitions: Mapping[str, Sequence[str]], metric: Metric):
        self._run, self._partitions, self._metric = run, partitions, metric
        self._scores = HeldOutScores()
        self._joined: dict[Name, int] = {}  # the place of each configuration in the ensemble
        self._refused: set[Name] = set()
        self._told: set[Name] = set()  # those that have a point in the run's file
        self.fused: Fused | None = None
        self.points: list[FusedPoint] = []

    def follows(self, partitions: Mapping[str, Sequence[str]], metric: Metric, finished: Finished) -> bool:
        """Whether it stands for a run with these entries, and all that joined is still there."""
        same = (self._partitions, self._metric) == (partitions, metric)
        return same and self._joined.keys() <= finished.keys()

    def follow(self, finished: Finished) -> None:
        """Let those configurations join that haven't."""
        if not self._joined:
            self._take_over(finished)
        for name in sorted(finished, key=lambda name: (_at_s(finished[name]), name)):
            if not self.has(name):
                self.join(name, finished[name])

    def has(self, name: Name) -> bool:
        """Whether a configuration joined, or was refused."""
        return name in self._joined or name in self._refused

    def gains(self) -> dict[Name, tuple[float, float]]:
        """What each configuration (entry, key) that joined would add to the ensemble, and does (`Fused.gains`)."""
        if self.fused is None:
            return {}
        would, does = self.fused.gains()
        return {name: (float(would[place]), float(does[place])) for name, place in self._joined.items()}

    def _take_over(self, finished: Finished) -> None:
        """Let those join, all at once, whose points are known."""
        scores: list[np.ndarray] = []
        for point in read_points(self._run):
            name = point.entry, point.config_key
            self._told.add(name)
            if name in finished and (its := self._read(name, finished[name])) is not None:
                self._joined[name] = len(scores)
                scores.append(its)
                self.points.append(point)
        if scores:
            self._add(scores)

    def join(self, name: Name, trials: Sequence[Ended]) -> None:
        """Let one configuration join, which finished last."""
        scores = self._read(name, trials)
        if scores is None:
            return
        fused, clips = self._add([scores])
        self._joined[name] = len(self._joined)
        has = ~np.isnan(scores[:, 0])
        own = worth(self._metric, clips.y[has], scores[has])
        self.points.append(FusedPoint(name[1], name[0], _at_s(trials), own, fused.score))
        if name not in self._told:
            self._told.add(name)
            _append(self._run, self.points[-1])

    def _add(self, scores: Sequence[np.ndarray]) -> tuple[Fused, Clips]:
        clips = self._scores.clips
        if clips is None:
            raise ValueError("nothing was read yet")
        if self.fused is None:
            self.fused = Fused(clips, self._metric)
        self.fused.add(scores)
        return self.fused, clips

    def _read(self, name: Name, trials: Sequence[Ended]) -> np.ndarray | None:
        """Its held-out scores; None, also from now on, where they can't be read or are of other clips."""
        layout = Layout(self._run)
        try:
            return self._scores.read([layout.prediction(trial.entry, trial.trial_key) for trial in trials])
        except EmofuseError:
            self._refused.add(name)
            return None


def finished_configurations(ended: Iterable[Ended], partitions: Mapping[str, Sequence[str]]) -> Finished:
    """The configurations that are finished on all `partitions` of their entry, with their trials in that order.

    Of several seeds it is the first, whose models an ensemble takes.
    """
    found: dict[Name, dict[str, Ended]] = defaultdict(dict)
    for trial in ended:
        if trial.status == "finished" and trial.partition in partitions.get(trial.entry, ()) and not trial.repeat:
            found[trial.entry, trial.config_key][trial.partition] = trial
    return {
        name: [trials[partition] for partition in partitions[name[0]]]
        for name, trials in found.items()
        if len(trials) == len(partitions[name[0]])
    }


def _at_s(trials: Sequence[Ended]) -> float:
    return max(trial.at_s for trial in trials)


def read_points(run: Path) -> list[FusedPoint]:
    """The points that were written so far, one for each configuration, in the order in which they finished."""
    try:
        lines = (run / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found: dict[Name, FusedPoint] = {}
    for text in lines:
        # Two that write at the same time, or a full disk, may leave half a line.
        with suppress(TypeError):
            point = FusedPoint(*(open_line(text) or {}).get("point", ()))
            found.setdefault((point.entry, point.config_key), point)
    return list(found.values())


def _append(run: Path, point: FusedPoint) -> None:
    # The line's end comes first, so that it also ends half a line of an earlier writer. A run that can't be written is
    # read again each time.
    with suppress(OSError), (run / NAME).open("ab", buffering=0) as file:
        file.write(f"\n{sealed_line({'point': point})}".encode())


def had_enough(run: Path) -> bool:
    """Whether `stop_when` has ended the run."""
    no_gain = read_no_gain(run)
    return no_gain is not None and without_gain(read_points(run)) >= no_gain


def without_gain(points: Sequence[FusedPoint]) -> int:
    """How many configurations finished since the one that made the fused score what it has never been before."""
    best = max(range(len(points)), key=lambda n: (points[n].fused, -n), default=-1)
    return len(points) - 1 - best
