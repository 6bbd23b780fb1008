"""The feature set `faces`: aligned crops of the one face that a clip is about."""

from collections.abc import Mapping

import cv2
import numpy as np

from features.errors import WrongUse
from features.faces.align import EYE_FACE_PX, aligned_crops
from features.faces.follow import check_following, follow
from features.sets import FeatureArray, FeatureSet, Media, Value


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """Crops uint8 (T, size, size), with `colour` RGB (T, size, size, 3), of the frames that show the clip's face.

    Raises ClipFailure: `no_face`, and what `features.decode.video_frames` raises.
    """
    shape = _shape(params)
    size, colour = shape[0], len(shape) == 3
    track = follow(media, float(params["fps"]), str(params["detector"]), max(size, EYE_FACE_PX), colour)
    times, crops = aligned_crops(track, size)
    if params["equalise"]:
        crops = np.stack([_equalised(crop) for crop in crops])
    return FeatureArray(crops, times)


def _shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    check_following("faces", params)
    size = int(params["size"])
    if not 16 <= size <= 512:
        raise WrongUse(f"Feature set 'faces': expected a size from 16 to 512 pixels, but got {size}.")
    return (size, size, 3) if params["colour"] else (size, size)


def _equalised(crop: np.ndarray) -> np.ndarray:
    if crop.ndim == 2:
        return cv2.equalizeHist(crop)
    luma, red, blue = cv2.split(cv2.cvtColor(crop, cv2.COLOR_RGB2YCrCb))
    return cv2.cvtColor(cv2.merge([cv2.equalizeHist(luma), red, blue]), cv2.COLOR_YCrCb2RGB)


SET = FeatureSet(
    name="faces",
    version=1,
    level="frame",
    summary="aligned crops of one face per clip (Viola-Jones, a CNN where that finds none)",
    extract=extract,
    shape=_shape,
    params={"size": 48, "colour": False, "fps": 0.0, "detector": "auto", "equalise": False},
)
