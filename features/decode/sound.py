"""The sound of a file block by block, all channels, with the time of each block."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import soundfile
from av import AudioFrame
from av.container import InputContainer

from features.decode.container import decoded, opened, origin_s, seek_before, tell_cut_off
from features.errors import ClipFailure
from features.sets import Media

_BLOCK_S = 1.0
# Sound whose stamps were rounded may begin this much after the place that was asked for.
_LATE_S = 0.05
# FFmpeg reads these as noise: samples in the wrong order of bytes, or of another coding.
_MISREAD = ("G721", "G723", "NMS_ADPCM")


@dataclass(frozen=True)
class Block:
    """Samples (channels, n) float64, full scale 1; `time_s` from the clip's start, None where the file doesn't tell."""

    time_s: float | None
    rate: int
    samples: np.ndarray


class SoundFile:
    """A media file with sound; ClipFailure `missing`, `unreadable`, `no_audio` where it holds no track."""

    def __init__(self, media: Media):
        self.media = media
        self._own = media.path.is_file() and _misread_by_ffmpeg(media)
        if self._own:
            self.tracks = 1
            return
        with opened(media) as container:
            self.tracks = len(container.streams.audio)
        if not self.tracks:
            raise ClipFailure("no_audio", "the file holds no audio track")

    def blocks(self, track: int) -> Iterator[Block]:
        """The blocks of one track (from 0), from somewhere before the clip's start on.

        ClipFailure `unreadable` where nothing can be decoded.
        """
        yield from _libsndfile_blocks(self.media) if self._own else _ffmpeg_blocks(self.media, track)


def _misread_by_ffmpeg(media: Media) -> bool:
    with media.path.open("rb") as file:
        mark = file.read(4)
    if mark == b"RIFX":
        return True
    if mark not in (b"RIFF", b".snd"):
        return False
    try:
        return soundfile.info(str(media.path)).subtype.startswith(_MISREAD)
    except soundfile.LibsndfileError:
        return False


def _libsndfile_blocks(media: Media) -> Iterator[Block]:
    try:
        with soundfile.SoundFile(str(media.path)) as file:
            start = 0
            if file.seekable():
                start = file.seek(min(round(media.start_s * file.samplerate), max(file.frames - 1, 0)))
            count = round(_BLOCK_S * file.samplerate)
            while len(samples := file.read(count, dtype="float64", always_2d=True)):
                yield Block(start / file.samplerate - media.start_s, file.samplerate, samples.T)
                start += len(samples)
    except soundfile.LibsndfileError as error:
        raise ClipFailure("unreadable", f"its sound can't be read ({error})") from None


def _ffmpeg_blocks(media: Media, track: int) -> Iterator[Block]:
    for seek in (True, False) if media.start_s > 0 else (False,):
        with ExitStack() as stack:
            container = stack.enter_context(opened(media))
            if seek:
                seek_before(container, media)
            blocks = _decoded_blocks(container, media, track)
            first = next(blocks, None)
            if first is None or (seek and (first.time_s is None or first.time_s > _LATE_S)):
                continue  # beyond the end, or the seek went too far: decode from the beginning instead
            yield first
            yield from blocks
            return
    raise ClipFailure("unreadable", "none of the audio track can be decoded")


def _decoded_blocks(container: InputContainer, media: Media, track: int) -> Iterator[Block]:
    origin, reached_s = origin_s(container, media), None
    stream = container.streams.audio[track]
    for frame in decoded(container, stream):
        time_s = None if frame.time is None else frame.time - origin
        yield Block(time_s, frame.sample_rate, _samples(frame))
        if time_s is not None:
            reached_s = time_s + frame.samples / frame.sample_rate
    if reached_s is not None:
        tell_cut_off(container, stream, media, reached_s)


def _samples(frame: AudioFrame) -> np.ndarray:
    samples: np.ndarray = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64, "C") - 128) / 128
    if samples.dtype.kind == "i":
        return samples.astype(np.float64, "C") / -float(np.iinfo(samples.dtype).min)
    return samples.astype(np.float64, "C")
