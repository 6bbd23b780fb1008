"""How far probabilities can be believed: reliability by bins, the expected calibration error, risk over coverage."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Bin:
    """Clips whose highest probability lies between `low` and `high`: how many, what they say, and the share right."""

    low: float
    high: float
    n: int
    said: float
    right: float


def reliability(P: np.ndarray, y: np.ndarray, bins: int = 10) -> list[Bin]:
    """The bins of equal width that hold a clip; `P` (N, C), `y` (N,)."""
    sure, right = P.max(axis=1).astype(float), P.argmax(axis=1) == y
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for b in range(bins):
        own = place == b
        if own.any():
            found.append(Bin(edges[b], edges[b + 1], int(own.sum()), float(sure[own].mean()), float(right[own].mean())))
    return found


def expected_error(P: np.ndarray, y: np.ndarray, bins: int = 10) -> float:
    """The expected calibration error of Guo et al. (2017): the mean gap between sure and right, weighted by clips."""
    return sum(b.n * abs(b.said - b.right) for b in reliability(P, y, bins)) / len(y)


def kept_accuracy(P: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N,) the accuracy on the 1, 2, ... N clips of which the scores are surest; of equals in the order given."""
    order = np.argsort(-P.max(axis=1), kind="stable")
    return np.cumsum((P.argmax(axis=1) == y)[order]) / np.arange(1, len(y) + 1)
