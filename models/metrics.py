"""What is maximised: metrics of class probabilities, and the CCC of continuous emotion. Their definitions' one home.

A clip's predicted class is the first one of highest probability. Classes without a clip are left out of the mean recall
(`unweighted_accuracy`) and count as 0 in the means over all classes, as scikit-learn does with `zero_division=0`.
"""

from collections.abc import Mapping
from typing import Literal, cast, get_args

import numpy as np

from features.errors import Diverged
from features.names import unknown_name

# Below this a probability counts as this in the log-loss: a single confident mistake must not make the mean infinite,
# and float32 can't tell 1 - eps from 1 any finer.
FLOOR = float(np.finfo(np.float32).eps)
# What a search and a fusion of classes may maximise; of all but the log-loss more is better.
Metric = Literal["accuracy", "unweighted_accuracy", "macro_f1", "log_loss", "macro_average_precision"]
# Also the metric of continuous emotion, the mean concordance over dimensions (models.concordance).
SearchMetric = Literal["accuracy", "unweighted_accuracy", "macro_f1", "log_loss", "macro_average_precision", "ccc"]

# What is maximised where nothing is wished, of classes and of continuous emotion.
DEFAULT_METRICS: tuple[SearchMetric, SearchMetric] = ("accuracy", "ccc")


def metric_named(name: str) -> Metric:
    """The metric of that name; WrongUse names the nearest."""
    for metric in get_args(Metric):
        if metric == name:
            return cast(Metric, metric)
    raise unknown_name("metric", name, get_args(Metric))


def confusion_matrix(y: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """(C, C) counts; row = true class, column = predicted class. `y` and `predicted` are (N,) class numbers."""
    flat = np.bincount(y * n_classes + predicted, minlength=n_classes * n_classes)
    return flat.reshape(n_classes, n_classes)


def shares_of(metric: Metric, confusions: np.ndarray) -> np.ndarray:
    """(...,) a metric that a confusion matrix holds, which the log-loss is not, of many `confusions` (..., C, C).

    `macro_average_precision` is Zheng's equation 6 as printed: the mean over all classes of TP / (TP + FN). The paper
    calls this a precision, but its formula and its words for FN (clips of the category predicted as another) are those
    of recall.
    """
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    true, predicted = confusions.sum(axis=-1), confusions.sum(axis=-2)
    if metric == "accuracy":
        return right.sum(axis=-1) / true.sum(axis=-1)
    if metric == "macro_f1":
        return ratios(2 * right, true + predicted).mean(axis=-1)
    recalls = ratios(right, true)
    if metric == "macro_average_precision":
        return recalls.mean(axis=-1)
    return recalls.sum(axis=-1) / (true > 0).sum(axis=-1)


def ratios(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """`parts` over `wholes`, 0 where a whole is 0."""
    return np.divide(parts, wholes, out=np.zeros(parts.shape), where=wholes > 0)


def log_loss(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative log-probability of the true class, in nats. `probabilities` (N, C)."""
    true = probabilities[np.arange(len(y)), y].astype(np.float64)
    return float(-np.log(np.clip(true, FLOOR, 1.0)).mean())


def worth(metric: Metric, y: np.ndarray, probabilities: np.ndarray) -> float:
    """The metric of `probabilities` (N, C), turned so that more is better."""
    if metric == "log_loss":
        return told(metric, log_loss(y, probabilities))
    return float(shares_of(metric, confusion_matrix(y, probabilities.argmax(axis=1), probabilities.shape[1])))


def told(metric: str, worth: float) -> float:
    """A worth as it is told, and what is told as a worth: the log-loss is positive, and less is better."""
    return -worth if metric == "log_loss" else worth


def held_out_metrics(probabilities: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """All that may be maximised, by name; the log-loss in nats.

    `probabilities` (N, C), rows summing to 1; `y` (N,) indexes the columns. Raises ValueError when there are no rows,
    Diverged when a probability is not finite: it would count as the first class.
    """
    n = len(y)
    if n == 0 or len(probabilities) != n:
        raise ValueError(f"Expected as many labels as rows and at least one, but got {n} and {len(probabilities)}.")
    if not np.isfinite(probabilities).all():
        bad = int((~np.isfinite(probabilities).all(axis=1)).sum())
        raise Diverged(f"Training diverged: the scores of {bad} of {n} held-out clips are not finite.")
    return {metric: told(metric, worth(metric, y, probabilities)) for metric in get_args(Metric)}


def search_value(metrics: Mapping[str, float], metric: str = "") -> float | None:
    """What a search maximises of a trial's or an epoch's `metrics`: the one named, turned so that more is better.

    Without a name it is the task's default: the accuracy, of continuous emotion the mean CCC. None where it was not
    measured.
    """
    value = metrics.get(metric or next((name for name in DEFAULT_METRICS if name in metrics), ""))
    return None if value is None else told(metric, value)


def in_words(metric: str) -> str:
    """A metric's name in a sentence."""
    return "CCC" if metric == "ccc" else metric
