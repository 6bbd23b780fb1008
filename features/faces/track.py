"""One face followed through a clip.

Looking costs more than decoding, so that it is done sparingly: every `LOOK_S` Viola-Jones looks around each followed
face; the whole picture is searched when no face is followed, less often the longer there is none, and else every
`SEARCH_S` for a larger one, by CenterFace at a size in which a face like the followed one just shows. CenterFace, where
it is, searches before Viola-Jones, which then does so in every second picture in which CenterFace finds nothing, and
looks around a followed face where Viola-Jones finds nothing: not at each look while that hardly moves. dlib's CNN
searches in that place when no face is followed: at first every `CNN_S`, then half as often after each picture in which
it finds nothing (a clip of a minute without a face costs seven such pictures).

Boxes of two looks belong to one track when they are close for the time between and of like size, in the same shot: a
cut ends all tracks. The track with the largest sum of sizes wins: long and large. Between two looks at which the face
is seen, up to `GAP_S` apart, it is interpolated; frames of a longer absence are left out.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from features.faces.centerface import CenterFace
from features.faces.detect import Box, Cnn, ViolaJones

LOOK_S = 0.1
SEARCH_S = 1.0
CNN_S = 0.5
# CenterFace searches for small faces, which takes it longer, at first and so long after that, then ever less often.
FINE_S = 1.5
GAP_S = 0.75
# A face that comes back to its place after this time starts a new track.
_FORGET_S = 2.0
# Without a sighting for this long, a track doesn't keep the whole picture from being searched.
_LOST_S = 0.25
# Where Viola-Jones doesn't find a face, CenterFace looks around it: again after this time where the face hardly moves
# (so much of its side), isn't found either, or isn't the largest; else at each look.
_REST_S, _CALM = 0.19, 0.15
_FOLLOWED = 3
_LEAST_SIZE_RATIO = 0.6
# How far a face gets, in its own sides: at once, for each second, at most.
_REACH, _REACH_PER_S, _MOST_REACH = 0.4, 1.2, 1.0
# Correlation of two frames' thumbnails: cuts in real clips below 0.2, turning lights 0.5, a whip pan 0.8.
_CUT, _THUMBNAIL, _FLAT = 0.4, 32, 4.0
# Patches reach this many box sides, so that a turned or moving face stays inside.
_PATCH_REACH = 2.0
_SLACK_S = 1e-6


@dataclass(frozen=True)
class Patch:
    """The neighbourhood of a followed face in one frame: pixel (u, v) shows the frame at (left + u / scale, ...)."""

    time_s: float
    pixels: np.ndarray
    left: float
    top: float
    scale: float


@dataclass
class Track:
    """Where one face was seen, and patches of all frames in between."""

    times_s: list[float] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    holds_s: list[float] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    score: float = 0.0
    sightings: int = 0
    # Until then CenterFace doesn't look around it.
    rests_until_s: float = -np.inf

    def add(self, time_s: float, box: Box, picture_side: int, trust: int = 1) -> None:
        """A sighting; that of a CNN counts for `trust` of Viola-Jones's, and stands for as many looks."""
        self.times_s.append(time_s)
        self.boxes.append(box)
        self.holds_s.append(trust * LOOK_S)
        self.score += trust * box.side / picture_side
        self.sightings += trust

    def kept(self) -> list[Patch]:
        """The patches of the frames in which the face was seen, or between two sightings not too far apart."""
        times = np.array(self.times_s)
        kept = []
        for patch in self.patches:
            at = int(np.searchsorted(times, patch.time_s + _SLACK_S))  # sightings up to now
            next_s = times[at] if at < len(times) else np.inf
            last_s, hold_s = times[at - 1], self.holds_s[at - 1]
            if next_s - last_s <= GAP_S + _SLACK_S or patch.time_s - last_s < hold_s - _SLACK_S:
                kept.append(patch)
        return kept


