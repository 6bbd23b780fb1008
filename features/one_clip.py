"""One clip's features, by whoever wants them: what goes wrong is the clip's fault, or this machine's."""

import errno
import os
from pathlib import Path

from features.errors import ClipFailure, EmofuseError
from features.machine import machine_fault
from features.sets import FeatureArray, Media, SetSpec, get_set
from features.unwritable import this_user


def extract_clip(media: Media, spec: SetSpec) -> FeatureArray:
    """What the set `spec` gives for the clip.

    ClipFailure where the clip can't give it, MachineFault where this machine can't compute it, MemoryError where memory
    ran out, which may be the fault of either.
    """
    feature_set = get_set(spec.name)
    if (failure := unusable(media)) is not None:
        raise failure
    try:
        return feature_set.extract(media, spec.params)
    except EmofuseError:
        raise
    except Exception as error:  # an extractor's own bug on odd media must not end the run
        raise clip_or_machine(error, spec.name, media.path) from None


def clip_or_machine(error: Exception, set_name: str, file: Path | None = None) -> Exception:
    """What an error in the work on a clip's `file` is: a MachineFault, a MemoryError, or else a ClipFailure."""
    if isinstance(error, MemoryError):
        return MemoryError(str(error))  # FFmpeg's own kind can't travel between processes
    extra = get_set(set_name).extra
    if (fault := machine_fault(error, f"Feature set {set_name!r}", media=file, extra=extra)) is not None:
        return fault
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return MemoryError(str(error))
    return ClipFailure("unreadable", f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")


def unusable(media: Media) -> ClipFailure | None:
    """Why the clip's file can't be read at all, or None."""
    if (failure := unreachable(media.path)) is not None:
        return failure
    if media.path.stat().st_size == 0:
        return ClipFailure("unreadable", "the file is empty (0 bytes)")
    return None


def unreachable(path: Path) -> ClipFailure | None:
    """`missing`, where there is no such file on this machine, or none that this user may read; else None."""
    try:
        if not path.is_file():
            return ClipFailure("missing", f"no such file: {path}")
    except OSError as error:
        return ClipFailure("missing", f"{path} can't be reached ({error.strerror})")
    return None if os.access(path, os.R_OK) else ClipFailure("missing", f"{this_user()} may not read {path}")
