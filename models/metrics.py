"""Metrics of class probabilities on held-out clips, the same for every family; and the one that a search maximises."""

from collections.abc import Mapping

import numpy as np

from features.errors import Diverged

# A confident mistake must not make the mean infinite; float32 can't tell 1 - eps from 1 any finer.
_FLOOR = float(np.finfo(np.float32).eps)


def held_out_metrics(probabilities: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """`accuracy`, `unweighted_accuracy` (mean recall of the classes that occur in `y`) and `log_loss` in nats.

    `probabilities` (N, C), rows summing to 1; `y` (N,) indexes the columns. Raises ValueError when there are no rows,
    Diverged when a probability is not finite: it would count as the first class.
    """
    n = len(y)
    if n == 0 or len(probabilities) != n:
        raise ValueError(f"Expected as many labels as rows and at least one, but got {n} and {len(probabilities)}.")
    if not np.isfinite(probabilities).all():
        bad = int((~np.isfinite(probabilities).all(axis=1)).sum())
        raise Diverged(f"Training diverged: the scores of {bad} of {n} held-out clips are not finite.")
    right = probabilities.argmax(axis=1) == y
    recalls = [right[y == c].mean() for c in np.unique(y)]
    true_p = probabilities[np.arange(n), y].astype(np.float64)
    return {
        "accuracy": float(right.mean()),
        "unweighted_accuracy": float(np.mean(recalls)),
        "log_loss": float(-np.log(np.clip(true_p, _FLOOR, 1.0)).mean()),
    }


def search_value(metrics: Mapping[str, float]) -> float | None:
    """What a search maximises: the accuracy, of continuous emotion the mean CCC; None where neither was measured."""
    return metrics.get("accuracy", metrics.get("ccc"))
