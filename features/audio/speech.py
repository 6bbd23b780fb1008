"""The sound of a clip as all audio sets read it."""

import numpy as np

from features.decode import read_audio
from features.errors import ClipFailure
from features.sets import Media

RATE = 16_000
MIN_S = 0.1


def read_speech(media: Media, rate: int = RATE) -> np.ndarray:
    """The clip's sound (samples,) float32, mono at `rate`; shorter than 0.1 s is `ClipFailure("too_short")`."""
    signal = read_audio(media, rate)
    if len(signal) < MIN_S * rate:
        length_s = len(signal) / rate
        raise ClipFailure("too_short", f"its sound lasts {length_s:.3f} s, but audio features need {MIN_S:g} s")
    return signal
