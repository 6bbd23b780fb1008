"""How a picture is to be shown: a display matrix as one of the eight ways to turn and mirror a rectangle."""

from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame

# (transposed, mirrored left to right, upside down), applied in this order.
Orientation = tuple[bool, bool, bool]
UPRIGHT: Orientation = (False, False, False)
_BY_ANGLE = {0: UPRIGHT, 90: (True, False, True), 180: (False, True, True), 270: (True, True, False)}


def orientation_of(frame: VideoFrame) -> Orientation:
    """The orientation that the frame's display matrix asks for; of other angles the nearest quarter turn."""
    try:
        data: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV knows not all of FFmpeg's side data; the angle it gives doesn't tell mirrored ones apart
        return _BY_ANGLE[round(frame.rotation / 90) % 4 * 90]
    return UPRIGHT if data is None else from_matrix(np.frombuffer(memoryview(data), np.int32))


def from_matrix(matrix: np.ndarray) -> Orientation:
    """The orientation of a display matrix (9,), which takes the point (x, y) to (a x + c y, b x + d y)."""
    a, b, c, d = (int(matrix[at]) for at in (0, 1, 3, 4))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0


def shown(image: np.ndarray, orientation: Orientation) -> np.ndarray:
    """The stored picture (H, W[, 3]) as it is to be shown."""
    transposed, mirrored, upside_down = orientation
    if transposed:
        image = cv2.transpose(image)
    if mirrored or upside_down:
        image = cv2.flip(image, -1 if mirrored and upside_down else int(mirrored))
    return image
