"""What an import was asked for, and what all kinds of files share: clips become blocks in the table's order."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa

from features.errors import ClipFailure, EmofuseError, WrongUse
from features.spelling import matched
from features.store.set_writer import Block

MISSING = ClipFailure("missing", "the imported file has no array for it")
# What the libraries raise for files that are not what they should be.
UNREADABLE = (OSError, BadZipFile, ValueError, KeyError, RuntimeError, pa.ArrowException)


@dataclass(frozen=True)
class Request:
    """How an import was asked for: `ids` are the table's, `limit` is in bytes."""

    source: Path
    ids: tuple[str, ...]
    level: str
    step_s: float
    limit: float

    def refuse_size(self, size: float) -> None:
        """WrongUse where the arrays take more than was allowed."""
        if size > self.limit:
            raise WrongUse(
                f"{self.source}: its arrays take {size / 1e9:.3g} GB, but an import may take {self.limit / 1e9:g}; "
                f"where they are meant to be that large, give --max-gb {math.ceil(size / 1e9)}."
            )

    def own_ids(self, given: Sequence[str]) -> Mapping[str, str]:
        """The table's id for each of the file's, which may be spelled otherwise.

        EmofuseError where the file has no clips, clips that the table lacks, or one clip in two spellings.
        """
        if not given:
            raise EmofuseError(f"{self.source}: expected at least one clip, but the file is empty.")
        found = matched(given, self.ids, "clip_id", self.source)
        unknown = sorted(set(given) - set(found))
        if unknown:
            raise EmofuseError(
                f"{self.source}: {len(unknown)} of its {len(given)} clip ids are not in the clip table, the first is "
                f"{unknown[0]!r}; the table's look like {self.ids[0]!r}."
            )
        return found


@dataclass(frozen=True)
class Source:
    """The shape of one time step, names of its numbers in a table of one number per column, and all clips' blocks."""

    shape: tuple[int, ...]
    columns: tuple[str, ...]
    blocks: Callable[[], Iterator[Block]]


def with_steps(request: Request, clip_id: str, values: np.ndarray) -> np.ndarray:
    """One clip's array with a time axis; another type or number of axes is told."""
    where = f"{request.source}: clip {clip_id!r}"
    if values.dtype.kind not in "fiub":
        raise EmofuseError(f"{where} holds values of type {values.dtype}, expected numbers.")
    if request.level == "clip" and values.ndim == 1:
        values = values[None]
    if values.ndim < 2 or 0 in values.shape[1:]:
        if request.level == "clip":
            raise EmofuseError(f"{where}: expected a vector (F,) of numbers, but got shape {values.shape}.")
        raise EmofuseError(
            f"{where}: expected an array (T, ...) of time steps, but got shape {values.shape}; import single vectors "
            "with --level clip."
        )
    if len(values) == 0:
        raise EmofuseError(f"{where}: no time step of features fits into the clip.")
    refuse_steps(request, clip_id, len(values))
    return values


def refuse_steps(request: Request, clip_id: str, steps: int) -> None:
    if request.level == "clip" and steps != 1:
        raise EmofuseError(
            f"{request.source}: clip {clip_id!r} has {steps} time steps, but at level clip each has one; import them "
            "with --level frame."
        )


def stored_type(dtype: np.dtype) -> np.dtype:
    """The type that numbers of this type have in the store."""
    return dtype if dtype in (np.uint8, np.float16) else np.dtype(np.float32)


def stored(values: np.ndarray) -> np.ndarray:
    """The numbers as they are stored; one that float32 can't hold becomes infinite, which is refused later."""
    with np.errstate(over="ignore"):
        return values.astype(stored_type(values.dtype), order="C", copy=False)


def block(
    request: Request, ids: Sequence[str], lengths: np.ndarray, values: np.ndarray, time_s: np.ndarray | None = None
) -> Block:
    """Clips that follow one another, with times where there are none yet; NaN and infinity are refused."""
    ends = np.cumsum(lengths)
    if time_s is None:
        time_s = (np.arange(len(values)) - np.repeat(ends - lengths, lengths)) * request.step_s
    time_s = time_s.astype(np.float32)
    if not (np.isfinite(values).all() and np.isfinite(time_s).all()):
        good = np.isfinite(values).reshape(len(values), -1).all(axis=1) & np.isfinite(time_s)
        clip_id = ids[int(np.searchsorted(ends, np.argmin(good), "right"))]
        raise EmofuseError(f"{request.source}: clip {clip_id!r}: its features hold NaN or infinity.")
    return Block(ids, lengths, values, time_s, MISSING)
