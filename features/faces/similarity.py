"""A similarity of the plane as a parameter of `faces`, and pictures under it."""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from features.errors import WrongUse


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


def cut(picture: np.ndarray, matrix: np.ndarray, size: int, move: Similarity | None = None) -> np.ndarray:
    """The crop of a picture, uint8 (size, size, ...), whose pixels lie under `matrix` (2, 3), and then under `move`.

    Beyond the picture's edges lie its edge pixels. In a moved crop there lies noise with the picture's mean and
    deviation, always the same for the same picture.
    """
    if move is None:
        return cv2.warpAffine(picture, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    matrix = (move.matrix(size) @ np.vstack([matrix, [0, 0, 1]])).astype(np.float64)
    crop = cv2.warpAffine(picture, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.ones(picture.shape[:2], np.uint8), matrix, (size, size), flags=cv2.INTER_NEAREST)
    random = np.random.default_rng(zlib.crc32(picture.tobytes()))
    noise = random.normal(picture.mean(axis=(0, 1)), picture.std(axis=(0, 1)), crop.shape).clip(0, 255)
    return np.where(inside.reshape(size, size, *[1] * (crop.ndim - 2)), crop, noise.astype(np.uint8))
