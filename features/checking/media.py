"""What the media files tell: which can't be read, and which pictures of two splits are nearly the same."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np

from features.checking.rows import Finding
from features.clips import Clip, ClipTable
from features.decode import read_audio, video_frames
from features.errors import ClipFailure
from features.progress import progress
from features.sets import Media

# A picture as 16 x 16 grey fields, mean 0 and length 1: the product of two is their correlation.
_SIDE = 16
_ALIKE = 0.99
# A picture without contrast is like any other.
_MIN_CONTRAST = 8.0
_HEARD_S = 2.0


class Probe(NamedTuple):
    """What a clip's media hold: `failure` where neither picture nor sound can be read; `look` (256,) float32."""

    picture: bool
    sound: bool
    failure: ClipFailure | None
    look: np.ndarray | None


def probe(media: Media) -> Probe:
    """Read a clip's first frame and its first two seconds of sound."""
    try:
        _, frame = next(video_frames(media, gray=True, max_side=256))
        no_picture, look = None, _look(frame)
    except ClipFailure as failure:
        no_picture, look = failure, None
    try:
        end_s = media.start_s + _HEARD_S
        read_audio(Media(media.path, media.start_s, end_s if media.end_s is None else min(end_s, media.end_s)), 16_000)
        no_sound = None
    except ClipFailure as failure:
        no_sound = failure
    broken = [f for f in (no_picture, no_sound) if f is not None and f.status in ("unreadable", "missing")]
    nothing = no_picture is not None and no_sound is not None
    told = broken[0] if broken else no_sound if nothing else None
    return Probe(no_picture is None, no_sound is None, told, look)


def _look(image: np.ndarray) -> np.ndarray | None:
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    if small.std() < _MIN_CONTRAST:
        return None
    small -= small.mean()
    return small / np.linalg.norm(small)


def probe_all(table: ClipTable, workers: int) -> dict[str, Probe]:
    """The probe of every clip that has a local file, by clip_id."""
    clips = [clip for clip in table.clips if clip.path is not None]
    with ThreadPoolExecutor(max(workers, 1)) as pool, progress("look into files", len(clips)) as counter:
        probes = {}
        for clip, found in zip(clips, pool.map(lambda clip: probe(table.media(clip)), clips), strict=True):
            probes[clip.clip_id] = found
            counter.advance()
    return probes


def media_findings(table: ClipTable, probes: dict[str, Probe]) -> Iterator[Finding]:
    """What the probes tell of the table."""
    failed = [(clip, f) for clip in table.clips if clip.clip_id in probes and (f := probes[clip.clip_id].failure)]
    by_status: dict[str, list[tuple[Clip, ClipFailure]]] = defaultdict(list)
    for clip, failure in failed:
        by_status[failure.status].append((clip, failure))
    for status, found in sorted(by_status.items()):
        clip, failure = found[0]
        count = "1 clip" if len(found) == 1 else f"{len(found)} clips"
        yield Finding("error", f"{count} {status}, such as {clip.clip_id!r}: {failure.reason}")
    yield from _alike(table, probes)


def _alike(table: ClipTable, probes: dict[str, Probe]) -> Iterator[Finding]:
    pairs = [
        (one, other)
        for split, others in (("train", ("val", "test")), ("val", ("test",)))
        for one, other in _near(_looks(table, probes, (split,)), _looks(table, probes, others))
        if one.media_sha256 is None or one.media_sha256 != other.media_sha256
    ]
    if pairs:
        one, other = pairs[0]
        count = "1 pair" if len(pairs) == 1 else f"{len(pairs)} pairs"
        yield Finding(
            "warning",
            f"{count} of clips begin with nearly the same picture in two splits, such as {one.clip_id!r} in "
            f"{one.split} and {other.clip_id!r} in {other.split}: one person, scene or take on both sides?",
        )


def _looks(table: ClipTable, probes: dict[str, Probe], splits: Collection[str]) -> list[tuple[Clip, np.ndarray]]:
    clips = [clip for clip in table.clips if clip.split in splits and clip.clip_id in probes]
    return [(clip, look) for clip in clips if (look := probes[clip.clip_id].look) is not None]


def _near(ones: list[tuple[Clip, np.ndarray]], others: list[tuple[Clip, np.ndarray]]) -> Iterator[tuple[Clip, Clip]]:
    if not others:
        return
    theirs = np.stack([look for _, look in others])  # (M, 256)
    for clip, look in ones:
        yield from ((clip, others[int(i)][0]) for i in np.flatnonzero(theirs @ look > _ALIKE))
