"""Face detectors: Viola-Jones (OpenCV) and a CNN (dlib's, from the extra `research`); a third is in centerface.py.

All find the faces of a grey picture (H, W) uint8 as square `Box`es, largest first.

Which detector looks at which picture, and how often, is decided in `features.faces.track`.
"""

import math
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from features.errors import EmofuseError


class Box(NamedTuple):
    """A square around a face, as Viola-Jones cuts it: centre and side in pixels."""

    x: float
    y: float
    side: float

    def apart(self, other: "Box") -> float:
        """The distance between the centres in sides (the mean of both)."""
        return math.hypot(self.x - other.x, self.y - other.y) * 2 / (self.side + other.side)


class ViolaJones:
    """Haar cascade of frontal faces (Viola and Jones 2001); of OpenCV's four, `alt2` has the fewest false alarms.

    A picture is first searched at 320 pixels (faces from 7.5 % of the longer side on); only where that finds nothing,
    at 640 pixels for smaller ones (from 3.75 % on), which costs five times as much and can be left out by `large`.
    `neighbours` is how many overlapping hits make a face.
    """

    # Searches while no face is followed: at least so far apart, this share of the time that it lasts, at most so far.
    lost_s = (0.2, 1 / 3, 0.5)
    # Longer side of the searched picture, smallest and largest face in it, ratio of the sizes tried, fewer neighbours.
    _PASSES = ((320, 24, 320, 1.1, 0), (640, 24, 60, 1.15, 1))
    # A known face is looked for in a picture in which it is so large, in a square so many times its size.
    _NEAR_FACE, _NEAR_REACH = 44, 1.7

    def __init__(self, neighbours: int = 4):
        self.neighbours = neighbours

    def __call__(self, gray: np.ndarray, large: bool = False) -> list[Box]:
        for side, smallest, largest, step, fewer in self._PASSES[: 1 if large else None]:
            scale = min(1.0, side / max(gray.shape))
            boxes = self._found(_shrunk(gray, scale), step, self.neighbours - fewer, smallest, largest)
            if boxes or scale == 1:
                break
        return [Box(x / scale, y / scale, s / scale) for x, y, s in boxes]

    def near(self, gray: np.ndarray, box: Box) -> Box | None:
        """The face around a known one, of about its size."""
        reach = self._NEAR_REACH * box.side / 2
        left, top = max(0, int(box.x - reach)), max(0, int(box.y - reach))
        part = gray[top : int(box.y + reach), left : int(box.x + reach)]
        scale = self._NEAR_FACE / box.side
        if min(part.shape) * scale < 24:
            return None
        small, large = round(0.75 * self._NEAR_FACE), round(1.35 * self._NEAR_FACE)
        found = self._found(_shrunk(part, scale), 1.1, self.neighbours - 1, small, large)
        boxes = [Box(x / scale + left, y / scale + top, s / scale) for x, y, s in found]
        return min(boxes, key=box.apart, default=None)

    @staticmethod
    def _found(gray: np.ndarray, step: float, neighbours: int, smallest: int, largest: int) -> list[Box]:
        found = cascade("frontalface_alt2").detectMultiScale(
            gray, step, neighbours, minSize=(smallest, smallest), maxSize=(largest, largest)
        )
        return sorted(
            (Box(x + w / 2, y + h / 2, w) for x, y, w, h in np.reshape(found, (-1, 4)).tolist()),
            key=lambda box: (-box.side, box.x, box.y),
        )


class Cnn:
    """dlib's max-margin CNN (King 2015), which also finds turned and half-covered faces.

    It takes about half a second for a picture on one core, at 480 pixels, where it finds faces from 17 % of the
    longer side on.
    """

    _SIDE = 480
    # Its boxes are tighter and lie lower than those of Viola-Jones (measured on faces that both find).
    _SIDE_RATIO, _SHIFT = 1.15, -0.06

    def __init__(self) -> None:
        if not cnn_installed():
            raise EmofuseError(
                "The CNN face detector needs dlib and its model, but they aren't installed; run "
                "`pip install 'emofuse[research]'` or choose detector=viola_jones."
            )
        self._net = _cnn_net()

    def __call__(self, gray: np.ndarray) -> list[Box]:
        scale = min(1.0, self._SIDE / max(gray.shape))
        boxes = []
        for hit in self._net(np.ascontiguousarray(_shrunk(gray, scale)), 0):
            side = hit.rect.width() / scale
            x, y = (hit.rect.left() + hit.rect.right()) / 2 / scale, (hit.rect.top() + hit.rect.bottom()) / 2 / scale
            boxes.append(Box(x, y + self._SHIFT * side, self._SIDE_RATIO * side))
        return sorted(boxes, key=lambda box: (-box.side, box.x, box.y))


def cnn_installed() -> bool:
    """Whether dlib and the file of its CNN are there (extra `research`)."""
    return find_spec("dlib") is not None and find_spec("face_recognition_models") is not None


@lru_cache
def cascade(name: str) -> cv2.CascadeClassifier:
    """OpenCV's Haar cascade of that name, loaded once."""
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / f"haarcascade_{name}.xml"))


@lru_cache
def _cnn_net() -> Any:
    import dlib
    from face_recognition_models import cnn_face_detector_model_location

    return dlib.cnn_face_detection_model_v1(cnn_face_detector_model_location())


def _shrunk(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return image
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=how)
