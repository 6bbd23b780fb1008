"""Folders for what takes long to find out: this user's own, which nobody else can write to."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def own_folder(name: str) -> Path | None:
    """Such a folder, made where it is absent, in the user's cache or else in the folder of temporary files.

    None where there is none: where it would lie is another user's, open to others, a link, or not to be written.
    """
    return next((place for place in _places(name) if _is_ours(place)), None)


def _places(name: str) -> Iterator[Path]:
    cache = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # a user without a home
        yield (Path(cache) if cache else Path.home() / ".cache") / "emofuse" / name
    yield Path(tempfile.gettempdir()) / f"emofuse-{name}-{os.getuid()}"


def _is_ours(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return ours and os.access(folder, os.W_OK)
