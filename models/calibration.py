"""Decision values to probabilities: softmax(decisions / temperature), the temperature learnt out of fold.

On acted speech one temperature gave lower log loss than Platt's sigmoid per class, and it never changes which class is
first. The folds keep a speaker's clips together: with speakers on both sides the temperature comes out overconfident.
"""

import warnings

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from models.pulse import beat

FOLDS = 5
_LEAST = 1e-3
_LOG_RANGE = (np.log(1e-3), np.log(1e3))

Fold = tuple[np.ndarray, np.ndarray]


def decisions(pipeline: Pipeline, X: np.ndarray) -> np.ndarray:
    """Decision values (N, C), a column for each of `pipeline.classes_`.

    Of a classifier without any they are the logarithms of its probabilities, of 1e-3 for those below, since a forest
    gives 0 to what none of its trees votes for.
    """
    if not hasattr(pipeline, "decision_function"):
        return np.log(np.maximum(np.asarray(pipeline.predict_proba(X), np.float64), _LEAST))
    values = pipeline.decision_function(X)
    return values if values.ndim == 2 else np.column_stack([-values, values])


def learn_temperature(
    pipeline: Pipeline, X: np.ndarray, y: np.ndarray, groups: tuple[str, ...] | None, seed: int
) -> float:
    """The temperature for `pipeline` when it is fitted on X (N, F), y (N,); 1.0 where no folds can be made."""
    values, labels = [], []
    index = np.searchsorted(np.unique(y), y)
    for train, test in folds(y, groups, seed):
        beat()
        values.append(decisions(clone(pipeline).fit(X[train], y[train]), X[test]))
        labels.append(index[test])
    return best_temperature(np.concatenate(values), np.concatenate(labels)) if values else 1.0


def best_temperature(values: np.ndarray, y: np.ndarray) -> float:
    """The temperature with the lowest log loss for decision values (N, C) and columns y (N,).

    The targets are Platt's, (N + 1) / (N + 2) instead of 1: N right decisions don't make the next one certain.
    """
    n, c = values.shape
    targets = np.full((n, c), 1 / (n + 2) / (c - 1))
    targets[np.arange(n), y] = (n + 1) / (n + 2)

    def log_loss(log_temperature: float) -> float:
        return -(targets * log_softmax(values / np.exp(log_temperature), axis=1)).sum()

    return float(np.exp(minimize_scalar(log_loss, bounds=_LOG_RANGE, method="bounded").x))


def folds(y: np.ndarray, groups: tuple[str, ...] | None, seed: int) -> list[Fold]:
    """At most 5 (train, test) index pairs; every train side holds every class of `y` (N,).

    Groups stay on one side where that is possible, else classes are spread evenly. A class's only clip is always
    trained on and never tested. Empty when no class has two clips.
    """
    classes, counts = np.unique(y, return_counts=True)
    testable = np.flatnonzero(np.isin(y, classes[counts > 1]))
    if not len(testable):
        return []
    most = int(counts.max())
    if groups is not None and (number := len(set(groups))) > 1:
        split = StratifiedGroupKFold(min(FOLDS, number, most), shuffle=True, random_state=seed)
        grouped = _split(split, np.arange(len(y)), y, np.asarray(groups))
        if all(len(test) and len(np.unique(y[train])) == len(classes) for train, test in grouped):
            return grouped
    split = StratifiedKFold(min(FOLDS, most), shuffle=True, random_state=seed)
    lone = np.setdiff1d(np.arange(len(y)), testable)
    return [(np.union1d(train, lone), test) for train, test in _split(split, testable, y, None)]


def _split(
    split: StratifiedKFold | StratifiedGroupKFold, rows: np.ndarray, y: np.ndarray, groups: np.ndarray | None
) -> list[Fold]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        pairs = split.split(rows, y[rows], None if groups is None else groups[rows])
        return [(rows[train], rows[test]) for train, test in pairs if len(test)]