class Tracker:
    """Takes a clip's frames one by one and follows the faces in them.

    `face_px` is how large a face the patches should show at most (they aren't enlarged).
    """

    # The CNN hardly ever errs: one of its sightings makes a track, three of Viola-Jones do.
    _CNN_TRUST = _SIGHTINGS = 3

    def __init__(
        self, viola_jones: ViolaJones | None, cnn: Cnn | None, face_px: int, centerface: CenterFace | None = None
    ):
        self._cnn, self._centerface, self._face_px = cnn, centerface, face_px
        self._viola_jones = viola_jones
        self._near = [detector for detector in (viola_jones, centerface) if detector is not None]
        self._search = centerface or viola_jones
        self._tracks: list[Track] = []
        self._next_look_s = self._next_cnn_s = 0.0
        self._searched_s = self._shot_s = -np.inf
        self._thumbnail: np.ndarray | None = None
        self._cnn_wait_s = CNN_S
        self._next_fine_s, self._fine_wait_s = 0.0, FINE_S / 2
        self.frames = self.looks = self._empty = 0

    def step(self, time_s: float, image: np.ndarray, keep: bool = True) -> None:
        """The next frame, grey (H, W) or RGB (H, W, 3); `keep` tells whether it may become a crop."""
        self.frames += 1
        if self._cut(image):
            self._shot_s = self._next_look_s = time_s
            self._searched_s = -np.inf
            self._next_fine_s, self._fine_wait_s = time_s, FINE_S / 2
        if time_s >= self._next_look_s - _SLACK_S:
            self._look(time_s, image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
            self._next_look_s = time_s + LOOK_S - 0.01  # looks fall on frames, whose stamps are rounded
            self.looks += 1
        if keep:
            for track in self._followed(time_s, GAP_S):
                track.patches.append(_patch(time_s, image, track.boxes[-1], self._face_px))

    def best(self) -> Track | None:
        """The longest and largest track; None where none has enough sightings to be a face."""
        needed = min(self._SIGHTINGS, self.looks)
        real = [t for t in self._tracks if t.sightings >= needed and t.patches]
        return max(real, key=lambda t: t.score, default=None)

    def _followed(self, time_s: float, within_s: float) -> list[Track]:
        since_s = max(self._shot_s, time_s - within_s - _SLACK_S)
        recent = [t for t in self._tracks if t.times_s[-1] >= since_s]
        return sorted(recent, key=lambda t: -t.boxes[-1].side)[:_FOLLOWED]

    def _look(self, time_s: float, gray: np.ndarray) -> None:
        for place, track in enumerate(self._followed(time_s, GAP_S)):
            self._look_around(track, time_s, gray, largest=place == 0)
        seen = self._followed(time_s, _LOST_S)
        if self._cnn:
            if not seen and time_s >= self._next_cnn_s - _SLACK_S:
                found = self._cnn(gray)
                self._link(time_s, gray, found, self._CNN_TRUST)
                self._cnn_wait_s = CNN_S if found else 2 * self._cnn_wait_s
                self._next_cnn_s = time_s + self._cnn_wait_s
        elif self._search and time_s - self._searched_s >= self._wait_s(time_s, bool(seen)) - _SLACK_S:
            self._searched_s = time_s
            fine = not seen and time_s >= self._next_fine_s - _SLACK_S
            if seen and self._centerface:
                found = self._centerface.larger(gray, seen[0].boxes[-1])
            else:
                found = self._search(gray, large=not fine)
            if not found and self._viola_jones and self._centerface:
                # What it alone sees, drawn faces and the like, is worth every second search.
                self._empty += 1
                if self._empty % 2:
                    found = self._viola_jones(gray, large=True)
            if fine and self._centerface:
                self._fine_wait_s = FINE_S if found else 2 * self._fine_wait_s
                self._next_fine_s = time_s + self._fine_wait_s
            self._link(time_s, gray, found, 1)

    def _look_around(self, track: Track, time_s: float, gray: np.ndarray, largest: bool) -> None:
        for detector in self._near:
            if detector is self._centerface:
                self._look_closely(track, time_s, gray, largest)
                return
            box = detector.near(gray, track.boxes[-1])
            if box is not None and _same(track, time_s, box):
                track.add(time_s, box, max(gray.shape))
                return

    def _look_closely(self, track: Track, time_s: float, gray: np.ndarray, largest: bool) -> None:
        """CenterFace's look, which costs more than decoding the frames in between."""
        assert self._centerface
        last_s, last = track.times_s[-1], track.boxes[-1]
        if time_s < track.rests_until_s - _SLACK_S or (not largest and time_s - last_s < _REST_S):
            return
        box = self._centerface.near(gray, last)
        calm = True
        if box is not None and _same(track, time_s, box):
            rested = largest and _REST_S <= time_s - last_s < 2 * _REST_S
            track.add(time_s, box, max(gray.shape), 2 if rested else 1)
            calm = track.sightings > self._SIGHTINGS and _calm(last, box)
        track.rests_until_s = time_s + _REST_S if calm else -np.inf

    def _wait_s(self, time_s: float, seen: bool) -> float:
        """How long after a search by Viola-Jones or CenterFace the next one follows."""
        if seen:
            return SEARCH_S
        last_s = max((track.times_s[-1] for track in self._tracks), default=0.0)
        least_s, share, most_s = self._search.lost_s if self._search else ViolaJones.lost_s
        return min(max((time_s - last_s) * share, least_s), most_s)

    def _link(self, time_s: float, gray: np.ndarray, boxes: list[Box], trust: int) -> None:
        for box in boxes:
            since_s = max(self._shot_s, time_s - _FORGET_S)
            near = [t for t in self._tracks if t.times_s[-1] >= since_s and _same(t, time_s, box)]
            track = min(near, key=lambda t: t.boxes[-1].apart(box), default=None)
            if track is None:
                track = Track()
                self._tracks.append(track)
            if not track.times_s or track.times_s[-1] < time_s:  # else it was seen already, by the look around it
                track.add(time_s, self._as_followed(gray, box), max(gray.shape), trust)

    def _as_followed(self, gray: np.ndarray, box: Box) -> Box:
        """A face that CenterFace found, as Viola-Jones will see it in the next looks: boxes of two kinds jitter."""
        if not self._centerface or not self._viola_jones:
            return box
        alike = self._viola_jones.near(gray, box)
        return alike if alike is not None and alike.apart(box) < _REACH / 2 else box

    def _cut(self, image: np.ndarray) -> bool:
        step = max(1, max(image.shape) // _THUMBNAIL)
        thumbnail = image[step // 2 :: step, step // 2 :: step].astype(np.float32)
        thumbnail -= thumbnail.mean()
        last, self._thumbnail = self._thumbnail, thumbnail
        if last is None or last.shape != thumbnail.shape:
            return last is not None
        contrasts = thumbnail.std(), last.std()
        if max(contrasts) < _FLAT:
            return False
        return bool((thumbnail * last).mean() < _CUT * contrasts[0] * contrasts[1])


def _same(track: Track, time_s: float, box: Box) -> bool:
    last = track.boxes[-1]
    reach = min(_REACH + _REACH_PER_S * (time_s - track.times_s[-1]), _MOST_REACH)
    small, large = sorted((last.side, box.side))
    return last.apart(box) <= reach and small / large >= _LEAST_SIZE_RATIO


def _calm(one: Box, other: Box) -> bool:
    """Whether a face hardly moves: what lies between two such sightings may be interpolated."""
    small, large = sorted((one.side, other.side))
    return one.apart(other) <= _CALM and small / large >= 1 - _CALM


def _patch(time_s: float, image: np.ndarray, box: Box, face_px: int) -> Patch:
    reach = _PATCH_REACH * box.side / 2
    left, top = max(0, int(box.x - reach)), max(0, int(box.y - reach))
    part = image[top : max(top + 1, int(box.y + reach)), left : max(left + 1, int(box.x + reach))]
    scale = min(1.0, face_px / box.side)
    if scale < 1:
        return Patch(time_s, cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), left, top, scale)
    return Patch(time_s, part.copy(), left, top, scale)
