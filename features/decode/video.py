"""The frames of a clip, streaming, with their own time stamps."""

from collections.abc import Iterator

import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from features.decode.container import decoded, opened, origin_s, seek_before
from features.errors import ClipFailure
from features.sets import Media

# Frames per second where a file doesn't tell.
_FALLBACK_RATE = 25.0
# Stamps are rounded to the file's time base; this much is no difference.
_SLACK_S = 1e-6
# 8-bit formats whose first plane is the luma, taken as it is: FFmpeg's conversion to grey costs as much as decoding.
_LUMA_FIRST = frozenset(f"yuv{j}{n}p" for j in ("", "j") for n in ("420", "422", "444", "440")) | {"nv12", "gray"}
_FULL_RANGE = 2
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


def video_frames(
    media: Media, *, every_s: float | None = None, max_side: int | None = None, gray: bool = False
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time_s, image) for the clip's frames: seconds from the clip's start, uint8 RGB (H, W, 3).

    With `gray` the images are full-range luma (H, W), which is much cheaper. `every_s` keeps the frames nearest to the
    multiples of that step (never more than one for each); skipped frames are decoded but not converted. `max_side`
    shrinks larger pictures. Stamps always grow; a missing one is estimated from the frame rate. A rotation that the
    file asks for (phones) is applied. A still image is one frame at 0 s.

    A file that is cut off yields the frames that decode. Raises ClipFailure (on the first `next`): `missing`,
    `unreadable` when nothing decodes, `no_video`, `too_short` when no frame lies between start_s and end_s.

    One thread decodes: extraction runs a process per core, and more threads only add work (measured: 10 % at 720p).
    """
    end_s = np.inf if media.end_s is None else media.end_s - media.start_s - _SLACK_S
    due_s, seen, kept = 0.0, 0, 0
    for time_s, frame, step in _timed(media):
        seen += 1
        if time_s >= end_s:
            break
        if time_s < -_SLACK_S or (every_s and time_s < due_s - step / 2):
            continue
        if every_s:
            due_s = (np.floor((time_s + step / 2) / every_s) + 1) * every_s
        kept += 1
        yield max(time_s, 0.0), _image(frame, max_side, gray)
    if not seen:
        raise ClipFailure("unreadable", "none of the video's frames can be decoded")
    if not kept:
        stop = "the end" if media.end_s is None else f"{media.end_s:g} s"
        raise ClipFailure("too_short", f"the video has no frame between {media.start_s:g} s and {stop}")


def _timed(media: Media) -> Iterator[tuple[float, VideoFrame, float]]:
    """(seconds from the clip's start, frame, seconds between frames), from somewhere before the clip's start on."""
    for seek in (True, False) if media.start_s > 0 else (False,):
        with opened(media) as container:
            stream = _stream(container)
            if seek:
                seek_before(container, media)
            origin, last_s = origin_s(container, media), None
            step = 1 / float(stream.average_rate or stream.guessed_rate or _FALLBACK_RATE)
            for frame in decoded(container, stream):
                stamp = frame.pts if frame.pts is not None else frame.dts
                if stamp is not None and frame.time_base:
                    time_s = float(stamp * frame.time_base) - origin
                else:
                    time_s = -origin if last_s is None else last_s + step
                if last_s is None and seek and time_s > step / 2:
                    break  # the seek went too far: decode from the beginning instead
                if last_s is not None and time_s <= last_s:
                    time_s = last_s + step
                last_s = time_s
                yield time_s, frame, step
            if last_s is not None:
                return


def _stream(container: InputContainer) -> VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({s.type for s in container.streams})
        raise ClipFailure("no_video", f"the file holds no video stream, only {', '.join(kinds)}")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is not None:
        stream.thread_type = "NONE"
    return stream


def _image(frame: VideoFrame, max_side: int | None, gray: bool) -> np.ndarray:
    turn = _TURNS.get(frame.rotation % 360)
    scale = min(1.0, max_side / max(frame.width, frame.height)) if max_side else 1.0
    if gray and frame.format.name in _LUMA_FIRST:
        image = _luma(frame)
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    else:
        width, height = round(frame.width * scale), round(frame.height * scale)
        frame = frame.reformat(width, height, "gray" if gray else "rgb24", interpolation="AREA")
        image = frame.to_ndarray()
    return image if turn is None else cv2.rotate(image, turn)


def _luma(frame: VideoFrame) -> np.ndarray:
    plane = frame.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    if frame.color_range == _FULL_RANGE or frame.format.name.startswith(("yuvj", "gray")):
        return luma.copy()
    return cv2.convertScaleAbs(luma, alpha=255 / 219, beta=-16 * 255 / 219)
