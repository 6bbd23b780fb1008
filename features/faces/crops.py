"""The feature set `faces`: aligned crops of the one face that a clip is about.

With `detector=none` each picture is the face, as data sets give them (FER2013, SFEW's and AFEW's aligned faces); its
middle square is taken. `equalise` and `register` are Kahou's preprocessing (section 2.1.2): histogram equalisation, and
the data set's similarity onto the reference set, with noise beyond the picture. Its third step, the mean and deviation
image, is fitted by the model that reads the crops.
"""

from collections.abc import Mapping

import cv2
import numpy as np

from features.decode import video_frames
from features.errors import WrongUse
from features.faces.align import EYE_FACE_PX, aligned_crops
from features.faces.follow import DETECTORS, check_following, concrete, follow
from features.faces.similarity import Similarity, cut, parse_similarity
from features.sets import FeatureArray, FeatureSet, Media, Value

GIVEN = "none"


def extract(media: Media, params: Mapping[str, Value]) -> FeatureArray:
    """Crops uint8 (T, size, size), with `colour` RGB (T, size, size, 3), of the frames that show the clip's face.

    Raises ClipFailure: `no_face`, and what `features.decode.video_frames` raises.
    """
    shape = _shape(params)
    size, colour = shape[0], len(shape) == 3
    fps, detector, move = float(params["fps"]), str(params["detector"]), parse_similarity(str(params["register"]))
    if detector == GIVEN:
        times, crops = _given_crops(media, fps, size, colour, move)
    else:
        times, crops = aligned_crops(follow(media, fps, detector, max(size, EYE_FACE_PX), colour), size, move)
    if params["equalise"]:
        crops = np.stack([_equalised(crop) for crop in crops])
    return FeatureArray(crops, times)


def _shape(params: Mapping[str, Value]) -> tuple[int, ...]:
    check_following("faces", params, (*DETECTORS, GIVEN))
    parse_similarity(str(params["register"]))
    size = int(params["size"])
    if not 16 <= size <= 512:
        raise WrongUse(f"Feature set 'faces': expected a size from 16 to 512 pixels, but got {size}.")
    return (size, size, 3) if params["colour"] else (size, size)


def _given_crops(
    media: Media, fps: float, size: int, colour: bool, move: Similarity | None
) -> tuple[np.ndarray, np.ndarray]:
    times, crops = [], []
    for time_s, picture in video_frames(media, every_s=1 / fps if fps else None, gray=not colour):
        times.append(time_s)
        crops.append(middle_square(picture, size, move))
    return np.array(times), np.stack(crops)


def middle_square(picture: np.ndarray, size: int, move: Similarity | None = None) -> np.ndarray:
    """The middle square of `picture` (H, W[, 3]) at `size` pixels a side."""
    scale = size / min(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        scale = 1.0
    height, width = picture.shape[:2]
    matrix = np.array([[scale, 0, (size - scale * width) / 2], [0, scale, (size - scale * height) / 2]])
    return cut(picture, matrix, size, move)


def _equalised(crop: np.ndarray) -> np.ndarray:
    if crop.ndim == 2:
        return cv2.equalizeHist(crop)
    luma, red, blue = cv2.split(cv2.cvtColor(crop, cv2.COLOR_RGB2YCrCb))
    return cv2.cvtColor(cv2.merge([cv2.equalizeHist(luma), red, blue]), cv2.COLOR_YCrCb2RGB)


SET = FeatureSet(
    name="faces",
    version=4,
    level="frame",
    summary="aligned crops of one face per clip (Viola-Jones, and CenterFace or a CNN where that finds none)",
    extract=extract,
    shape=_shape,
    params={"size": 48, "colour": False, "fps": 0.0, "detector": "auto", "equalise": False, "register": ""},
    concrete=concrete,
)
