"""The parts of an unfinished feature set: a file for each clip, so that a killed extraction resumes where it was.

Each carries a checksum; one that does not hold is taken away, as if its clip had not been extracted. So none needs to
be on the disk before the next is written.
"""

import hashlib
import shutil
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from features.errors import ClipFailure, EmofuseError
from features.files import read_json, replacing, write_json

# What there is of a clip: values, times and how they were computed, or why there are none.
Entry = tuple[np.ndarray, np.ndarray, str] | ClipFailure
_ARRAYS, _FAILURE = ".npz", ".json"


@dataclass(frozen=True)
class Parts:
    """The parts in `folder`; each is whole or absent."""

    folder: Path

    def _path(self, clip_id: str, suffix: str) -> Path:
        return self.folder / (hashlib.sha256(clip_id.encode()).hexdigest()[:40] + suffix)

    def __contains__(self, clip_id: str) -> bool:
        return any(self._path(clip_id, suffix).exists() for suffix in (_ARRAYS, _FAILURE))

    def add(self, clip_id: str, values: np.ndarray, time_s: np.ndarray, computed: str = "") -> None:
        """Keep a clip's features; numpy's zip has a crc32 of each array."""
        with replacing(self._path(clip_id, _ARRAYS), sync=False) as temporary, temporary.open("wb") as file:
            np.savez(file, values=values, time_s=time_s, computed=np.array(computed))
        self._path(clip_id, _FAILURE).unlink(missing_ok=True)

    def fail(self, clip_id: str, failure: ClipFailure) -> None:
        """Keep why a clip has no features."""
        row = {"status": failure.status, "reason": failure.reason}
        write_json(self._path(clip_id, _FAILURE), row, sync=False)
        self._path(clip_id, _ARRAYS).unlink(missing_ok=True)

    def read(self, clip_id: str) -> Entry | None:
        """What is kept of a clip; None where there is nothing, or nothing that can be trusted."""
        path = self._path(clip_id, _ARRAYS)
        try:
            with ZipFile(path) as part:
                # Whole members: numpy stops where the array ends, and the checksum is looked at where the member ends.
                values, time_s, *computed = (
                    np.load(BytesIO(part.read(f"{name}.npy")))
                    for name in ("values", "time_s", "computed")
                    if name != "computed" or f"{name}.npy" in part.namelist()  # earlier releases have none
                )
            return values, time_s, "".join(map(str, computed))
        except FileNotFoundError:
            pass
        # What a changed byte makes of a zip: RuntimeError for encryption, NotImplementedError for a compression.
        except (BadZipFile, ValueError, OSError, EOFError, KeyError, RuntimeError, zlib.error):
            path.unlink(missing_ok=True)
            return None
        path = self._path(clip_id, _FAILURE)
        if not path.exists():
            return None
        try:
            return ClipFailure(**read_json(path, "why a clip has no features"))
        except (EmofuseError, TypeError, ValueError):
            path.unlink(missing_ok=True)
            return None

    def discard(self) -> None:
        """Drop all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)
