"""What the adapters of folder layouts share."""

from collections.abc import Collection
from pathlib import Path

from features.errors import EmofuseError
from features.media_files import AUDIO, IMAGES, VIDEO, is_media, media_below
from features.progress import say

__all__ = ["AUDIO", "IMAGES", "VIDEO", "files_below", "is_media", "warn"]


def files_below(root: Path, kinds: Collection[str], expected: str, *, tell: bool = True) -> list[Path]:
    """All media files of these kinds below `root`, sorted; what is passed over is told (features.media_files).

    None at all, or no such folder, is an error that says what was `expected` there.
    """
    found = media_below(root, kinds, expected, tell=tell)
    if not found:
        raise EmofuseError(f"{root}: expected {expected}, but found no such file (archives must be unpacked first).")
    return found


def warn(text: str) -> None:
    """Something of the corpus is not as published; the work goes on."""
    say(f"warning: {text}")
