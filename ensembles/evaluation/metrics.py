"""Metrics of classification over a confusion matrix, and the log-loss.

A clip's predicted class is the first one of highest probability. Classes without a clip are left out of the mean recall
(`unweighted_accuracy`) and count as 0 in the means over all classes, as scikit-learn does with `zero_division=0`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from features.names import unknown_name

# Below this a probability counts as this in the log-loss: a single confident mistake must not make the mean infinite.
FLOOR = float(np.finfo(np.float32).eps)
# What an ensemble may be fitted for; of all but the log-loss more is better.
Metric = Literal["accuracy", "unweighted_accuracy", "macro_f1", "log_loss", "macro_average_precision"]
_MANY = 256  # predictions that are scored at once


def confusion_matrix(y: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """(C, C) counts; row = true class, column = predicted class. `y` and `predicted` are (N,) class numbers."""
    flat = np.bincount(y * n_classes + predicted, minlength=n_classes * n_classes)
    return flat.reshape(n_classes, n_classes)


def shares_of(metric: Metric, confusions: np.ndarray) -> np.ndarray:
    """(...,) a metric that a confusion matrix holds, which the log-loss is not, of many `confusions` (..., C, C)."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    true, predicted = confusions.sum(axis=-1), confusions.sum(axis=-2)
    if metric == "accuracy":
        return right.sum(axis=-1) / true.sum(axis=-1)
    if metric == "macro_f1":
        return _ratios(2 * right, true + predicted).mean(axis=-1)
    recalls = _ratios(right, true)
    if metric == "macro_average_precision":
        return recalls.mean(axis=-1)
    return recalls.sum(axis=-1) / (true > 0).sum(axis=-1)


def accuracy(confusion: np.ndarray) -> float:
    """Share of clips predicted right."""
    return float(shares_of("accuracy", confusion))


def unweighted_accuracy(confusion: np.ndarray) -> float:
    """Mean recall over the classes that occur: Guo's unweighted mean of per-class accuracies."""
    return float(shares_of("unweighted_accuracy", confusion))


def macro_average_precision(confusion: np.ndarray) -> float:
    """Zheng, equation 6, as printed: the mean over all classes of TP / (TP + FN).

    The paper calls this a precision, but its formula and its words for FN (clips of the category predicted as another)
    are those of recall. `macro_precision` is what the name says.
    """
    return float(shares_of("macro_average_precision", confusion))


def macro_precision(confusion: np.ndarray) -> float:
    """Mean over all classes of TP / (TP + FP); a class that was never predicted counts 0."""
    return float(_ratios(np.diag(confusion), confusion.sum(axis=0)).mean())


def macro_f1(confusion: np.ndarray) -> float:
    """Mean over all classes of 2 TP / (2 TP + FP + FN)."""
    return float(shares_of("macro_f1", confusion))


def log_loss(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative log-probability of the true class, in nats. `probabilities` (N, C)."""
    true = probabilities[np.arange(len(y)), y].astype(np.float64)
    return float(-np.log(np.clip(true, FLOOR, 1.0)).mean())


def metric_named(name: str) -> Metric:
    """The metric of that name; WrongUse names the nearest."""
    for metric in get_args(Metric):
        if metric == name:
            return cast(Metric, metric)
    raise unknown_name("metric", name, get_args(Metric))


def worth(metric: Metric, y: np.ndarray, probabilities: np.ndarray) -> float:
    """The metric of `probabilities` (N, C), turned so that more is better."""
    if metric == "log_loss":
        return -log_loss(y, probabilities)
    return float(shares_of(metric, confusion_matrix(y, probabilities.argmax(axis=1), probabilities.shape[1])))


def told(metric: Metric, worth: float) -> float:
    """A worth as it is told: the log-loss is positive, and less is better."""
    return -worth if metric == "log_loss" else worth


def _ratios(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    return np.divide(parts, wholes, out=np.zeros(parts.shape), where=wholes > 0)


def recalls(confusion: Sequence[Sequence[int]]) -> tuple[float | None, ...]:
    """The share of each class's clips that are predicted right; None for a class without a clip."""
    return tuple(row[c] / sum(row) if sum(row) else None for c, row in enumerate(confusion))


@dataclass(frozen=True)
class Scores:
    """All metrics of one set of predictions over `n` labelled clips; `confusion` rows are true classes."""

    n: int
    accuracy: float
    unweighted_accuracy: float
    macro_average_precision: float
    macro_precision: float
    macro_f1: float
    log_loss: float
    confusion: tuple[tuple[int, ...], ...]

    @property
    def metrics(self) -> Mapping[str, float]:
        """The numbers by name, without the confusion matrix."""
        return {name: getattr(self, name) for name in METRICS}


METRICS = (
    "accuracy",
    "unweighted_accuracy",
    "macro_average_precision",
    "macro_precision",
    "macro_f1",
    "log_loss",
)


def score(y: np.ndarray, probabilities: np.ndarray) -> Scores:
    """All metrics of `probabilities` (N, C) against `y` (N,); N is at least 1."""
    n, n_classes = probabilities.shape
    confusion = confusion_matrix(y, probabilities.argmax(axis=1), n_classes)
    return Scores(
        n=n,
        accuracy=accuracy(confusion),
        unweighted_accuracy=unweighted_accuracy(confusion),
        macro_average_precision=macro_average_precision(confusion),
        macro_precision=macro_precision(confusion),
        macro_f1=macro_f1(confusion),
        log_loss=log_loss(y, probabilities),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def summaries(y: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(accuracy, unweighted accuracy, log-loss), each (M,), of many predictions (M, N, C) of the same clips `y` (N,).

    The numbers are those of `score`, without the time that thousands of calls take.
    """
    M, N, C = probabilities.shape
    accuracies, recalls, losses = np.empty(M), np.empty(M), np.empty(M)
    clips = np.arange(N)
    totals = np.bincount(y, minlength=C)
    occurring = totals > 0
    for start in range(0, M, _MANY):
        some = probabilities[start : start + _MANY]
        here = slice(start, start + len(some))
        right = some.argmax(axis=2) == y
        accuracies[here] = right.sum(axis=1) / N
        hits = right @ (y[:, None] == np.arange(C)).astype(np.float64)
        recalls[here] = (hits[:, occurring] / totals[occurring]).mean(axis=1)
        true = some[:, clips, y].astype(np.float64)
        losses[here] = -np.log(np.clip(true, FLOOR, 1.0)).mean(axis=1)
    return accuracies, recalls, losses
