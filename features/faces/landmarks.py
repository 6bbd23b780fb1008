"""The feature set `landmarks`: 68 points of the clip's face, Chao's shape feature (section 3.1).

Points come from Kazemi and Sullivan's trees as dlib ships them, on the boxes of the track that `faces` follows. A frame
in which the face isn't seen has no row, as in `faces`, so that both sets have the same times.

Chao normalises "for each clip", and says no more. `shift_scale` takes one shift and one scale for the whole clip, so
that the face's shape stays, and the head's movement and pose too; `z_score` standardises each of the 136 coordinates
over the clip, which leaves movement only.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from features.errors import MachineFault
from features.faces.follow import check_following, concrete, follow
from features.faces.track import Patch, Track
from features.names import unknown_name
from features.sets import FeatureArray, FeatureSet, Media, Value

POINTS = 68
NORMALISATIONS = ("shift_scale", "z_score")
# A face this large shows the trees all that they look at.
_FACE_PX = 128
# The trees were grown on boxes of dlib's own detector: this much lower and smaller than those of Viola-Jones, in shares
# of the side (measured on 159 faces of real clips that both detectors find).
LOWER, SMALLER = 0.09, 0.92


def landmarks(track: Track) -> tuple[np.ndarray, np.ndarray]:
    """The track's times (T,) and the points (T, 68, 2), (x, y) in pixels of the frame."""
    patches = track.kept()
    times = np.array([patch.time_s for patch in patches])
    boxes = np.stack([np.interp(times, track.times_s, path) for path in np.array(track.boxes).T], axis=1)
    return times, np.stack([points_in(patch, *box) for patch, box in zip(patches, boxes.tolist(), strict=True)])


def points_in(patch: Patch, x: float, y: float, side: float) -> np.ndarray:
    """The points (68, 2) of the face in the Viola-Jones box around (x, y); all in coordinates of the frame."""
    corner = np.array([patch.left, patch.top])
    centre = (np.array([x, y + LOWER * side]) - corner) * patch.scale
    return points_of(patch.pixels, centre, SMALLER * side * patch.scale) / patch.scale + corner


def points_of(picture: np.ndarray, centre: np.ndarray, side: float) -> np.ndarray:
    """The points (68, 2), (x, y) in pixels, of the face in a box of dlib's kind in a picture (H, W) or (H, W, 3)."""
    import dlib

    left, top = np.round(centre - side / 2).astype(int).tolist()
    box = dlib.rectangle(left, top, left + round(side), top + round(side))
    return np.array([(point.x, point.y) for point in predictor()(np.ascontiguousarray(picture), box).parts()], float)


@cache
def predictor() -> Any:
    """dlib's shape predictor, loaded once per process."""
    try:
        import dlib
        from face_recognition_models import pose_predictor_model_location
    except ModuleNotFoundError:
        raise MachineFault(
            "Landmarks need dlib and its shape predictor, which are not installed: run pip install 'emofuse[research]' "
            "(non-commercial licence), or leave out what reads landmarks."
        ) from None
    return dlib.shape_predictor(pose_predictor_model_location())


def normalised(points: np.ndarray, how: str) -> np.ndarray:
    """A clip's points (T, 68, 2) without its place and size in the picture: (T, 136) float32, x0, y0, x1, ..."""
    axes = (0, 1) if how == "shift_scale" else 0
    centred = points - points.mean(axis=axes, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=None if how == "shift_scale" else 0))
    # A coordinate that never moves has no deviation to divide by.
    return (centred / np.maximum(scale, 1e-6)).reshape(len(points), -1).astype(np.float32)


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """The clip's points (T, 136) float32, normalised, of the frames that show its face.

    Raises ClipFailure: `no_face`, and what `features.decode.video_frames` raises.
    """
    shape(params)
    predictor()
    times, points = landmarks(follow(media, float(params["fps"]), str(params["detector"]), _FACE_PX))
    return FeatureArray(normalised(points, str(params["normalise"])), times)


def shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    """(136,)."""
    check_following("landmarks", params)
    if params["normalise"] not in NORMALISATIONS:
        raise unknown_name("normalisation of landmarks", str(params["normalise"]), NORMALISATIONS)
    return (2 * POINTS,)


SET = FeatureSet(
    name="landmarks",
    version=4,
    level="frame",
    summary="68 points of the face, normalised per clip (Chao; dlib's Kazemi-Sullivan trees, non-commercial)",
    extract=extract,
    shape=shape,
    params={"normalise": "shift_scale", "fps": 0.0, "detector": "auto"},
    extra="research",
    concrete=concrete,
)
