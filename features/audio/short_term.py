"""Guo's 34 short-term features: windows of 100 ms, 50 % overlap, a row per window.

Guo ran pyAudioAnalysis; its definitions are followed to the number, the signal's normalisation (mean 0, peak 1) and its
way with chroma included. Columns: zero-crossing rate, energy, entropy of energy, spectral centroid, spread, entropy,
flux, roll-off, 13 MFCC, 12 chroma (from A), chroma deviation.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np
import scipy.fft

from features.audio.pieces import pieces
from features.audio.speech import RATE, read_speech
from features.sets import FeatureArray, FeatureSet, Media, Value

WINDOW = RATE // 10
STEP = WINDOW // 2
BINS = WINDOW // 2
DIMENSION = 34
_PIECE = 1024
_BLOCKS = 10
_ROLL_OFF = 0.9
_EPS = float(np.finfo(np.float64).eps)


def short_term_features(signal: np.ndarray) -> np.ndarray:
    """Features (T, 34) float32 of a signal (samples,) at 16 kHz of at least one window; T = (samples - 800) // 800."""
    x = signal.astype(np.float64) - signal.mean(dtype=np.float64)
    x /= np.abs(x).max() + 1e-10
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::STEP]  # (T, WINDOW)
    # The flux of a window looks at the one before.
    return np.vstack([_rows(frames[computed])[kept] for computed, kept in pieces(len(frames), _PIECE, margin=1)])


def _rows(frames: np.ndarray) -> np.ndarray:
    """Features (T, 34) float32 of windows (T, WINDOW) of a normalised signal."""
    magnitude = np.abs(scipy.fft.rfft(frames, axis=1))[:, :BINS] / BINS  # (T, BINS)
    power = magnitude**2
    centroid, spread = _centroid_and_spread(magnitude)
    chroma = power @ _chroma_map().T / np.maximum(power.sum(axis=1, keepdims=True), _EPS)  # (T, 12)
    columns = (
        np.abs(np.diff(np.sign(frames), axis=1)).sum(axis=1) / 2 / (WINDOW - 1),
        (frames**2).mean(axis=1),
        _block_entropy(frames),
        centroid,
        spread,
        _block_entropy(magnitude),
        _flux(magnitude),
        _roll_off(power),
        scipy.fft.dct(np.log10(magnitude @ _mel_bank().T + _EPS), norm="ortho", axis=1)[:, :13],
        chroma,
        chroma.std(axis=1),
    )
    return np.column_stack(columns).astype(np.float32)


def _block_entropy(values: np.ndarray) -> np.ndarray:
    """Entropy in bits of how the energy of each row of (T, n) spreads over 10 equal blocks, (T,)."""
    energy = values**2
    blocks = energy.reshape(len(energy), _BLOCKS, -1).sum(axis=2)
    share = blocks / (energy.sum(axis=1, keepdims=True) + _EPS)
    return -(share * np.log2(share + _EPS)).sum(axis=1)


def _centroid_and_spread(magnitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The spectrum's mean and standard deviation as fractions of half the sampling rate, each (T,)."""
    position = np.arange(1, BINS + 1) / BINS
    peak = magnitude.max(axis=1, keepdims=True)
    weight = magnitude / np.where(peak > 0, peak, 1.0)
    total = weight.sum(axis=1) + _EPS
    centroid = weight @ position / total
    deviation = (position - centroid[:, None]) ** 2
    return centroid, np.sqrt((deviation * weight).sum(axis=1) / total)


def _flux(magnitude: np.ndarray) -> np.ndarray:
    """Squared distance of the normalised spectrum to that of the window before, 0 for the first, (T,)."""
    share = magnitude / (magnitude + _EPS).sum(axis=1, keepdims=True)
    return (np.diff(share, axis=0, prepend=share[:1]) ** 2).sum(axis=1)


def _roll_off(power: np.ndarray) -> np.ndarray:
    """The share of the bins below which 90 % of the energy lies, (T,)."""
    above = np.cumsum(power, axis=1) + _EPS > _ROLL_OFF * power.sum(axis=1, keepdims=True)
    return above.argmax(axis=1) / BINS


@cache
def _mel_bank() -> np.ndarray:
    """40 triangles of area 1, (40, BINS): 13 spaced evenly from 133.33 Hz by 200/3 Hz, 27 by a factor of 1.0711703."""
    linear = 133.33 + np.arange(13) * 200 / 3
    edges = np.concatenate([linear, linear[-1] * 1.0711703 ** np.arange(1, 30)])  # (42,) Hz
    # pyAudioAnalysis spaces the bins over the whole sampling rate, though the spectrum holds its lower half only.
    frequency = np.arange(BINS) / BINS * RATE
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (frequency - lower) / (centre - lower)
    falling = (upper - frequency) / (upper - centre)
    return 2 / (upper - lower) * np.maximum(0, np.minimum(rising, falling))


@cache
def _chroma_map() -> np.ndarray:
    """The linear map (12, BINS) from power to pitch classes.

    pyAudioAnalysis lets the last bin of a semitone overwrite the others, counts semitones below 27.5 Hz from the end
    of the spectrum, and divides entry k by the size of the semitone of bin s, where s is the semitone of bin k. Guo's
    chroma were made so, and so are these.
    """
    semitone = np.round(12 * np.log2(np.arange(1, BINS + 1) / BINS * RATE / 2 / 27.5)).astype(int)
    names, counts = np.unique(semitone, return_counts=True)
    bins_of = dict(zip(names.tolist(), counts.tolist(), strict=True))
    bank = np.zeros((12, BINS))
    for k, last_bin in {s % BINS: b for b, s in enumerate(semitone.tolist())}.items():
        bank[k % 12, last_bin] += 1 / bins_of[int(semitone[semitone[k]])]
    return bank


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """The clip's (T, 34) float32; a row's time is the middle of its window."""
    values = short_term_features(read_speech(media))
    return FeatureArray(values, (np.arange(len(values)) * STEP + WINDOW / 2) / RATE)


def shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    """(34,)."""
    return (DIMENSION,)


SET = FeatureSet(
    name="short_term",
    version=2,
    level="frame",
    summary="34 short-term features per 100 ms window, 50 % overlap (Guo; pyAudioAnalysis' definitions)",
    extract=extract,
    shape=shape,
)
