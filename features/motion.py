"""Cubes of 16x16 pixels and 10 frames from all over the picture, which Kahou's activity model reads (section 4).

As in the group's own EmotiW code the cubes tile the full grey frames without overlap. A clip of AFEW has 10,000,
so `max_blocks` are drawn, evenly over space and time. Rows are raw pixels: a model fits the whitening.
"""

import zlib
from collections.abc import Iterator, Mapping
from itertools import islice

import cv2
import numpy as np

from features.decode import video_frames
from features.errors import ClipFailure, WrongUse
from features.sets import FeatureArray, FeatureSet, Media, Value

SIDE, LENGTH = 16, 10
DIMENSION = LENGTH * SIDE * SIDE


def tiles(frames: np.ndarray) -> np.ndarray:
    """The cubes of ten frames (10, H, W) as rows (N, 2560), the time slowest; N = (H // 16) (W // 16), row by row."""
    rows, columns = (side // SIDE for side in frames.shape[1:])
    cut = frames[:, : rows * SIDE, : columns * SIDE].reshape(LENGTH, rows, SIDE, columns, SIDE)
    return cut.transpose(1, 3, 0, 2, 4).reshape(-1, DIMENSION)


def _tens(frames: Iterator[tuple[float, np.ndarray]]) -> Iterator[tuple[np.ndarray, float]]:
    """Ten frames (10, H, W) after another, and the mean of their times; what is left over at the end is dropped.

    Up to ten frames in all are followed by themselves, as often as it takes.
    """
    times, images = _next(frames, LENGTH + 1)
    if len(images) <= LENGTH:
        copies = max(2, -(-LENGTH // len(images)))
        frames = iter(list(zip(times, images, strict=True)) * copies)
        times, images = [], []
    size = None
    while True:
        more_times, more = _next(frames, LENGTH - len(images))
        times, images = times + more_times, images + more
        if len(images) < LENGTH:
            return
        size = size or images[0].shape
        ten = [image if image.shape == size else cv2.resize(image, size[::-1]) for image in images[:LENGTH]]
        yield np.stack(ten), float(np.mean(times[:LENGTH]))
        times, images = times[LENGTH:], images[LENGTH:]


def _next(frames: Iterator[tuple[float, np.ndarray]], count: int) -> tuple[list[float], list[np.ndarray]]:
    taken = list(islice(frames, max(count, 0)))
    return [time_s for time_s, _ in taken], [image for _, image in taken]


def motion_blocks(frames: Iterator[tuple[float, np.ndarray]], max_blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Cubes (N, 2560) uint8 and their times (N,) from (time_s, grey image (H, W)), in the order of time and place.

    More than `max_blocks` (0: no limit) are thinned out at random; the same pictures always give the same cubes.
    """
    blocks, times = np.empty((0, DIMENSION), np.uint8), np.empty(0)
    lots, random = np.empty(0), None
    for ten, time_s in _tens(frames):
        # A seed from the pictures: the path changes when a folder moves, though the features don't.
        random = random or np.random.default_rng(zlib.crc32(ten.tobytes()))
        new = tiles(ten)
        if not len(new):
            height, width = ten.shape[1:]
            raise ClipFailure("unreadable", f"its picture is {width}x{height} pixels, but motion blocks need 16x16")
        lots = np.concatenate([lots, random.random(len(new))])
        blocks, times = np.concatenate([blocks, new]), np.concatenate([times, np.full(len(new), time_s)])
        if max_blocks and len(lots) > max_blocks:
            keep = np.sort(np.argpartition(lots, max_blocks)[:max_blocks])
            blocks, times, lots = blocks[keep], times[keep], lots[keep]
    return blocks, times


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """The clip's cubes (T, 2560) uint8, a row per cube; its time is the mean of its frames'."""
    shape(params)
    fps, max_side = float(params["fps"]), int(params["max_side"])
    frames = video_frames(media, every_s=1 / fps if fps else None, max_side=max_side or None, gray=True)
    return FeatureArray(*motion_blocks(frames, int(params["max_blocks"])))


def shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    """(2560,)."""
    for name, value in params.items():
        if float(value) < 0:
            raise WrongUse(f"Feature set 'motion_blocks': expected {name} of 0 or more, but got {value}.")
    return (DIMENSION,)


SET = FeatureSet(
    name="motion_blocks",
    version=2,
    level="frame",
    summary="cubes of 16x16 pixels x 10 frames from the full grey picture, a row for each (Kahou)",
    extract=extract,
    shape=shape,
    params={"max_blocks": 2000, "max_side": 0, "fps": 0.0},
)
