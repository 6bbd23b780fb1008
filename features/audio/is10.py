"""openSMILE's 1582 numbers per clip: the INTERSPEECH 2010 paralinguistic set that Kahou and Guo used.

The configuration that runs is `IS10_paraling_compat` (the package's `FeatureSet.IS10`). Of the three that give 1582
numbers it is the one that agrees with the set of 2010 but for repaired jitter and shimmer; `IS10_paraling` differs
further, and `emobase2010` normalises positions otherwise. openSMILE may not be used commercially; `functionals` may.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from features.audio.speech import RATE, read_speech
from features.errors import MachineFault
from features.sets import FeatureArray, FeatureSet, Media, Value

DIMENSION = 1582


@cache
def _opensmile() -> Any:
    """One extractor per process: reading its configuration takes longer than a clip."""
    try:
        import opensmile
    except ModuleNotFoundError:
        raise MachineFault(
            "Feature set 'is10' needs openSMILE, which is not installed: run pip install 'emofuse[research]' "
            "(non-commercial licence), or use the set 'functionals'."
        ) from None
    return opensmile.Smile(opensmile.FeatureSet.IS10, opensmile.FeatureLevel.Functionals, loglevel=0)


def opensmile_functionals(signal: np.ndarray) -> np.ndarray:
    """The 1582 numbers of a signal (samples,) at 16 kHz, in openSMILE's order."""
    # openSMILE turns the signal into 16-bit integers by truncation: +1.0 would wrap round to -1.0.
    return _opensmile()(np.clip(signal, -1.0, 1.0 - 2.0**-15), RATE).reshape(-1).astype(np.float32)


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """The clip's 1582 numbers, (1, 1582) float32."""
    _opensmile()
    return FeatureArray(opensmile_functionals(read_speech(media))[None], np.zeros(1))


def shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    """(1582,)."""
    return (DIMENSION,)


SET = FeatureSet(
    name="is10",
    version=2,
    level="clip",
    summary="openSMILE's INTERSPEECH 2010 set, 1582 numbers (non-commercial)",
    extract=extract,
    shape=shape,
    extra="research",
)
