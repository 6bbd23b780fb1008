"""Features of the amplitude's envelope over 2 s, every second: its course, its shape, tremolo and graininess."""

import numpy as np
import scipy.fft
import scipy.signal

from features.audio.pieces import pieces
from features.audio.yaafe.framing import LONG_BLOCK, LONG_STEP, RATE, frames, shape_statistics

_PIECE = 64
_DECIMATION = 200
_FILTER_S = 0.05
_TREMOLO_HZ, _GRAIN_HZ = (4, 8), (10, 40)


def envelope_features(signal: np.ndarray) -> dict[str, np.ndarray]:
    """YAAFE's envelope features by name, each (T, D), of a signal (samples,); T = (samples - 1) // 16384 + 1."""
    long = frames(signal, LONG_BLOCK, LONG_STEP)
    envelope = np.vstack([_envelope(long[computed]) for computed, _ in pieces(len(long), _PIECE)])
    return {
        "AmplitudeModulation": _modulation(envelope),
        "Envelope": envelope,
        "EnvelopeShapeStatistics": shape_statistics(envelope),
    }


def _envelope(long_frames: np.ndarray) -> np.ndarray:
    """The amplitude (T, 164) of frames (T, 32768), filtered over 50 ms and taken every 200 samples."""
    length = round(_FILTER_S * RATE)
    falling = scipy.signal.windows.hann(2 * length + 2)[1:-1][length:]
    amplitude = np.abs(scipy.signal.hilbert(long_frames, axis=1))
    filled = -amplitude.shape[1] % _DECIMATION
    padded = np.pad(amplitude, ((0, 0), (length - _DECIMATION, filled)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, length, axis=1)[:, ::_DECIMATION]
    return windows @ (falling / falling.sum())


def _modulation(envelope: np.ndarray) -> np.ndarray:
    """Tremolo and grain (T, 8), four numbers each.

    They are the strongest frequency in Hz, how far its magnitude stands out from the mean over all frequencies and from
    that over its band, and the product of the first two.
    """
    n = envelope.shape[1]
    windowed = envelope * scipy.signal.windows.hann(n + 2)[1:-1]
    magnitude = np.abs(scipy.fft.rfft(windowed, LONG_BLOCK, axis=1))[:, : LONG_BLOCK // 2]
    hz_per_bin = RATE / _DECIMATION / LONG_BLOCK
    columns = []
    for low, high in (_TREMOLO_HZ, _GRAIN_HZ):
        first, end = int(np.ceil(low / hz_per_bin)) - 1, int(np.ceil(high / hz_per_bin))
        # At 16 kHz the grain's upper end is half the envelope's own rate.
        band = magnitude[:, first:end]
        hz = (first + band.argmax(axis=1)) * hz_per_bin
        peak = band.max(axis=1)
        strength = np.maximum(peak - magnitude.mean(axis=1), 0)
        columns += [hz, strength, np.maximum(peak - band.mean(axis=1), 0), hz * strength]
    return np.column_stack(columns)
