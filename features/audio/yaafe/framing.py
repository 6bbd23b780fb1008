"""Frames centred on multiples of the step, and statistics that several features share."""

import numpy as np

RATE = 16_000
BLOCK, STEP = 1024, 512
LONG_BLOCK, LONG_STEP = 32_768, 16_384
EPS = float(np.finfo(np.float64).eps)

# The spread of a frame whose energy lies on a single sample or bin; without it such a frame's kurtosis has no bound.
_MIN_SPREAD = 0.01


def frames(signal: np.ndarray, block: int = BLOCK, step: int = STEP) -> np.ndarray:
    """Frames (T, block) float64 of a signal (samples,), frame i centred on i * step; T = (samples - 1) // step + 1."""
    padded = np.pad(signal.astype(np.float64), (block // 2, (block - 1) // 2))
    return np.lib.stride_tricks.sliding_window_view(padded, block)[::step]


def shape_statistics(x: np.ndarray) -> np.ndarray:
    """Centroid, spread, skewness and excess of kurtosis (T, 4) of each row of (T, n), read as weights of 0 ... n-1.

    The kurtosis is the textbook's; YAAFE's source has the square of the centroid missing in one of its terms.
    """
    position = np.arange(x.shape[1])
    weight = np.abs(x) / np.maximum(np.abs(x).sum(axis=1, keepdims=True), EPS)
    centroid = weight @ position
    offset = position - centroid[:, None]
    second, third, fourth = ((weight * offset**k).sum(axis=1) for k in (2, 3, 4))
    spread = np.maximum(np.sqrt(second), _MIN_SPREAD)
    return np.column_stack([centroid, spread, third / spread**3, fourth / spread**4 - 3])


def change(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared distance, inner product and product of norms (T,) of each row of (T, n) and the row before it."""
    before = np.vstack([np.zeros_like(x[:1]), x[:-1]])
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(before, axis=1)
    return ((x - before) ** 2).sum(axis=1), (x * before).sum(axis=1), norms
