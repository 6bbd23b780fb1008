"""The feature set `vision`: a pretrained vision encoder's vector of each face crop or frame, or of 16 of them.

Face crops are cut at the size that the model takes; whole frames are resized and cropped as its preprocessor says. Both
are normalised by the model's own mean and deviation. VideoMAE takes 16 pictures one after another: a clip is cut into
such blocks, the last one flush with its end; a shorter clip's last picture is repeated.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from features.encoders import checkpoints
from features.encoders.many import Pieces, as_computed, only_one, over_clips
from features.encoders.pictures import check_pictures, clip_pictures, concrete_pictures
from features.encoders.pooling import check_pool, level, pooled, pooled_shape
from features.encoders.precisions import AUTO, check_precision, keyed
from features.encoders.vision_sizes import VisionSizes, vision_sizes
from features.sets import Extracted, FeatureArray, FeatureSet, Media, Value

if TYPE_CHECKING:
    from features.encoders.vision_models import VisionEncoder

# Pictures in a batch, and read before batches are made (150 MB at 224 pixels).
_BATCH, _WAITING = 16, 1000


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """Vectors float32 (T, F), or one (1, F) or (1, 2F) when pooled.

    Raises ClipFailure: what `features.encoders.pictures.clip_pictures` raises.
    """
    return only_one(extract_many([media], params))


def extract_many(media: Sequence[Media], params: Mapping[str, Value]) -> Iterator[tuple[int, Extracted]]:
    """Each clip's number and its features or failure."""
    from features.encoders.hardware import batch_factor

    sizes = vision_sizes(SET.name, params)
    encoder = _loaded(sizes, checkpoints.digest(sizes.folder), check_precision(params))

    def read(one: Media) -> Pieces:
        times, pictures = clip_pictures(one, params, encoder.side, encoder.resized)
        return _pieces(times, pictures, encoder.frames, str(params["pool"]))

    found = over_clips(SET.name, media, read, encoder.vectors, batch_factor() * _BATCH, _WAITING)
    yield from as_computed(found, lambda: encoder.computed)


def _pieces(times: np.ndarray, pictures: np.ndarray, frames: int, pool: str) -> Pieces:
    """The clip's pictures, or blocks of `frames` of them."""
    arrays = list(pictures)
    if frames > 1:
        blocks = [np.minimum(at + np.arange(frames), len(pictures) - 1) for at in block_starts(len(pictures), frames)]
        arrays = [pictures[block] for block in blocks]
        times = np.array([times[block].mean() for block in blocks])
    return Pieces(arrays, [float(frames)] * len(arrays), lambda outputs: pooled(np.stack(outputs), times, pool))


def block_starts(pictures: int, frames: int) -> list[int]:
    """Where blocks of `frames` pictures begin: one after another, the last one flush with the end."""
    last = max(0, pictures - frames)
    return [*range(0, last, frames), last]


@lru_cache(maxsize=1)
def _loaded(sizes: VisionSizes, weights: str, precision: str) -> "VisionEncoder":
    """The encoder, loaded once per process; other `weights` in the same folder are another one."""
    from features.encoders.vision_models import load_vision

    return load_vision(sizes, precision)


def _shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    check_pictures(SET.name, params)
    check_precision(params)
    pool = check_pool(params)
    return pooled_shape((vision_sizes(SET.name, params).width,), pool)


def _concrete(params: Mapping[str, Value]) -> Mapping[str, Value]:
    return {**concrete_pictures(keyed(params)), "model": checkpoints.digest(vision_sizes(SET.name, params).folder)}


SET = FeatureSet(
    name="vision",
    version=1,
    level="frame",
    summary="a pretrained vision encoder on face crops or frames: CLIP, DINOv2, ViT, ConvNeXt, VideoMAE",
    extract=extract,
    shape=_shape,
    params={"model": "", "of": "faces", "fps": 5.0, "pool": "none", "detector": "auto", "precision": AUTO},
    extra="encoders",
    concrete=_concrete,
    levels=level,
    extract_many=extract_many,
    gpu=0.25,
    located=checkpoints.located,
)
