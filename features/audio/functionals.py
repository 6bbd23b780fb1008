"""A clip-level speech set on librosa for those who can't use openSMILE: contours x functionals, 921 numbers.

- 41 spectral contours (15 MFCC, 8 log-mel bands, loudness, energy, spectral shape, zero crossings, voicing; see
  `contours`) and their slopes, over the active windows, x 10 functionals;
- pitch in semitones, its slope and its jumps, over the voiced windows, x 10 functionals;
- 8 numbers on timing: voiced runs and pauses, durations;
- 63 numbers on rhythm: log magnitude of 9 contours' modulation in 7 bands from 1 to 30 Hz.

Silence before and after the words is left out on purpose: with it a linear SVM loses about 5 points on acted speech.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from features.audio.contours import HOP, SPECTRAL_NAMES, Contours, contours
from features.audio.speech import RATE, read_speech
from features.sets import FeatureArray, FeatureSet, Media, Value

FUNCTIONALS = ("mean", "std", "skewness", "kurtosis", "p5", "p25", "p50", "p75", "p95", "trend")
PITCH = ("pitch", "pitch_delta", "pitch_jump")
TIMING = (
    *("voiced_share", "voiced_runs_per_s", "voiced_mean_s", "voiced_std_s", "pause_mean_s", "pause_std_s"),
    *("log_duration", "log_active_duration"),
)
RHYTHM = (*(f"log_mel_{i}" for i in range(8)), "loudness")
_RHYTHM_HZ = (1, 2, 4, 6, 9, 13, 20, 30)
_RHYTHM_WINDOWS = 512
# Fewer windows than this don't carry percentiles and moments: the contour is then taken whole.
_MIN_WINDOWS = 10


def names() -> tuple[str, ...]:
    """The name of each of the numbers, in order."""
    tracks = (*SPECTRAL_NAMES, *(f"{name}_delta" for name in SPECTRAL_NAMES), *PITCH)
    rhythm = (f"{name}_rhythm_{low}_{high}_hz" for name in RHYTHM for low, high in pairwise(_RHYTHM_HZ))
    return (*(f"{track}_{functional}" for track in tracks for functional in FUNCTIONALS), *TIMING, *rhythm)


def functionals(x: np.ndarray) -> np.ndarray:
    """Statistics (D, 10) of contours (D, T) in the order of `FUNCTIONALS`.

    Skewness and excess of kurtosis enter through logarithms, since a few windows can make them huge; `trend` is the
    covariance with time, which runs from -0.5 to 0.5.
    """
    mean, std = x.mean(axis=1), x.std(axis=1)
    z = (x - mean[:, None]) / (std[:, None] + 1e-6)
    skewness, kurtosis = (z**3).mean(axis=1), (z**4).mean(axis=1)
    moments = (mean, std, np.sign(skewness) * np.log1p(np.abs(skewness)), np.log(kurtosis + 1e-3))
    trend = x @ np.linspace(-0.5, 0.5, x.shape[1]) / x.shape[1]
    return np.column_stack([*moments, *np.percentile(x, [5, 25, 50, 75, 95], axis=1), trend])


def speech_functionals(signal: np.ndarray) -> np.ndarray:
    """All numbers (921,) float32 of a signal (samples,) at 16 kHz, at least 0.1 s long."""
    c = contours(signal)
    spectral = np.vstack([c.spectral, _delta(c.spectral)])
    pitch = c.semitones[None]
    pitch = np.vstack([pitch, _delta(pitch), np.abs(np.diff(pitch, axis=1, append=pitch[:, -1:]))])
    parts = (functionals(_where(spectral, c.active)), functionals(_where(pitch, c.voiced)), _timing(c), _rhythm(c))
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)


def _where(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return x[:, mask] if mask.sum() >= _MIN_WINDOWS else x


def _delta(x: np.ndarray) -> np.ndarray:
    """Slope per window by regression over two windows to either side, (D, T)."""
    p = np.pad(x, ((0, 0), (2, 2)), mode="edge")
    return (2 * (p[:, 4:] - p[:, :-4]) + p[:, 3:-1] - p[:, 1:-3]) / 10


def _timing(c: Contours) -> np.ndarray:
    """The numbers of `TIMING`, (8,)."""
    windows_per_s = RATE / HOP
    edges = np.flatnonzero(np.diff(np.concatenate([[0], c.voiced.astype(int), [0]])))
    lengths = np.diff(edges) / windows_per_s
    runs, pauses = lengths[::2], lengths[1::2]
    spans = [statistic(x) if len(x) else 0.0 for x in (runs, pauses) for statistic in (np.mean, np.std)]
    duration_s = len(c.voiced) / windows_per_s
    durations = np.log([duration_s, max(c.active.sum(), 1) / windows_per_s])
    return np.array([c.voiced.mean(), len(runs) / duration_s, *spans, *durations])


def _rhythm(c: Contours) -> np.ndarray:
    """Log magnitude of the modulation of the contours of `RHYTHM` over their first 5.12 s, (9, 7)."""
    x = c.spectral[[SPECTRAL_NAMES.index(name) for name in RHYTHM]]
    x = (x - x.mean(axis=1, keepdims=True))[:, :_RHYTHM_WINDOWS]
    magnitude = np.abs(np.fft.rfft(x * np.hanning(x.shape[1]), _RHYTHM_WINDOWS, axis=1))
    hz = np.fft.rfftfreq(_RHYTHM_WINDOWS, HOP / RATE)
    bands = [magnitude[:, (low <= hz) & (hz < high)].mean(axis=1) for low, high in pairwise(_RHYTHM_HZ)]
    return np.log(np.column_stack(bands) + 1e-6)


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """The clip's numbers, (1, 921) float32."""
    return FeatureArray(speech_functionals(read_speech(media))[None], np.zeros(1))


def shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    """(921,)."""
    return (len(names()),)


SET = FeatureSet(
    name="functionals",
    version=2,
    level="clip",
    summary="921 statistics of spectrum, energy, pitch, timing and rhythm (librosa; permissive)",
    extract=extract,
    shape=shape,
)
