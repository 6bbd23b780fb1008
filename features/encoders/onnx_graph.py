"""The feature set `onnx`: what any ONNX graph makes of face crops, of frames or of sound.

`range` is how the graph takes pictures: their values as they are (`0-255`), divided by 255 (`0-1`), from -1 to 1
(`-1-1`), or less ImageNet's mean and divided by its deviation (`imagenet`). `size` is needed where the graph leaves it
open. Sound comes at `rate`, mono from -1 to 1, as a whole; a clip longer than `window` seconds, or than the length that
the graph takes, comes in parts one after another. Where that length is fixed the last part is filled up with zeros.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from features.audio.speech import read_speech
from features.encoders import graphs
from features.encoders.checkpoints import located
from features.encoders.many import Pieces, only_one, over_clips
from features.encoders.pictures import check_pictures, clip_pictures, concrete_pictures
from features.encoders.pooling import check_pool, level, pooled, pooled_shape
from features.errors import WrongUse
from features.faces.crops import middle_square
from features.names import unknown_name
from features.sets import Extracted, FeatureArray, FeatureSet, Media, Value

SPEECH = "speech"
_KINDS = (SPEECH, "faces", "frames")
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# (subtracted, divided by) for each colour, of values from 0 to 255.
RANGES = {
    "0-1": (np.zeros(3), np.full(3, 255.0)),
    "0-255": (np.zeros(3), np.ones(3)),
    "-1-1": (np.full(3, 127.5), np.full(3, 127.5)),
    "imagenet": (255 * _MEAN, 255 * _DEVIATION),
}
_RATES, _WINDOWS_S, _SIZES = (4000, 96000), (1, 600), (0, 1024)
# Pictures in a batch, and read before batches are made; samples of sound read before they are computed.
_BATCH, _WAITING, _WAITING_SAMPLES = 16, 1000, 10_000_000


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """The graph's output float32 (T, F), or one (1, F) or (1, 2F) when pooled.

    Raises ClipFailure: what `clip_pictures` and `read_speech` raise.
    """
    return only_one(extract_many([media], params))


def extract_many(media: Sequence[Media], params: Mapping[str, Value]) -> Iterator[tuple[int, Extracted]]:
    """Each clip's number and its features or failure."""
    graph, pool = _loaded(params), str(params["pool"])
    if isinstance(graph, graphs.SoundGraph):
        yield from over_clips(
            SET.name, media, lambda one: _sounds(one, graph, params), graph.steps, 1, _WAITING_SAMPLES
        )
        return

    def read(one: Media) -> Pieces:
        times, pictures = clip_pictures(one, params, graph.side, lambda picture: _square(picture, graph.side))
        return Pieces(list(pictures), [1.0] * len(pictures), lambda outputs: pooled(np.stack(outputs), times, pool))

    yield from over_clips(SET.name, media, read, graph.vectors, _BATCH, _WAITING)


def _square(picture: np.ndarray, side: int) -> np.ndarray:
    return middle_square(picture, side).transpose(2, 0, 1)


def _sounds(media: Media, graph: graphs.SoundGraph, params: Mapping[str, Value]) -> Pieces:
    rate, pool = int(params["rate"]), str(params["pool"])
    signal = read_speech(media, rate)
    most = graph.samples or int(float(params["window"]) * rate)
    parts = [signal[at : at + most] for at in range(0, len(signal), most)]
    lengths = [len(part) for part in parts]
    if graph.samples:
        parts[-1] = np.pad(parts[-1], (0, most - len(parts[-1])))

    def join(outputs: list[np.ndarray]) -> FeatureArray:
        steps, times = [], []
        for at, (output, length) in enumerate(zip(outputs, lengths, strict=True)):
            step_s = len(parts[at]) / len(output) / rate
            time_s = (np.arange(len(output)) + 0.5) * step_s
            heard = time_s < length / rate  # what is of zeros only is none
            heard[0] = True
            steps.append(output[heard])
            times.append(at * most / rate + time_s[heard])
        return pooled(np.concatenate(steps), np.concatenate(times), pool)

    return Pieces(parts, [float(len(part)) for part in parts], join)


def _loaded(params: Mapping[str, Value]) -> "graphs.PictureGraph | graphs.SoundGraph":
    _check(params)
    file = graphs.graph_file(SET.name, str(params["model"]))
    return _load(graphs.graph_digest(file), tuple(sorted(params.items())))


@lru_cache(maxsize=2)
def _load(weights: str, items: tuple[tuple[str, Value], ...]) -> "graphs.PictureGraph | graphs.SoundGraph":
    """The graph, loaded once per process; other `weights` in the same file are another one."""
    params: dict[str, Any] = dict(items)
    file = graphs.graph_file(SET.name, params["model"])
    graph = graphs.Graph(file, params["input"], params["output"])
    if params["of"] == SPEECH:
        return graphs.SoundGraph(graph, int(params["rate"]))
    mean, deviation = RANGES[params["range"]]
    return graphs.PictureGraph(graph, params["size"], (mean.astype(np.float32), deviation.astype(np.float32)))


def _check(params: Mapping[str, Value]) -> None:
    check_pool(params)
    if params["of"] not in _KINDS:
        raise unknown_name("kind of input", str(params["of"]), _KINDS)
    if params["range"] not in RANGES:
        raise unknown_name("range of pictures", str(params["range"]), RANGES)
    for name, (low, high), unit in (
        ("rate", _RATES, "Hz"),
        ("window", _WINDOWS_S, "seconds"),
        ("size", _SIZES, "pixels"),
    ):
        if not low <= float(params[name]) <= high:
            raise WrongUse(
                f"Feature set {SET.name!r}: expected a {name} of {low} to {high} {unit}, but got {params[name]}."
            )
    if params["of"] != SPEECH:
        check_pictures(SET.name, params)


def _shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    return pooled_shape((_loaded(params).width,), str(params["pool"]))


def _concrete(params: Mapping[str, Value]) -> Mapping[str, Value]:
    weights = graphs.graph_digest(graphs.graph_file(SET.name, str(params["model"])))
    return {**(params if params["of"] == SPEECH else concrete_pictures(params)), "model": weights}


SET = FeatureSet(
    name="onnx",
    version=1,
    level="frame",
    summary="any ONNX graph on face crops, frames or sound",
    extract=extract,
    shape=_shape,
    params={
        "model": "",
        "of": "faces",
        "input": "",
        "output": "",
        "pool": "none",
        "range": "0-1",
        "size": 0,
        "fps": 5.0,
        "detector": "auto",
        "rate": 16000,
        "window": 20.0,
    },
    extra="encoders",
    concrete=_concrete,
    levels=level,
    extract_many=extract_many,
    gpu=0.25,
    located=located,
)
