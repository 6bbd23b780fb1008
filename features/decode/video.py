"""The frames of a clip, streaming, with their own time stamps."""

from collections.abc import Iterator

import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from features.decode.container import decoded, opened, origin_s, seek_before, tell_cut_off
from features.decode.orientation import orientation_of, shown
from features.decode.stamps import PacketStart, stamped
from features.decode.stills import read_still
from features.errors import ClipFailure
from features.sets import Media

# Frames per second where a file doesn't tell.
_FALLBACK_RATE = 25.0
# Stamps are rounded to the file's time base; this much is no difference.
_SLACK_S = 1e-6
# 8-bit formats whose first plane is the luma, taken as it is: FFmpeg's conversion to grey costs as much as decoding.
_LUMA_FIRST = frozenset(f"yuv{j}{n}p" for j in ("", "j") for n in ("420", "422", "444", "440")) | {"nv12", "gray"}
_FULL_RANGE = 2
# Black and the span up to white of limited-range luma.
_BLACK, _SPAN = np.uint8(16), 219
# Pictures of phones, as a rule of many tiles that are streams of their own.
_HEIF = frozenset({"heic", "heix", "heim", "heis", "mif1", "msf1", "avif"})
# No camera has pixels so wide or tall: a damaged header has.
_MOST_ASPECT = 8


def video_frames(
    media: Media, *, every_s: float | None = None, max_side: int | None = None, gray: bool = False
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time_s, image) for the clip's frames: seconds from the clip's start, uint8 RGB (H, W, 3).

    With `gray` the images are full-range luma (H, W), which is much cheaper. `every_s` keeps the frames nearest to the
    multiples of that step (never more than one for each); skipped frames are decoded but not converted. Pixels are
    square: where the file's aren't, the width is scaled (FFmpeg's `scale=iw*sar:ih`). Then `max_side` shrinks larger
    pictures, and they are turned and mirrored as the file asks (phones). Stamps always grow; where the file's don't,
    they come from the decoding order, a missing one from the frame rate. A still image is one frame at 0 s.

    A file that is cut off yields the frames that decode. Raises ClipFailure (on the first `next`): `missing`,
    `unreadable` when nothing decodes, `no_video`, `too_short` when no frame lies between start_s and end_s.

    One thread decodes: extraction runs a process per core, and more threads only add work (measured: 10 % at 720p).
    """
    still = read_still(media.path, gray=gray, max_side=max_side) if media.path.is_file() else None
    if still is not None:
        if media.start_s > 0:
            raise ClipFailure("too_short", f"a still picture has no frame from {media.start_s:g} s on")
        yield 0.0, still
        return
    end_s = np.inf if media.end_s is None else media.end_s - media.start_s - _SLACK_S
    due_s, seen, kept = 0.0, 0, 0
    for time_s, frame, step, aspect in _timed(media):
        seen += 1
        if time_s >= end_s:
            break
        if time_s < -_SLACK_S or (every_s and time_s < due_s - step / 2):
            continue
        if every_s:
            due_s = (np.floor((time_s + step / 2) / every_s) + 1) * every_s
        kept += 1
        yield max(time_s, 0.0), _image(frame, aspect, max_side, gray)
    if not seen:
        raise ClipFailure("unreadable", "none of the video's frames can be decoded")
    if not kept:
        stop = "the end" if media.end_s is None else f"{media.end_s:g} s"
        raise ClipFailure("too_short", f"the video has no frame between {media.start_s:g} s and {stop}")


def _timed(media: Media) -> Iterator[tuple[float, VideoFrame, float, float]]:
    """(seconds from the clip's start, frame, seconds between frames, width of a pixel by its height).

    They begin somewhere before the clip's start.
    """
    for seek in (True, False) if media.start_s > 0 else (False,):
        with opened(media) as container:
            stream = _stream(container)
            if seek:
                seek_before(container, media)
            step = 1 / float(stream.average_rate or stream.guessed_rate or _FALLBACK_RATE)
            aspect, begun, first = _pixel_aspect(stream), PacketStart(), True
            frames = decoded(container, stream, begun.see)
            for time_s, frame in stamped(frames, begun, container.format.name, origin_s(container, media), step):
                if first and seek and time_s > step / 2:
                    break  # the seek went too far: decode from the beginning instead
                first = False
                yield time_s, frame, step, aspect
            if not first:
                tell_cut_off(container, stream, media, time_s + step)
                return


def _pixel_aspect(stream: VideoStream) -> float:
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT else 1.0


def _stream(container: InputContainer) -> VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({s.type for s in container.streams})
        raise ClipFailure("no_video", f"the file holds no video stream, only {', '.join(kinds)}")
    tiles = [s for s in streams if s.disposition & Disposition.dependent]
    if tiles and container.metadata.get("major_brand") in _HEIF:
        told = f"a HEIC picture of {len(tiles)} tiles, which nothing here puts together; convert it to JPEG"
        raise ClipFailure("unreadable", told)
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is not None:
        stream.thread_type = "NONE"
    return stream


def _image(frame: VideoFrame, aspect: float, max_side: int | None, gray: bool) -> np.ndarray:
    width, height = max(1, int(frame.width * aspect)), frame.height
    scale = min(1.0, max_side / max(width, height)) if max_side else 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    enlarged = size[0] > frame.width or size[1] > frame.height
    if gray and frame.format.name in _LUMA_FIRST:
        image = _luma(frame)
        if size != (frame.width, frame.height):
            image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR if enlarged else cv2.INTER_AREA)
    else:
        how = "BILINEAR" if enlarged else "AREA"
        image = frame.reformat(*size, "gray" if gray else "rgb24", interpolation=how).to_ndarray()
    return shown(image, orientation_of(frame))


def _luma(frame: VideoFrame) -> np.ndarray:
    plane = frame.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    if frame.color_range == _FULL_RANGE or frame.format.name.startswith(("yuvj", "gray")):
        return luma.copy()
    # What is blacker than black is black: the conversion takes the absolute value, and cuts off at white only.
    return cv2.convertScaleAbs(np.maximum(luma, _BLACK), alpha=255 / _SPAN, beta=-int(_BLACK) * 255 / _SPAN)
