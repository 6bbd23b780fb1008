"""What the adapters of folder layouts share."""

import os
from collections.abc import Collection
from pathlib import Path

from features.errors import EmofuseError
from features.progress import say

VIDEO = frozenset({".avi", ".mp4", ".mkv", ".mov", ".mpg", ".mpeg", ".flv", ".webm", ".m4v", ".wmv"})
AUDIO = frozenset({".wav", ".flac", ".mp3", ".ogg", ".m4a"})
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})


def files_below(root: Path, suffixes: Collection[str], expected: str) -> list[Path]:
    """All files below `root` with one of `suffixes` (lower case), sorted; hidden ones (`._x.avi` of a Mac) don't count.

    None at all, or no such folder, is an error that says what was `expected` there.
    """
    if not root.is_dir():
        raise EmofuseError(f"{root}: no such folder; expected {expected}.")
    found = []
    for folder, _, names in os.walk(root, followlinks=True):
        found += [Path(folder, n) for n in names if Path(n).suffix.lower() in suffixes and not n.startswith(".")]
    if not found:
        raise EmofuseError(f"{root}: expected {expected}, but found no such file (archives must be unpacked first).")
    return sorted(found)


def warn(text: str) -> None:
    """Something of the corpus is not as published; the work goes on."""
    say(f"warning: {text}")
