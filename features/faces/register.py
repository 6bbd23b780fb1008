"""Registration of one data set's faces onto another's by one similarity (Kahou 2015, section 2.1.2).

Data sets cut their faces differently. The mean shape of five points over a data set is laid onto that of a reference
set, and all its crops move by that one similarity, so that eyes, nose and mouth come to lie in about the same places
while each face keeps its own proportions. A similarity is four numbers: it is written into the spec of the set
(`faces:register=...`), so that it is part of the features' key and travels with a bundle.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from features.errors import EmofuseError, WrongUse
from features.faces.align import EYES
from features.faces.landmarks import LOWER, SMALLER, points_of

# Left eye, right eye (as the picture shows them), tip of the nose, corners of the mouth.
FIVE = (range(36, 42), range(42, 48), range(30, 31), range(48, 49), range(54, 55))
_SEEN_PX = 128
_LOOKS = 3


@dataclass(frozen=True)
class Similarity:
    """Scales and turns (clockwise) about the upper left corner, then shifts by `x` and `y`, shares of the crop's side.

    Written `scale/degrees/x/y`.
    """

    scale: float = 1.0
    degrees: float = 0.0
    x: float = 0.0
    y: float = 0.0

    def __str__(self) -> str:
        return f"{self.scale:.4f}/{self.degrees:.2f}/{self.x:.4f}/{self.y:.4f}"

    def matrix(self, size: int) -> np.ndarray:
        """The same for pixels of a crop of `size`, (2, 3)."""
        turn = self.scale * np.exp(1j * np.deg2rad(self.degrees))
        return np.array([[turn.real, -turn.imag, self.x * size], [turn.imag, turn.real, self.y * size]])


def parse_similarity(text: str) -> Similarity | None:
    """The similarity that is written `scale/degrees/x/y`; None for an empty text."""
    if not text:
        return None
    try:
        scale, degrees, x, y = map(float, text.split("/"))
    except ValueError:
        scale = degrees = x = y = float("nan")
    if not (np.isfinite([degrees, x, y]).all() and 0.1 <= scale <= 10):
        raise WrongUse(
            f"Feature set 'faces': expected register=scale/degrees/x/y with a scale from 0.1 to 10, but got {text!r}; "
            "`emofuse features register` computes it."
        )
    return Similarity(scale, degrees, x, y)


def similarity_between(shape: np.ndarray, reference: np.ndarray) -> Similarity:
    """The similarity that brings the points `shape` (K, 2) closest to `reference` (K, 2), in the least squares."""
    # In complex numbers a similarity of the plane is z -> turn * z + shift.
    z, target = (points @ (1, 1j) for points in (shape, reference))
    offset = z - z.mean()
    turn = (offset.conj() @ (target - target.mean())) / (offset.conj() @ offset).real
    shift = target.mean() - turn * z.mean()
    return Similarity(float(np.abs(turn)), float(np.rad2deg(np.angle(turn))), float(shift.real), float(shift.imag))


def five_points(crop: np.ndarray) -> np.ndarray:
    """Eyes, nose and corners of the mouth (5, 2) of the face in a crop (H, W) or (H, W, 3), in shares of its sides."""
    how = cv2.INTER_AREA if len(crop) > _SEEN_PX else cv2.INTER_CUBIC
    picture = cv2.resize(crop, (_SEEN_PX, _SEEN_PX), interpolation=how)
    centre, side = np.array([0.5, 0.5 + LOWER]), 1.0
    for _ in range(_LOOKS):
        points = points_of(picture, centre * _SEEN_PX, SMALLER * side * _SEEN_PX) / _SEEN_PX
        five = np.array([points[part].mean(axis=0) for part in FIVE])
        # The eyes tell where the box would have been, however tightly the data set cut the face.
        side = float(np.clip(np.linalg.norm(five[1] - five[0]) / (EYES[1, 0] - EYES[0, 0]), 0.5, 2.0))
        x, y = five[:2].mean(axis=0)
        centre = np.array([x, y + (0.5 - EYES[0, 1] + LOWER) * side])
    return five


def mean_shape(crops: Iterable[np.ndarray]) -> np.ndarray:
    """The mean of the five points (5, 2) over crops (H, W) or (H, W, 3), in shares of their sides."""
    shapes = [five_points(crop) for crop in crops]
    if not shapes:
        raise EmofuseError("There is no face to register: the training clips of the set hold none.")
    return np.mean(shapes, axis=0)


def warped(picture: np.ndarray, matrix: np.ndarray, size: int, noisy: bool) -> np.ndarray:
    """The picture under `matrix` (2, 3), uint8 (size, size, ...); beyond its edges lie its edge pixels, or noise.

    The noise is Gaussian with the picture's mean and deviation, and the same for the same picture.
    """
    crop = cv2.warpAffine(picture, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    if not noisy:
        return crop
    inside = cv2.warpAffine(np.ones(picture.shape[:2], np.uint8), matrix, (size, size), flags=cv2.INTER_NEAREST)
    random = np.random.default_rng(zlib.crc32(picture.tobytes()))
    noise = random.normal(picture.mean(axis=(0, 1)), picture.std(axis=(0, 1)), crop.shape).clip(0, 255)
    return np.where(inside.reshape(size, size, *[1] * (crop.ndim - 2)), crop, noise.astype(np.uint8))
