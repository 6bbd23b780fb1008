"""Writes clips as mp4 and stills as PNG; the same pictures and samples give the same bytes."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np

from features.files import replacing, write_bytes

# The wheels of PyAV differ in what they may ship; every player reads all three.
_VIDEO_CODECS = ("libx264", "libopenh264", "mpeg4")
_CODEC_OPTIONS = {"libx264": {"preset": "superfast", "crf": "23"}}


def write_clip(path: Path, frames: Iterable[np.ndarray], rate: int, audio: np.ndarray | None, sample_rate: int) -> None:
    """Write `frames` (H, W, 3) RGB uint8 at `rate` per second, and `audio` (S,) float32 unless None, as mp4."""
    codec = next(name for name in _VIDEO_CODECS if name in av.codecs_available)
    rest = iter(frames)
    first = next(rest)
    options = {"fflags": "+bitexact"}
    with replacing(path, sync=False) as temporary, av.open(temporary, "w", format="mp4", options=options) as file:
        video = cast(av.VideoStream, file.add_stream(codec, rate=rate, options=_CODEC_OPTIONS.get(codec, {})))
        video.height, video.width = first.shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1  # the number of threads would change the bytes
        sound = file.add_stream("aac", rate=sample_rate, layout="mono") if audio is not None else None
        for frame in chain((first,), rest):
            file.mux(video.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        file.mux(video.encode(None))
        if sound is not None and audio is not None:
            samples = av.AudioFrame.from_ndarray(audio[None], "fltp", "mono")
            samples.sample_rate = sample_rate
            file.mux(sound.encode(samples))
            file.mux(sound.encode(None))


def write_still(path: Path, picture: np.ndarray) -> None:
    """Write `picture` (H, W, 3) RGB uint8 as PNG."""
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    write_bytes(path, data.tobytes(), sync=False)
