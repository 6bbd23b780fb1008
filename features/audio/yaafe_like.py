"""Chao's audio features (section 3.3): YAAFE's 27 and four transforms of its MFCC, per 1,024 samples of 16 kHz.

27 features, 901 numbers: those of `FEATURES`, as YAAFE's source defines them with its default parameters. Transforms of
the MFCC, 116 numbers: first and second derivative (13 each), cepstrum (12), peaks of the autocorrelation (6 for each
coefficient, 78). Together 1,017; the paper says 939, which is the sum without the peaks: `peaks=false` gives those.

Frames come every 512 samples. What YAAFE computes at another pace (the envelope's features each second over two, the
peaks every 30 frames over 60) is repeated for the frames nearest to it. How the paper joined the two isn't known, nor
which of the numbers made up its 939. Its whitening to 50 components is a model's matter: it has to be fitted on the
fit rows alone.
"""

from collections.abc import Mapping

import numpy as np

from features.audio.pieces import pieces
from features.audio.speech import read_speech
from features.audio.yaafe.envelope import envelope_features
from features.audio.yaafe.framing import LONG_STEP, RATE, STEP, frames
from features.audio.yaafe.spectral import cepstrum, spectral_features
from features.audio.yaafe.temporal import temporal_features
from features.audio.yaafe.transforms import INTEGRATED_STEP, autocorrelation_peaks, derivatives
from features.sets import FeatureArray, FeatureSet, Media, Value

FEATURES = {
    "AmplitudeModulation": 8,
    "AutoCorrelation": 49,
    "ComplexDomainOnsetDetection": 1,
    "Energy": 1,
    "Envelope": 164,
    "EnvelopeShapeStatistics": 4,
    "LPC": 2,
    "LSF": 10,
    "Loudness": 24,
    "MFCC": 13,
    "MagnitudeSpectrum": 513,
    "MelSpectrum": 40,
    "OBSI": 9,
    "OBSIR": 8,
    "PerceptualSharpness": 1,
    "PerceptualSpread": 1,
    "SpectralCrestFactorPerBand": 19,
    "SpectralDecrease": 1,
    "SpectralFlatness": 1,
    "SpectralFlatnessPerBand": 19,
    "SpectralFlux": 1,
    "SpectralRolloff": 1,
    "SpectralShapeStatistics": 4,
    "SpectralSlope": 1,
    "SpectralVariation": 1,
    "TemporalShapeStatistics": 4,
    "ZCR": 1,
}
# Frames at a time, and how many before them an onset looks at.
_PIECE, _MARGIN = 1024, 2
TRANSFORMS = {"MFCCDerivative1": 13, "MFCCDerivative2": 13, "MFCCCepstrum": 12, "MFCCAutoCorrelationPeaks": 78}


def dimensions(peaks: bool) -> Mapping[str, int]:
    """How many numbers each feature has, in the order of the columns."""
    return {name: n for name, n in (FEATURES | TRANSFORMS).items() if peaks or name != "MFCCAutoCorrelationPeaks"}


def yaafe_features(signal: np.ndarray, peaks: bool = True) -> np.ndarray:
    """Features (T, 1017) float32, without `peaks` (T, 939), of a signal (samples,) at 16 kHz.

    T = (samples - 1) // 512 + 1.
    """
    short = frames(signal)
    parts = [_framewise(short[computed], kept) for computed, kept in pieces(len(short), _PIECE, _MARGIN)]
    columns = {name: np.vstack([part[name] for part in parts]) for name in parts[0]}
    columns |= {name: _spread(rows, LONG_STEP // STEP, len(short)) for name, rows in envelope_features(signal).items()}
    mfcc = columns["MFCC"]
    columns["MFCCDerivative1"], columns["MFCCDerivative2"] = derivatives(mfcc)
    columns["MFCCCepstrum"] = cepstrum(mfcc)
    if peaks:
        columns["MFCCAutoCorrelationPeaks"] = _spread(autocorrelation_peaks(mfcc), INTEGRATED_STEP, len(short))
    return np.hstack([columns[name].astype(np.float32) for name in dimensions(peaks)])


def _framewise(short: np.ndarray, kept: slice) -> dict[str, np.ndarray]:
    """Of frames (T, 1024) those kept, float32; MFCC float64, since they go on into the transforms."""
    columns = temporal_features(short) | spectral_features(short)
    return {name: x[kept] if name == "MFCC" else x[kept].astype(np.float32) for name, x in columns.items()}


def _spread(rows: np.ndarray, every: int, length: int) -> np.ndarray:
    """Rows that are centred on every `every`-th frame, repeated for all `length` frames, (length, D)."""
    nearest = (np.arange(length) + every // 2) // every
    return rows[np.minimum(nearest, len(rows) - 1)]


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """The clip's frames (T, D) float32; a frame's time is its middle."""
    values = yaafe_features(read_speech(media), bool(params["peaks"]))
    return FeatureArray(values, np.arange(len(values)) * STEP / RATE)


def shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    """(1017,), without peaks (939,)."""
    return (sum(dimensions(bool(params["peaks"])).values()),)


SET = FeatureSet(
    name="yaafe_like",
    version=2,
    level="frame",
    summary="27 YAAFE features and four transforms of MFCC per 64 ms, 1017 numbers (Chao: 939)",
    extract=extract,
    shape=shape,
    params={"peaks": True},
)
