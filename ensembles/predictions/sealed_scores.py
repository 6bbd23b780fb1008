"""A member of a run, and its scores of test clips with labels that can be scored against but not read.

The labels stand in the predictions, or come later in a file of the organisers (`TestLabels`); neither are in reach of
what is fitted.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ensembles.evaluation.intervals import (
    Comparison,
    Interval,
    accuracy_interval,
    accuracy_intervals,
)
from ensembles.evaluation.jackknife import intervals_of
from ensembles.evaluation.metrics import Scores, score, summaries
from ensembles.evaluation.paired import compare
from ensembles.predictions.later_annotations import TestAnnotations
from ensembles.predictions.names import called
from ensembles.predictions.scan import Pooled
from features.errors import EmofuseError, WrongUse
from features.spelling import key
from models.metrics import Metric
from search.run.predictions import Footer


@dataclass(frozen=True)
class Member:
    """One configuration of one entry: its trials on the pooled partitions, by partition.

    `accuracies` holds the held-out accuracy on each partition.
    """

    entry: str
    config_key: str
    trials: Mapping[str, Footer] = field(compare=False)
    accuracies: Mapping[str, float] = field(compare=False, default_factory=dict)

    @cached_property
    def name(self) -> str:
        """Short and unique in a run."""
        return called(self.entry, self.config_key)

    @property
    def footer(self) -> Footer:
        """The footer of its first trial: family, hyperparameters and inputs are the same in all."""
        return next(iter(self.trials.values()))


class TestLabels:
    """Labels of test clips, by clip or by the organisers' id (`000029320` of `test/000029320`), that nobody can read.

    They can be given to `TestScores` alone. `source` is where they come from, for messages.
    """

    __test__ = False
    __slots__ = ("_merged", "source")

    def __init__(self, labels: Mapping[str, str], source: str):
        self.source = source
        self._merged = lambda ids, known, classes: _merge(labels, source, ids, known, classes)


# Whether test clips (or recordings) are scored, and by which labels that came later.
Look = bool | TestLabels | TestAnnotations


def refuse_over_time(look: Look) -> None:
    """Refuse labels over time where members tell classes apart."""
    if isinstance(look, TestAnnotations):
        raise WrongUse(
            f"--labels: {look.source} holds labels over time, but the members tell classes apart: expected the columns "
            "clip_id and label."
        )


def looked_at(scores: "TestScores", look: Look) -> "TestScores":
    """The test clips' scores, with the labels of the `look` if it has any.

    EmofuseError where they are to be looked at and none has a label: ask before anything is fitted.
    """
    refuse_over_time(look)
    scores = scores.labelled_by(look) if isinstance(look, TestLabels) else scores
    if look:
        scores.check_labelled()
    return scores


class TestScores:
    """Scores of test clips, with labels that can be scored against but not read.

    `P` (M, N, C), `valid` (M, N), `ids` and `groups` (N,) as in `HeldOut`. There is no `y`, so nothing that is fitted
    can be given the labels of the test clips.
    """

    __test__ = False
    __slots__ = (
        "P",
        "_accuracies",
        "_compare",
        "_interval",
        "_intervals",
        "_metric_intervals",
        "_score",
        "_sealed_by",
        "classes",
        "groups",
        "ids",
        "labelled",
        "members",
        "valid",
    )

    _accuracies: Callable[[np.ndarray], np.ndarray]
    _intervals: Callable[[np.ndarray], list[Interval | None]]
    _score: Callable[[np.ndarray], Scores]
    _interval: Callable[[np.ndarray], Interval | None]
    _compare: Callable[[np.ndarray, np.ndarray, Metric], Comparison]
    _metric_intervals: Callable[[np.ndarray], Mapping[str, Interval]]
    _sealed_by: Callable[[TestLabels], tuple[int, tuple[Callable[..., Any], ...]]]

    def __init__(self, members: tuple[Member, ...], classes: tuple[str, ...], pooled: Pooled):
        self.members, self.classes = members, classes
        self.ids, self.groups, self.P, self.valid = pooled.ids, pooled.groups, pooled.P, pooled.valid
        self._take(_count(pooled.labels), _seal(pooled.labels, pooled.groups, classes))

        def sealed_by(later: TestLabels) -> tuple[int, tuple[Callable[..., Any], ...]]:
            labels = later._merged(pooled.ids, pooled.labels, classes)
            return _count(labels), _seal(labels, pooled.groups, classes)

        self._sealed_by = sealed_by

    def _take(self, labelled: int, sealed: tuple[Callable[..., Any], ...]) -> None:
        self.labelled = labelled
        self._score, self._accuracies, self._interval, self._intervals, self._compare, self._metric_intervals = sealed

    def labelled_by(self, later: TestLabels) -> "TestScores":
        """The same scores against labels that came later, beside those of the predictions.

        Errors: EmofuseError for an id of no test clip, a label of no class, and where two labels contradict each other.
        """
        scores = self.of_members(range(len(self.members)))
        scores._take(*self._sealed_by(later))
        return scores

    @property
    def n_groups(self) -> int:
        """Number of groups among the test clips."""
        return len(set(self.groups))

    def score(self, probabilities: np.ndarray) -> Scores:
        """All metrics of `probabilities` (N, C) on the labelled test clips; EmofuseError where none has a label."""
        self._check(probabilities)
        return self._score(probabilities)

    def accuracies(self) -> np.ndarray:
        """The accuracy of each member (M,) on the labelled test clips; EmofuseError where none has a label."""
        self._check(np.empty((len(self.ids), len(self.classes))))
        return self._accuracies(self.P)

    def intervals(self, chosen: Sequence[int]) -> list[Interval | None]:
        """The intervals over groups of the accuracies of some members."""
        self._check(np.empty((len(self.ids), len(self.classes))))
        return self._intervals(self.P[list(chosen)])

    def interval(self, probabilities: np.ndarray) -> Interval | None:
        """The interval over groups of the accuracy."""
        self._check(probabilities)
        return self._interval(probabilities)

    def metric_intervals(self, probabilities: np.ndarray) -> Mapping[str, Interval]:
        """The intervals over groups of all metrics that an ensemble may be fitted for, by name."""
        self._check(probabilities)
        return self._metric_intervals(probabilities)

    def compare(self, first: np.ndarray, second: np.ndarray, metric: Metric = "accuracy") -> Comparison:
        """Two classifiers on the labelled test clips by a metric."""
        self._check(first)
        self._check(second)
        return self._compare(first, second, metric)

    def of_members(self, chosen: Sequence[int]) -> "TestScores":
        """The same clips with some of the members only."""
        part = object.__new__(TestScores)
        for name in self.__slots__:
            setattr(part, name, getattr(self, name))
        part.members = tuple(self.members[m] for m in chosen)
        part.P, part.valid = self.P[list(chosen)], self.valid[list(chosen)]
        return part

    def check_labelled(self) -> None:
        """EmofuseError where no test clip has a label."""
        if not self.labelled:
            raise EmofuseError(
                "No test clip has a label, so nothing can be scored on the test split; leave --test out, or give the "
                "labels that came later by --labels FILE.csv."
                if self.ids
                else "There are no test clips among the predictions, so nothing can be scored there; leave --test out."
            )

    def _check(self, probabilities: np.ndarray) -> None:
        self.check_labelled()
        expected = (len(self.ids), len(self.classes))
        if probabilities.shape != expected:
            raise ValueError(f"Expected test probabilities of shape {expected}, but got {probabilities.shape}.")


def _count(labels: Sequence[str | None]) -> int:
    return sum(label is not None for label in labels)


def _merge(
    later: Mapping[str, str], source: str, ids: Sequence[str], known: Sequence[str | None], classes: Sequence[str]
) -> list[str | None]:
    """The labels of the clips `ids`: those `known` from the predictions, and the later ones."""
    by_end: dict[str, list[int]] = defaultdict(list)
    place = {clip_id: n for n, clip_id in enumerate(ids)}
    for clip_id, n in place.items():
        by_end[clip_id.rpartition("/")[2]].append(n)
    spelled = {key(name): name for name in classes}
    labels = list(known)
    for clip_id, text in later.items():
        found = [place[clip_id]] if clip_id in place else by_end.get(clip_id, [])
        if len(found) != 1:
            raise EmofuseError(
                f"{source}: {clip_id!r} is {'the id of several test clips' if found else 'no test clip'} of the run; "
                f"expected the clip_id of one of its {len(ids)} test clips."
            )
        label = text if text in classes else spelled.get(key(text))
        if label is None:
            raise EmofuseError(f"{source}: {clip_id!r} is labelled {text!r}; expected one of {', '.join(classes)}.")
        if known[found[0]] not in (None, label):
            raise EmofuseError(
                f"{source}: {clip_id!r} is labelled {label!r}, but the run's clip table says {known[found[0]]!r}."
            )
        labels[found[0]] = label
    return labels


def _seal(
    labels: Sequence[str | None], groups: Sequence[str], classes: tuple[str, ...]
) -> tuple[Callable[..., Any], ...]:
    number = {name: c for c, name in enumerate(classes)}
    rows = np.array([n for n, label in enumerate(labels) if label is not None], dtype=int)
    y = np.array([number[str(labels[n])] for n in rows], dtype=int)
    labelled_groups = [groups[n] for n in rows]

    def right(probabilities: np.ndarray) -> np.ndarray:
        return probabilities[rows].argmax(axis=1) == y

    return (
        lambda probabilities: score(y, probabilities[rows]),
        lambda many: summaries(y, many if len(rows) == many.shape[1] else many[:, rows])["accuracy"],
        lambda probabilities: accuracy_interval(right(probabilities).astype(float), labelled_groups),
        lambda many: accuracy_intervals((many[:, rows].argmax(axis=2) == y).astype(float), labelled_groups),
        lambda first, second, metric: compare(y, first[rows], second[rows], labelled_groups, metric),
        lambda probabilities: intervals_of(y, probabilities[rows], labelled_groups),
    )
