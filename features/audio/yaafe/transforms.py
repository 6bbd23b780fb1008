"""YAAFE's transforms of a feature over time: derivatives and the peaks of its autocorrelation."""

import numpy as np
import scipy.fft
from scipy.ndimage import correlate1d, maximum_filter1d

from features.audio.yaafe.framing import EPS

PEAKS = 3
INTEGRATED, INTEGRATED_STEP = 60, 30
_MIN_DISTANCE = 5


def derivatives(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and second derivative per frame of (T, D): slopes over 4 frames to either side, then over 1."""
    slope = np.arange(-4, 5) / 60
    first = correlate1d(x, slope, axis=0, mode="nearest")
    return first, correlate1d(first, [-0.5, 0, 0.5], axis=0, mode="nearest")


def autocorrelation_peaks(x: np.ndarray) -> np.ndarray:
    """Lag and height of the three highest peaks of each column's autocorrelation over 60 frames, every 30: (J, 6 D).

    Row j is centred on frame 30 j of (T, D). Peaks lie 5 frames apart or more, and past the slope from lag 0; where
    there are fewer than three, zeros follow.
    """
    padded = np.pad(x, ((INTEGRATED // 2, (INTEGRATED - 1) // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, INTEGRATED, axis=0)[::INTEGRATED_STEP]  # (J, D, 60)
    spectrum = scipy.fft.rfft(windows, 2 * INTEGRATED, axis=2)
    correlation = scipy.fft.irfft(np.abs(spectrum) ** 2, axis=2)[..., :INTEGRATED]
    correlation /= np.maximum(correlation[..., :1], EPS)
    rising = np.diff(correlation, axis=2, append=np.inf) >= 0
    past_slope = np.where(np.logical_or.accumulate(rising, axis=2), correlation, 0)
    highest = maximum_filter1d(past_slope, 2 * _MIN_DISTANCE + 1, axis=2) == past_slope
    highest[..., :_MIN_DISTANCE] = highest[..., INTEGRATED - _MIN_DISTANCE :] = False
    height = np.where(highest & (past_slope > 0), past_slope, 0)
    lag = np.argsort(-height, axis=2, kind="stable")[..., :PEAKS]  # (J, D, 3)
    height = np.take_along_axis(height, lag, axis=2)
    return np.stack([np.where(height > 0, lag, 0), height], axis=3).reshape(len(windows), -1)
