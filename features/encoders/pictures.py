"""The pictures of a clip that an image encoder takes: aligned face crops, or whole frames."""

from collections.abc import Callable, Mapping

import numpy as np

from features.decode import video_frames
from features.errors import WrongUse
from features.faces import crops
from features.faces.follow import DETECTORS, check_following, concrete_detector
from features.names import unknown_name
from features.sets import Media, Value

OF = ("faces", "frames")


def check_pictures(set_name: str, params: Mapping[str, Value]) -> None:
    """Refuse values of `of`, `fps` and `detector` that can't be meant."""
    if params["of"] not in OF:
        raise unknown_name("kind of pictures", str(params["of"]), OF)
    check_following(set_name, params, (*DETECTORS, crops.GIVEN))


def concrete_pictures(params: Mapping[str, Value]) -> Mapping[str, Value]:
    """The parameters with the detector that this installation uses, and with the version of the set `faces`.

    Whole frames need neither.
    """
    if params["of"] != "faces":
        return {**params, "detector": ""}
    return {**params, "detector": concrete_detector(str(params["detector"])), "faces": crops.SET.version}


def clip_pictures(
    media: Media, params: Mapping[str, Value], side: int, resized: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) and pictures uint8 (T, 3, side, side); faces are cut at that size, frames `resized` one by one.

    Raises ClipFailure: what `features.faces.crops.extract` and `features.decode.video_frames` raise.
    """
    fps = float(params["fps"])
    if params["of"] == "faces":
        given = {**crops.SET.params, "size": side, "colour": True, "fps": fps, "detector": params["detector"]}
        try:
            crops.SET.shape(given)
        except WrongUse as error:
            raise WrongUse(f"The model takes faces of {side} pixels. {error}") from None
        found = crops.extract(media, given)
        return found.time_s, np.ascontiguousarray(found.values.transpose(0, 3, 1, 2))
    times, pictures = [], []
    for time_s, picture in video_frames(media, every_s=1 / fps if fps else None):
        times.append(time_s)
        pictures.append(resized(picture))
    return np.array(times), np.stack(pictures)
