"""How long a media file is, by its header."""

import av

from features.decode.container import opened
from features.sets import Media


def length_s(media: Media) -> float:
    """Seconds of the file, or of the part of it that is the clip; 0 where its header doesn't tell.

    ClipFailure `missing` or `unreadable` where it can't be opened.
    """
    with opened(media) as container:
        lengths = [float(s.duration * s.time_base) for s in container.streams if s.duration and s.time_base]
        whole = max(lengths, default=0.0) or (container.duration or 0) / av.time_base
    end_s = whole if media.end_s is None else min(media.end_s, whole or media.end_s)
    return max(0.0, end_s - media.start_s)
