"""What a file holds, by opening it: for names that don't tell."""

from pathlib import Path

import av

from features.decode.container import decoded, opened
from features.decode.stills import read_still
from features.errors import ClipFailure
from features.sets import Media


def kind_of(path: Path) -> str | None:
    """`image`, `video` or `audio` where Pillow or FFmpeg reads something from the file, else None."""
    try:
        if read_still(path) is not None:
            return "image"
    except ClipFailure:
        return "image"  # one that is damaged
    try:
        with opened(Media(path)) as container:
            for stream in (*container.streams.video, *container.streams.audio):
                if next(decoded(container, stream), None) is not None:
                    still = container.format.name.endswith("_pipe") or container.format.name == "image2"
                    return "image" if still else stream.type
    except (ClipFailure, av.error.FFmpegError):
        return None
    return None
