"""Features of the spectrum: its shape, its bands, its change from frame to frame."""

from functools import cache
from itertools import pairwise

import librosa
import numpy as np
import scipy.fft

from features.audio.compiled import compile_first
from features.audio.yaafe.framing import BLOCK, EPS, RATE, change, shape_statistics

BINS = BLOCK // 2 + 1
MEL_BANDS, MFCC = 40, 13
_BARK_BANDS = 24
_OCTAVES = 9
_LOWEST_OCTAVE_HZ = 27.5
_HZ = np.arange(BINS) * RATE / BLOCK


def spectral_features(frames: np.ndarray) -> dict[str, np.ndarray]:
    """YAAFE's spectral features by name, each (T, D), of frames (T, 1024)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(BLOCK) / BLOCK)
    spectrum = scipy.fft.rfft(frames * window, axis=1)  # (T, BINS)
    magnitude = np.abs(spectrum)
    power = magnitude**2
    mel = magnitude @ _mel_bank().T
    bands = [_band(power, *edges) for edges in quarter_octaves()]
    distance, inner, norms = change(magnitude)
    loudness = _loudness(power)
    octaves = _octaves(power)
    columns = {
        "ComplexDomainOnsetDetection": _onset(spectrum),
        "Loudness": loudness,
        "MFCC": cepstrum(mel)[:, :MFCC],
        "MagnitudeSpectrum": magnitude,
        "MelSpectrum": mel,
        "OBSI": octaves,
        "OBSIR": np.diff(octaves, axis=1),
        "PerceptualSharpness": loudness @ _sharpness(),
        "PerceptualSpread": (1 - loudness.max(axis=1)) ** 2,
        "SpectralCrestFactorPerBand": np.column_stack([_crest(band) for band in bands]),
        "SpectralDecrease": ((magnitude[:, 1:] - magnitude[:, :1]) / np.arange(1, BINS)).sum(axis=1)
        / np.maximum(magnitude[:, 1:].sum(axis=1), EPS),
        "SpectralFlatness": _flatness(magnitude),
        "SpectralFlatnessPerBand": np.column_stack([_flatness(band) for band in bands]),
        "SpectralFlux": np.where(norms > 0, distance / np.maximum(norms, EPS), 0),
        "SpectralRolloff": (np.cumsum(power, axis=1) <= 0.99 * power.sum(axis=1, keepdims=True)).sum(axis=1) * _HZ[1],
        "SpectralShapeStatistics": shape_statistics(magnitude),
        "SpectralSlope": _slope(magnitude),
        "SpectralVariation": np.where(norms > 0, 1 - inner / np.maximum(norms, EPS), 0),
    }
    return {name: column.reshape(len(frames), -1) for name, column in columns.items()}


def cepstrum(x: np.ndarray) -> np.ndarray:
    """Cosine transform (T, n - 1) of the logarithms of (T, n), the first coefficient dropped.

    For a value that has no logarithm, as many MFCC have none, YAAFE takes ln(eps).
    """
    logarithm = np.log10(x, where=x > 0, out=np.full(x.shape, np.log(EPS)))
    return scipy.fft.dct(logarithm, norm="ortho", axis=1)[:, 1:]


@cache
def _mel_bank() -> np.ndarray:
    compile_first()
    return librosa.filters.mel(sr=RATE, n_fft=BLOCK, n_mels=MEL_BANDS, fmin=130, fmax=6854, htk=True, dtype=np.float64)


@cache
def quarter_octaves() -> tuple[tuple[int, int, int], ...]:
    """MPEG-7's bands of a quarter octave from 250 Hz, 5 % wider on both sides: (first bin, end, bins to add up)."""
    edges = 250 * 2 ** (np.arange(int(4 * np.log2(RATE / 2 / 250 / 1.05)) + 1) / 4)  # Hz
    bands = []
    for low, high in pairwise(edges):
        first, last = (int(hz / _HZ[1] + 0.5) for hz in (low * 0.95, high * 1.05))
        group = 1 if low < 1000 else 2 ** int(np.log2(low / 500))
        bands.append((first, first + int((last - first + 1) / group + 0.5) * group, group))
    return tuple(bands)


def _band(power: np.ndarray, first: int, end: int, group: int) -> np.ndarray:
    return power[:, first:end].reshape(len(power), -1, group).sum(axis=2)


def _crest(x: np.ndarray) -> np.ndarray:
    return x.max(axis=1) / np.maximum(x.mean(axis=1), EPS)


def _flatness(x: np.ndarray) -> np.ndarray:
    """Geometric over arithmetic mean (T,); 1 for silence."""
    return np.exp(np.log(x + EPS).mean(axis=1)) / (x + EPS).mean(axis=1)


def _slope(magnitude: np.ndarray) -> np.ndarray:
    """Slope of the regression of the magnitude on the frequency in Hz, over the magnitude's sum, (T,)."""
    offset = _HZ - _HZ.mean()
    return magnitude @ offset / (offset @ offset) / np.maximum(magnitude.sum(axis=1), EPS)


def _onset(spectrum: np.ndarray) -> np.ndarray:
    """Distance (T,) of each spectrum (T, BINS) from the one before, turned as far as that one was."""
    padded = np.vstack([np.zeros((2, spectrum.shape[1])), spectrum])
    size = np.abs(padded)
    turn = np.where(size > 0, padded / np.where(size > 0, size, 1), 1)
    return np.abs(padded[2:] - padded[1:-1] * turn[1:-1] * turn[:-2].conj()).sum(axis=1)


@cache
def _bark_starts() -> np.ndarray:
    bark = 13 * np.arctan(_HZ / 1315.8) + 3.5 * np.arctan((_HZ / 7518) ** 2)
    limits = np.arange(1, _BARK_BANDS) * bark[-1] / _BARK_BANDS
    return np.concatenate([[0], np.searchsorted(bark, limits, side="right")])


def _loudness(power: np.ndarray) -> np.ndarray:
    """Loudness in the Bark bands as shares of their sum, (T, 24)."""
    bands = np.add.reduceat(power[:, :-1], _bark_starts(), axis=1) ** 0.23
    return bands / np.maximum(bands.sum(axis=1, keepdims=True), EPS)


@cache
def _sharpness() -> np.ndarray:
    band = np.arange(1, _BARK_BANDS + 1)
    return 0.11 * band * np.where(band > 14, 0.066 * np.exp(0.171 * band), 1)


@cache
def _octave_bank() -> np.ndarray:
    """Triangles of height 2, one octave to either side of 27.5 Hz, 55 Hz, ...: (9, BINS)."""
    peaks = np.array([0, *(_LOWEST_OCTAVE_HZ * 2.0 ** np.arange(_OCTAVES)), RATE / 2])
    return np.array([np.interp(_HZ, peaks[i : i + 3], [0, 2, 0]) for i in range(_OCTAVES)])


def _octaves(power: np.ndarray) -> np.ndarray:
    """Log intensity (T, 9) in octaves, never lower than YAAFE's threshold, which hangs on the strongest bin."""
    threshold = np.sqrt(power.max(axis=1, keepdims=True) * 1e-6)
    return np.log(np.maximum(power @ _octave_bank().T, np.maximum(threshold, EPS)))
