"""Media files to arrays with PyAV: frames with their own time stamps, and mono sound.

Both streams are timed from the same origin, the clip's start, so that a track which begins later stays in step.
"""

from features.decode.audio import read_audio
from features.decode.video import video_frames

__all__ = ["read_audio", "video_frames"]
