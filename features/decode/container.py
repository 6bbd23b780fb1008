"""Opening a media file and decoding one of its streams, with every failure told as a ClipFailure."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import av
from av.container import InputContainer

from features.errors import ClipFailure
from features.machine import raise_machine_fault
from features.progress import say
from features.sets import Media

# Seeks may land after the place asked for (MPEG program streams have no index), and sound needs a little run-up.
_SEEK_MARGIN_S = 1.0
# Tracks of a whole file may differ so much in length.
_CUT_OFF_S, _CUT_OFF_SHARE, _RIFF_SLACK = 1.0, 0.02, 1024


@contextmanager
def opened(media: Media) -> Iterator[InputContainer]:
    """The opened file; ClipFailure `missing` or `unreadable` where that fails."""
    if not media.path.exists():
        raise ClipFailure("missing", f"{media.path} doesn't exist")
    if not media.path.is_file():
        raise ClipFailure("unreadable", f"{media.path} is a folder, expected a media file")
    try:
        # The prefix keeps a name such as `concat:a.mp4` from being read as a protocol.
        container = av.open(f"file:{media.path}", metadata_errors="ignore")
    except (av.error.FFmpegError, OSError) as error:
        raise_machine_fault(error, media.path)
        raise ClipFailure("unreadable", f"{_size(media)} that isn't a media file ({said(error)})") from None
    with container:
        if container.format.name == "tty":  # FFmpeg draws text files as video
            raise ClipFailure("unreadable", f"{_size(media)} of text, expected a media file")
        if not container.streams:
            raise ClipFailure("unreadable", f"{_size(media)} that holds no stream, its header is cut off")
        yield container


def decoded(container: InputContainer, stream: Any, see: Callable[[Any], None] = lambda packet: None) -> Iterator[Any]:
    """The frames of one video or audio stream; broken packets are skipped, and a file that breaks off ends them.

    `see` is shown each packet before it is decoded.
    """
    if stream.codec_context is None:  # decoding without one would end the whole process
        raise ClipFailure("unreadable", f"the {stream.type} stream's codec is unknown or its header is cut off")
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            packet = None
        frames = []
        if packet is not None:
            see(packet)
        with suppress(av.error.FFmpegError):
            frames = stream.decode(packet)
        yield from frames
        if packet is None:
            return


def origin_s(container: InputContainer, media: Media) -> float:
    """The clip's start on the time line of the file's own stamps."""
    return (container.start_time or 0) / av.time_base + media.start_s


def seek_before(container: InputContainer, media: Media) -> None:
    """Go to somewhere before the clip's start; the stamps of the next frames tell where."""
    target_s = origin_s(container, media) - _SEEK_MARGIN_S
    with suppress(av.error.FFmpegError):  # a format without seeking is decoded from where it stands
        container.seek(int(target_s * av.time_base))


def tell_cut_off(container: InputContainer, stream: Any, media: Media, reached_s: float) -> None:
    """Say once where a file ends before the place that its header tells of.

    `reached_s` is how far it could be decoded, from the clip's start; what was decoded is used.
    """
    length_s = (container.duration or 0) / av.time_base
    if stream.duration:
        length_s = float(stream.duration * stream.time_base)
    ends_s = media.start_s + reached_s
    if length_s - ends_s > max(_CUT_OFF_S, _CUT_OFF_SHARE * length_s):
        _say_once(f"{media.path}: the file breaks off after {ends_s:.1f} s, its header tells of {length_s:.1f} s")
    elif (expected := _riff_size(media)) > (size := media.path.stat().st_size):
        _say_once(f"{media.path}: the file breaks off after {size} bytes, its header tells of {expected}")


def _riff_size(media: Media) -> int:
    """How long a WAV or AVI is by its header; 0 where it doesn't tell."""
    with media.path.open("rb") as file:
        head = file.read(8)
    size = int.from_bytes(head[4:], "little")
    # What is written into a pipe has one of the two, and sizes are often rounded.
    return size - _RIFF_SLACK if head[:4] == b"RIFF" and size not in (0, 0xFFFFFFFF) else 0


@lru_cache(maxsize=1000)
def _say_once(text: str) -> None:
    say(f"warning: {text}; what there is is used")


def said(error: Exception) -> str:
    """FFmpeg's own words without the file name."""
    return getattr(error, "strerror", None) or str(error)


def _size(media: Media) -> str:
    size = media.path.stat().st_size
    return f"a file of {size} byte{'s' * (size != 1)}"
