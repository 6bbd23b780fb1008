"""Guo's image-like audio maps: squares of 34 short-term features x 34 windows, each half over the one before.

A map's rows are the features of `short_term`, its columns windows of 100 ms every 50 ms, so it spans 1.75 s.
"""

from collections.abc import Mapping

import numpy as np

from features.audio import short_term
from features.sets import FeatureArray, FeatureSet, Media, Value

SIDE = short_term.DIMENSION
STRIDE = SIDE // 2


def audio_maps(rows: np.ndarray) -> np.ndarray:
    """Maps ((n' - 17) / 17, 34, 34) from short-term features (n, 34), one row per window, n at least 1 (Guo, 2.4).

    The last window is repeated until there are n' of them, the next multiple of 17 and at least 34.
    """
    windows = np.lib.stride_tricks.sliding_window_view(_padded(rows), SIDE, axis=0)  # (n' - 33, 34, 34)
    return windows[::STRIDE].copy()


def _padded(rows: np.ndarray) -> np.ndarray:
    length = max(SIDE, -(-len(rows) // STRIDE) * STRIDE)
    return np.concatenate([rows, np.repeat(rows[-1:], length - len(rows), axis=0)])


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """The clip's maps (T, 34, 34) float32; a map's time is the mean of its windows' times."""
    windows = short_term.extract(media, {})
    times = np.lib.stride_tricks.sliding_window_view(_padded(windows.time_s), SIDE)[::STRIDE]  # (T, 34)
    return FeatureArray(audio_maps(windows.values), times.mean(axis=1))


def shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    """(34, 34)."""
    return (SIDE, SIDE)


SET = FeatureSet(
    name="audio_maps",
    # The maps change whenever the features in them do.
    version=short_term.SET.version,
    level="frame",
    summary="34x34 maps of the short-term features over 1.75 s, 50 % overlap (Guo)",
    extract=extract,
    shape=shape,
)
