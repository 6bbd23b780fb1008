"""Pictures and sounds of clips, small enough to lie inside a page."""

import base64
import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from features.clips import ClipTable, read_clips
from features.errors import ClipFailure, EmofuseError

_SIDE = 160  # pixels
_QUALITY = 70
_LOOK_S, _FRAMES = 0.5, 3  # the third frame of half seconds: people are seldom in the first
_SOUND_S, _RATE = 6, 16_000


class Media:
    """The clips of a run's table, where it is still there; what can't be read has no picture."""

    def __init__(self, table: Path | None):
        self._table: ClipTable | None = None
        if table is not None and table.is_file():
            try:
                self._table = read_clips(table)
            except EmofuseError:
                self._table = None
        self._by_id = {clip.clip_id: clip for clip in self._table.clips} if self._table else {}

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def thumbnail(self, clip_id: str) -> str | None:
        """A frame of the clip as a data URI; None where it has none."""
        clip = self._by_id.get(clip_id)
        if clip is None or self._table is None:
            return None
        import cv2

        from features.decode.video import video_frames

        try:
            frames = list(islice(video_frames(self._table.media(clip), every_s=_LOOK_S, max_side=_SIDE), _FRAMES))
        except (ClipFailure, EmofuseError, OSError):
            return None
        if not frames:
            return None
        done, data = cv2.imencode(".jpg", frames[-1][1][:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        return _uri("image/jpeg", data.tobytes()) if done else None

    def sound(self, clip_id: str) -> str | None:
        """The first seconds of the clip's sound as a data URI; None where it has none."""
        clip = self._by_id.get(clip_id)
        if clip is None or self._table is None:
            return None
        import soundfile

        from features.decode.audio import read_audio

        buffer = io.BytesIO()
        try:
            samples = read_audio(self._table.media(clip), _RATE)[: _SOUND_S * _RATE]
            soundfile.write(buffer, samples, _RATE, format="MP3")
        except (ClipFailure, EmofuseError, OSError, RuntimeError):
            return None
        return _uri("audio/mpeg", buffer.getvalue())


def _uri(kind: str, data: bytes | Sequence[int]) -> str:
    return f"data:{kind};base64,{base64.b64encode(bytes(data)).decode()}"
