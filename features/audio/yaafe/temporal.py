"""Features of the samples themselves: zero crossings, energy, autocorrelation and linear prediction."""

import numpy as np
import scipy.fft

from features.audio.yaafe.framing import EPS, shape_statistics

LAGS = 49
_LPC_ORDER, _LSF_ORDER = 2, 10
# Keeps the normal equations of a pure tone or of silence solvable.
_RIDGE = 1e-9


def temporal_features(frames: np.ndarray) -> dict[str, np.ndarray]:
    """YAAFE's temporal features by name, each (T, D), of frames (T, block)."""
    spectrum = scipy.fft.rfft(frames, 2 * frames.shape[1], axis=1)
    correlation = scipy.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :LAGS]
    return {
        "AutoCorrelation": correlation,
        "Energy": np.sqrt((frames**2).mean(axis=1))[:, None],
        "LPC": linear_prediction(correlation, _LPC_ORDER),
        "LSF": line_spectral_frequencies(linear_prediction(correlation, _LSF_ORDER)),
        "TemporalShapeStatistics": shape_statistics(frames),
        "ZCR": _zero_crossings(frames)[:, None] / frames.shape[1],
    }


def linear_prediction(correlation: np.ndarray, order: int) -> np.ndarray:
    """The coefficients a1 ... (T, order) of A(z) = 1 + a1/z + ... from autocorrelations (T, order + 1 or more)."""
    lag = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
    matrix = correlation[:, lag] + (_RIDGE * correlation[:, :1, None] + EPS) * np.eye(order)
    return np.linalg.solve(matrix, -correlation[:, 1 : order + 1, None])[..., 0]


def line_spectral_frequencies(lpc: np.ndarray) -> np.ndarray:
    """Line spectral frequencies (T, order) in radians, rising, of A(z) (T, order) of even order.

    They are the angles of the zeros of A(z) +- z^-(order + 1) A(1/z), without those at z = -1 and z = 1.
    """
    a = np.pad(lpc, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
    sign = (-1.0) ** np.arange(a.shape[1])
    # Dividing by 1 + 1/z or 1 - 1/z is a running sum.
    both = np.cumsum(sign * (a + a[:, ::-1]), axis=1) * sign, np.cumsum(a - a[:, ::-1], axis=1)
    return np.sort(np.hstack([_angles(p[:, :-1]) for p in both]), axis=1)


def _angles(polynomials: np.ndarray) -> np.ndarray:
    """The angles of the zeros in the upper half plane (T, n/2) of polynomials (T, n + 1) that start with 1."""
    n = polynomials.shape[1] - 1
    companion = np.zeros((len(polynomials), n, n))
    companion[:, 0] = -polynomials[:, 1:]
    companion[:, np.arange(1, n), np.arange(n - 1)] = 1
    return np.sort(np.abs(np.angle(np.linalg.eigvals(companion))), axis=1)[:, ::2]


def _zero_crossings(frames: np.ndarray) -> np.ndarray:
    """Changes of sign (T,), zeros left out."""
    sign = np.sign(frames)
    last = np.maximum.accumulate(np.where(sign != 0, np.arange(sign.shape[1]), 0), axis=1)
    sign = np.take_along_axis(sign, last, axis=1)
    return (sign[:, 1:] * sign[:, :-1] < 0).sum(axis=1)
