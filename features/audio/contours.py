"""Low-level descriptors of speech, one value per 10 ms: spectrum, energy, pitch and voicing.

Windows of 25 ms (Hamming, 16 kHz), 64 ms for pitch; the first is centred on the first sample. All numbers are finite
for any finite signal.
"""

from dataclasses import dataclass
from functools import cache

import librosa
import numpy as np
import scipy.fft
from scipy.ndimage import uniform_filter1d

from features.audio.compiled import compile_first
from features.audio.pieces import pieces
from features.audio.speech import RATE

HOP = RATE // 100
_FFT = 512
_PITCH_WINDOW = 1024
_F0_MIN, _F0_MAX = 60.0, 600.0
_TINY = 1e-8
_HZ = np.fft.rfftfreq(_FFT, 1 / RATE)
_HEADROOM_NEPER = 3 * np.log(10.0)
_VOICED = 0.5
# Windows at a time, and how many more on either side: a window of pitch reaches over 3.2 steps.
_PIECE, _MARGIN = 4096, 8

SPECTRAL_NAMES = (
    *(f"mfcc_{i}" for i in range(15)),
    *(f"log_mel_{i}" for i in range(8)),
    *("loudness", "log_energy", "centroid", "spread", "roll_off_25", "roll_off_50", "roll_off_75", "roll_off_90"),
    *("entropy", "flatness", "flux", "slope_0_500", "slope_500_1500", "slope_0_5000", "alpha_ratio", "hammarberg"),
    *("zero_crossings", "voicing"),
)


@dataclass(frozen=True)
class Contours:
    """`spectral` (D, T) in the order of `SPECTRAL_NAMES`; `semitones` (T,) above 55 Hz; `active`, `voiced` (T,) bool.

    A window is active when its energy lies less than 30 dB below the clip's 95th percentile, and voiced when it is
    active and repeats itself after one period of its pitch.
    """

    spectral: np.ndarray
    semitones: np.ndarray
    active: np.ndarray
    voiced: np.ndarray


def contours(signal: np.ndarray) -> Contours:
    """The descriptors of a signal (samples,) at 16 kHz, at least 0.1 s; all but pitch are smoothed over 3 windows."""
    compile_first()
    count, parts = 1 + len(signal) // HOP, []
    for computed, kept in pieces(count, _PIECE, _MARGIN):
        end = None if computed.stop == count else computed.stop * HOP
        parts.append(_rows(signal[computed.start * HOP : end])[:, kept])
    *rows, f0 = np.hstack(parts)  # (D + 1, T)
    spectral = uniform_filter1d(np.stack(rows), 3, axis=1, mode="nearest")
    energy = spectral[SPECTRAL_NAMES.index("log_energy")]
    active = energy > np.percentile(energy, 95) - _HEADROOM_NEPER
    return Contours(spectral, 12 * np.log2(f0 / 55), active, active & (rows[-1] > _VOICED))


def _rows(signal: np.ndarray) -> np.ndarray:
    """The contours of `SPECTRAL_NAMES`, not smoothed, and the pitch in Hz below them, (D + 1, T) float64."""
    emphasised = _power(np.append(signal[:1], signal[1:] - np.float32(0.97) * signal[:-1]))  # (bins, T)
    log_mel = np.log(_mel(26, 8000) @ emphasised + _TINY)
    log_bands = np.log(_mel(8, 6500) @ emphasised + _TINY)
    crossings = librosa.feature.zero_crossing_rate(signal, frame_length=400, hop_length=HOP)
    f0 = librosa.yin(signal, fmin=_F0_MIN, fmax=_F0_MAX, sr=RATE, frame_length=_PITCH_WINDOW, hop_length=HOP)
    mfcc = scipy.fft.dct(log_mel, axis=0, norm="ortho")[:15]
    rows = [mfcc, log_bands, *_shape_of(_power(signal)), crossings, _periodicity(signal, f0), f0]
    return np.vstack(rows).astype(np.float64)


@cache
def _mel(bands: int, f_max: float) -> np.ndarray:
    return librosa.filters.mel(sr=RATE, n_fft=_FFT, n_mels=bands, fmin=20, fmax=f_max, norm=None, htk=True)


def _power(signal: np.ndarray) -> np.ndarray:
    spectrum = librosa.stft(signal, n_fft=_FFT, win_length=400, hop_length=HOP, window="hamming")
    return np.abs(spectrum) ** 2


def _shape_of(power: np.ndarray) -> list[np.ndarray]:
    """Loudness, energy and the shape of the spectrum `power` (bins, T): the names from `loudness` to `hammarberg`."""
    energy = power.sum(axis=0)
    share = power / (energy + _TINY)
    centroid = _HZ @ share
    spread = np.sqrt(((_HZ[:, None] - centroid) ** 2 * share).sum(axis=0))
    below = np.cumsum(share, axis=0)
    roll_offs = [(below < q).sum(axis=0) * RATE / _FFT for q in (0.25, 0.5, 0.75, 0.9)]
    magnitude = np.sqrt(power)
    magnitude /= magnitude.sum(axis=0) + _TINY
    decibels = 10 * np.log10(power + _TINY)
    return [
        ((_mel(26, 8000) @ power) ** 0.3).sum(axis=0),
        np.log(energy + _TINY),
        centroid,
        spread,
        *roll_offs,
        -(share * np.log(share + _TINY)).sum(axis=0),
        np.log(power + _TINY).mean(axis=0) - np.log(power.mean(axis=0) + _TINY),
        (np.diff(magnitude, axis=1, prepend=magnitude[:, :1]) ** 2).sum(axis=0),
        *(_slope(decibels, low, high) for low, high in ((0, 500), (500, 1500), (0, 5000))),
        _level(power, 50, 1000) - _level(power, 1000, 5000),
        decibels[_HZ < 2000].max(axis=0) - decibels[(_HZ > 2000) & (_HZ < 5000)].max(axis=0),
    ]


def _slope(decibels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Least-squares slope of the spectrum from `low` to `high` Hz, dB per kHz, (T,)."""
    band = (low <= _HZ) & (high >= _HZ)
    offset = _HZ[band] - _HZ[band].mean()
    return offset @ decibels[band] / (offset @ offset) * 1000


def _level(power: np.ndarray, low: float, high: float) -> np.ndarray:
    return 10 * np.log10(power[(low < _HZ) & (high > _HZ)].sum(axis=0) + _TINY)


def _periodicity(signal: np.ndarray, f0: np.ndarray) -> np.ndarray:
    """Autocorrelation at one period of `f0` (T,), divided by the window's own: 1 for a periodic window, (T,)."""
    window = np.hanning(_PITCH_WINDOW).astype(np.float32)
    padded = np.pad(signal, _PITCH_WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _PITCH_WINDOW)[::HOP][: len(f0)] * window
    length, lags = 2 * _PITCH_WINDOW, int(RATE / _F0_MIN) + 2

    def autocorrelation(x: np.ndarray) -> np.ndarray:
        return scipy.fft.irfft(np.abs(scipy.fft.rfft(x, length)) ** 2)[..., :lags]

    correlation, own = autocorrelation(frames), autocorrelation(window)
    period = np.clip(np.round(RATE / f0).astype(int), 1, lags - 1)
    at_period = correlation[np.arange(len(f0)), period] / (correlation[:, 0] + 1e-6)
    return np.clip(at_period / (own[period] / own[0]), -1.0, 1.2)
