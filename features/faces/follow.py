"""From a media file to the one face that a clip is about: what all sets that need a face begin with."""

import math
from collections.abc import Mapping, Sequence

import cv2

from features.decode import video_frames
from features.errors import ClipFailure, WrongUse
from features.faces.centerface import CenterFace, centerface_installed
from features.faces.detect import Cnn, ViolaJones, cnn_installed
from features.faces.track import LOOK_S, Track, Tracker
from features.names import unknown_name
from features.sets import Media, Value

DETECTORS = ("auto", "viola_jones", "centerface", "cnn", "viola_jones+centerface", "viola_jones+cnn")
# What `viola_jones+cnn` is called in the keys of sets: there it was the only `auto` before CenterFace was.
_WITH_CNN = "auto"
_WHO = {
    "viola_jones": "Viola-Jones",
    "centerface": "CenterFace",
    "cnn": "the CNN",
    "viola_jones+centerface": "Viola-Jones and CenterFace",
    _WITH_CNN: "Viola-Jones and the CNN",
}


def follow(media: Media, fps: float, detector: str, face_px: int, colour: bool = False) -> Track:
    """The track of the clip's face, with patches that show it at up to `face_px` pixels, `fps` of them per second.

    0 fps stands for every frame. dlib's CNN goes through the clips in which Viola-Jones finds no lasting face.
    Raises ClipFailure: `no_face`, and what `features.decode.video_frames` raises.
    """
    cv2.setNumThreads(1)  # clips are spread over processes; and one thread finds the same boxes every time
    detector = concrete_detector(detector)
    centerface = CenterFace() if detector.endswith("centerface") else None
    trackers = []
    if detector not in ("cnn", "centerface"):
        trackers.append(Tracker(ViolaJones(), None, face_px, centerface))
    elif centerface:
        trackers.append(Tracker(None, None, face_px, centerface))
    if detector in ("cnn", _WITH_CNN):
        trackers.append(Tracker(ViolaJones() if detector == _WITH_CNN else None, Cnn(), face_px))
    for tracker in trackers:
        _track(tracker, media, fps, colour)
        track = tracker.best()
        if track is not None:
            return track
    raise ClipFailure("no_face", _no_face(trackers[0], detector))


def _track(tracker: Tracker, media: Media, fps: float, colour: bool) -> None:
    # The face is followed at the same rate whatever rate is asked for: at 2 fps it could not be followed.
    looks = math.ceil(1 / (LOOK_S * fps)) if fps else 1
    every_s = 1 / (looks * fps) if fps else None
    last = -1
    for time_s, image in video_frames(media, every_s=every_s, gray=not colour):
        now = round(time_s / every_s) // looks if every_s else last + 1
        tracker.step(time_s, image, keep=now > last)
        last = now


def concrete_detector(detector: str) -> str:
    """What `detector` stands for here; `auto` is Viola-Jones with CenterFace, else with the CNN, else alone."""
    if detector == "auto":
        if centerface_installed():
            return "viola_jones+centerface"
        return _WITH_CNN if cnn_installed() else "viola_jones"
    return _WITH_CNN if detector == "viola_jones+cnn" else detector


def check_following(set_name: str, params: Mapping[str, Value], detectors: Sequence[str] = DETECTORS) -> None:
    """Refuse values of `fps` and `detector` that can't be meant."""
    fps, detector = float(params["fps"]), str(params["detector"])
    if not 0 <= fps < float("inf"):
        raise WrongUse(f"Feature set {set_name!r}: expected fps of 0 (every frame) or more, but got {fps}.")
    if detector not in detectors:
        raise unknown_name("face detector", detector, detectors)


def concrete(params: Mapping[str, Value]) -> Mapping[str, Value]:
    """The parameters of a set that follows a face, with the detector that this installation uses."""
    return {**params, "detector": concrete_detector(str(params["detector"]))}


def _no_face(tracker: Tracker, detector: str) -> str:
    hint = "" if centerface_installed() else "; CenterFace, which finds turned faces too, comes with the extra `faces`"
    looks = f"{tracker.looks} look{'s' * (tracker.looks != 1)}"
    frames = f"{tracker.frames} frame{'s' * (tracker.frames != 1)}"
    return f"{_WHO[detector]} found no lasting face in {looks} at {frames}{hint}"
