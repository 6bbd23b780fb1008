"""When the frames of a video are shown, also where the file's stamps don't say so."""

from collections import deque
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

from av.video.frame import VideoFrame

# Formats without presentation stamps: FFmpeg makes them up from the order of the packets, which isn't that of frames.
_WITHOUT = frozenset({"avi"})
# So many frames show whether stamps that come from elsewhere are in order: more than there are B-frames in a row.
_AHEAD = 8
# A stamp that repeats the one before it was rounded to it: the frame comes this much later, not a whole step.
_LATER_S = 1e-3


class PacketStart:
    """Where decoding began: the dts of the first packet that can be decoded by itself."""

    def __init__(self) -> None:
        self.dts: int | None = None

    def see(self, packet: Any) -> None:
        """The next packet."""
        if self.dts is None and packet.is_keyframe and packet.size:
            self.dts = packet.dts


def stamped(
    frames: Iterator[VideoFrame], begun: PacketStart, format_name: str, origin_s: float, step_s: float
) -> Iterator[tuple[float, VideoFrame]]:
    """(seconds from the origin, frame) with times that strictly grow.

    Where the frames' pts don't grow, or the format has none, the decoding stamps count, from the first packet on; where
    there are no stamps, frames are `step_s` apart.
    """
    head = deque(islice(frames, _AHEAD))
    pts = [frame.pts for frame in head if frame.pts is not None]
    by_dts = format_name in _WITHOUT or any(late <= early for early, late in pairwise(pts))
    first_dts = head[0].dts if head else None
    # A decoder that reorders gives the first frame only after some packets more.
    delay = first_dts - begun.dts if by_dts and first_dts is not None and begun.dts is not None else 0
    last_s: float | None = None
    while (frame := head.popleft() if head else next(frames, None)) is not None:
        stamp = frame.dts if by_dts or frame.pts is None else frame.pts
        if stamp is not None and frame.time_base:
            time_s = float((stamp - delay) * frame.time_base) - origin_s
        else:
            time_s = -origin_s if last_s is None else last_s + step_s
        if last_s is not None and time_s <= last_s:
            repeated = not by_dts and time_s > last_s - step_s / 2
            time_s = last_s + (min(_LATER_S, step_s / 2) if repeated else step_s)
        elif by_dts and last_s is not None:
            step_s = time_s - last_s  # the rate that FFmpeg made of such stamps may be any; the last frames have none
        last_s = time_s
        yield time_s, frame
