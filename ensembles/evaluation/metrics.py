"""All scores of one set of predictions, or of many; what may be maximised is defined in `models.metrics`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from models.metrics import FLOOR, Metric, confusion_matrix, log_loss, ratios, shares_of

_MANY = 64  # predictions that are scored at once


def accuracy(confusion: np.ndarray) -> float:
    """Share of clips predicted right."""
    return float(shares_of("accuracy", confusion))


def unweighted_accuracy(confusion: np.ndarray) -> float:
    """Mean recall over the classes that occur: Guo's unweighted mean of per-class accuracies."""
    return float(shares_of("unweighted_accuracy", confusion))


def macro_average_precision(confusion: np.ndarray) -> float:
    """Zheng's, a mean recall (see `shares_of`); `macro_precision` is what the name says."""
    return float(shares_of("macro_average_precision", confusion))


def macro_precision(confusion: np.ndarray) -> float:
    """Mean over all classes of TP / (TP + FP); a class that was never predicted counts 0."""
    return float(ratios(np.diag(confusion), confusion.sum(axis=0)).mean())


def macro_f1(confusion: np.ndarray) -> float:
    """Mean over all classes of 2 TP / (2 TP + FP + FN)."""
    return float(shares_of("macro_f1", confusion))


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


def summaries(y: np.ndarray, probabilities: np.ndarray) -> Mapping[Metric, np.ndarray]:
    """Each metric (M,) of many predictions (M, N, C) of the same clips `y` (N,).

    The numbers are those of `score`, without the time that thousands of calls take.
    """
    M, N, C = probabilities.shape
    found: dict[Metric, np.ndarray] = {metric: np.empty(M) for metric in get_args(Metric)}
    clips = np.arange(N)
    totals = np.bincount(y, minlength=C)
    occurring = totals > 0
    for start in range(0, M, _MANY):
        some = probabilities[start : start + _MANY]
        here = slice(start, start + len(some))
        predicted = some.argmax(axis=2)
        right = predicted == y
        found["accuracy"][here] = right.sum(axis=1) / N
        hits = right @ (y[:, None] == np.arange(C)).astype(np.float64)
        found["unweighted_accuracy"][here] = (hits[:, occurring] / totals[occurring]).mean(axis=1)
        found["macro_average_precision"][here] = ratios(hits, np.broadcast_to(totals, hits.shape)).mean(axis=1)
        one_by_one = predicted + C * np.arange(len(some))[:, None]
        named = np.bincount(one_by_one.ravel(), minlength=hits.size).reshape(hits.shape)
        found["macro_f1"][here] = ratios(2 * hits, totals + named).mean(axis=1)
        true = some[:, clips, y].astype(np.float64)
        found["log_loss"][here] = -np.log(np.clip(true, FLOOR, 1.0)).mean(axis=1)
    return found
