"""The feature set `speech`: hidden states of a pretrained speech encoder, by layer, as time steps or pooled.

`layers` takes one hidden state (time steps (F,)) or several ((L, F)); hidden state 0 is what the first layer reads.
`window` is the longest stretch in seconds that the encoder sees at once: a longer clip is cut into windows that overlap
by two fifths, of which the inner three fifths are kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from features.audio.speech import read_speech
from features.encoders import checkpoints, windows
from features.encoders.layers import chosen_layers
from features.encoders.many import Pieces, as_computed, only_one, over_clips
from features.encoders.pooling import check_pool, level, pooled, pooled_shape
from features.encoders.precisions import AUTO, check_precision, keyed
from features.encoders.speech_sizes import SpeechSizes, speech_sizes
from features.errors import ClipFailure, WrongUse
from features.sets import Extracted, FeatureArray, FeatureSet, Media, Value

if TYPE_CHECKING:
    from features.encoders.speech_models import SpeechEncoder

# Of a window, dropped at each inner border; of the shortest one more than the position layers reach (64 steps).
_MARGIN = 1 / 5
# Seconds of sound in a batch, and read before batches are made.
_BATCH_S, _WAITING_S = 40.0, 600.0


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """Hidden states float32 (T, F), or (T, L, F) of several layers; one step (1, ...) when pooled.

    A step's time is the middle of the samples that the convolutions make it of. Raises ClipFailure: what
    `features.audio.speech.read_speech` raises, and `too_short` for less sound than one step takes.
    """
    return only_one(extract_many([media], params))


def extract_many(media: Sequence[Media], params: Mapping[str, Value]) -> Iterator[tuple[int, Extracted]]:
    """Each clip's number and its features or failure."""
    sizes = speech_sizes(SET.name, params)
    layers = chosen_layers(str(params["layers"]), sizes.layers)
    encoder = _loaded(sizes, checkpoints.digest(sizes.folder), check_precision(params))

    def read(one: Media) -> Pieces:
        signal = encoder.prepared(read_speech(one, encoder.rate))
        return _pieces(encoder, signal, _window_s(params), str(params["pool"]))

    def compute(signals: list[np.ndarray]) -> list[np.ndarray]:
        found = encoder.states(signals, layers)
        return found if len(layers) > 1 else [states[:, 0] for states in found]

    from features.encoders.hardware import batch_factor

    most = batch_factor() * _BATCH_S * encoder.rate
    found = over_clips(SET.name, media, read, compute, most, _WAITING_S * encoder.rate)
    yield from as_computed(found, lambda: encoder.computed)


def _pieces(encoder: "SpeechEncoder", signal: np.ndarray, window_s: float, pool: str) -> Pieces:
    """The clip as windows of samples."""
    hop, field = encoder.hop, encoder.field
    steps = encoder.steps(len(signal))
    if steps < 1:
        raise ClipFailure("too_short", f"its {len(signal)} samples of sound are fewer than the {field} of one step")
    most = int(min(window_s, encoder.most_s or window_s) * encoder.rate) // hop
    cut = windows.cut(steps, most, int(_MARGIN * most))
    signals = [signal[w.start * hop : (w.stop - 1) * hop + field] for w in cut]
    if len(cut) == 1:
        signals = [signal]
    time_s = (np.arange(steps) * hop + field / 2) / encoder.rate

    def join(outputs: list[np.ndarray]) -> FeatureArray:
        kept = [output[window.kept] for window, output in zip(cut, outputs, strict=True)]
        return pooled(np.concatenate(kept), time_s, pool)

    # What takes a fixed length pads to it.
    costs = [max(float(len(signal)), (encoder.most_s or 0) * encoder.rate) for signal in signals]
    return Pieces(signals, costs, join)


@lru_cache(maxsize=1)
def _loaded(sizes: SpeechSizes, weights: str, precision: str) -> "SpeechEncoder":
    """The encoder, loaded once per process; other `weights` in the same folder are another one."""
    from features.encoders.speech_models import load_speech

    return load_speech(sizes, precision)


def _window_s(params: Mapping[str, Value]) -> float:
    window_s = float(params["window"])
    if not 8 <= window_s <= 600:
        raise WrongUse(f"Feature set 'speech': expected a window of 8 to 600 seconds, but got {window_s:g}.")
    return window_s


def _shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    pool, _, _ = check_pool(params), _window_s(params), check_precision(params)
    sizes = speech_sizes(SET.name, params)
    layers = chosen_layers(str(params["layers"]), sizes.layers)
    one = (sizes.width,) if len(layers) == 1 else (len(layers), sizes.width)
    return pooled_shape(one, pool)


def _concrete(params: Mapping[str, Value]) -> Mapping[str, Value]:
    sizes = speech_sizes(SET.name, params)
    layers = chosen_layers(str(params["layers"]), sizes.layers)
    return {**keyed(params), "model": checkpoints.digest(sizes.folder), "layers": f"{layers[0]}-{layers[-1]}"}


SET = FeatureSet(
    name="speech",
    version=1,
    level="frame",
    summary="hidden states of a pretrained speech encoder: HuBERT, wav2vec 2.0, WavLM, data2vec, UniSpeech, Whisper",
    extract=extract,
    shape=_shape,
    params={"model": "", "layers": "last", "pool": "none", "window": 20.0, "precision": AUTO},
    extra="encoders",
    concrete=_concrete,
    levels=level,
    extract_many=extract_many,
    gpu=0.25,
    located=checkpoints.located,
)
