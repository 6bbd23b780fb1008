"""Alignment by the eyes: the same place for the eyes in every crop.

The eyes' places in a crop are those of FER2013's faces (measured on 800 of them), which are also those in a box of
Viola-Jones (measured on 340 faces of real clips): a network trained on such stills sees clips in the same way.
"""

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from features.faces.centerface import Face
from features.faces.detect import cascade
from features.faces.similarity import Similarity, cut
from features.faces.track import Patch, Track

# (left, right) in the picture, each (x, y), as shares of the crop's and of the box's side.
EYES = np.array([[0.32, 0.40], [0.68, 0.40]])
# A face must be so large for the eye cascades, and larger adds nothing.
EYE_FACE_PX = 96
# Where the pupil lies in a hit of the cascades for open and closed eyes. Against dlib's landmarks, on 425 faces
# of real clips: they find 91 % of the eyes, half of these within 3 %, 90 % within 6 % of the eyes' distance.
_PUPIL = (("righteye_2splits", 0.515, 0.675), ("lefteye_2splits", 0.43, 0.675))
_SMALLEST, _LARGEST = (19, 19), (48, 48)
# Eyes farther than this from the usual place, in shares of the box's side, are eyebrows, nostrils, glasses.
_FARTHEST = 0.13


def eye_transform(left: np.ndarray, right: np.ndarray, size: int) -> np.ndarray:
    """The similarity (2, 3) that takes the eyes (x, y) of a picture to `EYES` of a crop of `size` pixels."""
    (x0, y0), (x1, y1) = EYES * size
    eyes, places = complex(*left), complex(x0, y0)
    # A similarity of the plane is z -> turn * z + shift in complex numbers.
    turn = (complex(x1, y1) - places) / (complex(*right) - eyes)
    shift = places - turn * eyes
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def aligned_crops(track: Track, size: int, move: Similarity | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The track's times (T,) and its crops, uint8 (T, size, size) or (T, size, size, 3), moved by `move`."""
    patches = track.kept()
    times = np.array([patch.time_s for patch in patches])
    eyes = eyes_at(track, times)
    crops = []
    for patch, (left, right) in zip(patches, eyes, strict=True):
        corner = np.array([patch.left, patch.top])
        matrix = eye_transform((left - corner) * patch.scale, (right - corner) * patch.scale, size)
        crops.append(cut(patch.pixels, matrix, size, move))
    return times, np.stack(crops)


def eyes_at(track: Track, times: np.ndarray) -> np.ndarray:
    """The eyes (T, 2, 2) in frame coordinates: smooth paths of the box and of the eyes within it, interpolated."""
    boxes = np.array(track.boxes)
    patches = {patch.time_s: patch for patch in track.patches}
    places = np.full((len(boxes), 2, 2), np.nan)
    for at, (time_s, box) in enumerate(zip(track.times_s, track.boxes, strict=True)):
        if isinstance(box, Face):
            places[at] = (box.points[:2] - (box.x, box.y)) / box.side + 0.5
        elif time_s in patches:
            places[at] = find_eyes(patches[time_s], *box)
    places = _filled(places.reshape(len(boxes), 4), EYES.ravel())
    # A head moves faster than it grows or tilts: stronger smoothing of its place would lag behind (measured).
    centre = gaussian_filter1d(boxes[:, :2], 0.6, axis=0, mode="nearest")
    side, places = _smooth(boxes[:, 2:]), _smooth(places).reshape(-1, 2, 2)
    eyes = centre[:, None] + (places - 0.5) * side[:, None]
    paths = [np.interp(times, track.times_s, path) for path in eyes.reshape(len(boxes), 4).T]
    return np.stack(paths, axis=1).reshape(-1, 2, 2)


def find_eyes(patch: Patch, x: float, y: float, side: float) -> np.ndarray:
    """The eyes (2, 2) of a face as shares of its box; NaN for an eye that isn't found."""
    zoom = EYE_FACE_PX / (side * patch.scale)
    matrix = np.array(
        [
            [zoom, 0, -zoom * (x - side / 2 - patch.left) * patch.scale],
            [0, zoom, -zoom * (y - 0.35 * side - patch.top) * patch.scale],
        ]
    )
    upper = cv2.warpAffine(
        patch.pixels, matrix, (EYE_FACE_PX, round(0.45 * EYE_FACE_PX)), borderMode=cv2.BORDER_REPLICATE
    )
    if upper.ndim == 3:
        upper = cv2.cvtColor(upper, cv2.COLOR_RGB2GRAY)
    half = round(0.55 * EYE_FACE_PX)
    eyes = np.full((2, 2), np.nan)
    for at, (name, pupil_x, pupil_y) in enumerate(_PUPIL):
        shift = at * (EYE_FACE_PX - half)
        part = np.ascontiguousarray(upper[:, shift : shift + half])
        hits = cascade(name).detectMultiScale(part, 1.1, 1, minSize=_SMALLEST, maxSize=_LARGEST)
        if len(hits):
            left, top, width, height = max(np.asarray(hits).tolist(), key=lambda hit: hit[2])
            eyes[at] = (left + shift + pupil_x * width) / EYE_FACE_PX, (top + pupil_y * height) / EYE_FACE_PX + 0.15
    eyes[np.abs(eyes - EYES).max(axis=1) > _FARTHEST] = np.nan
    return eyes


def _filled(values: np.ndarray, default: np.ndarray) -> np.ndarray:
    """Unknown values (K, F) taken from their neighbours in time; a column without any from `default`."""
    at = np.arange(len(values))
    columns = []
    for column, usual in zip(values.T, default, strict=True):
        known = ~np.isnan(column)
        columns.append(np.interp(at, at[known], column[known]) if known.any() else np.full(len(at), usual))
    return np.stack(columns, axis=1)


def _smooth(values: np.ndarray) -> np.ndarray:
    """A path (K, F) without single jumps and jitter."""
    return gaussian_filter1d(median_filter(values, size=(3, 1), mode="nearest"), 1.0, axis=0, mode="nearest")
