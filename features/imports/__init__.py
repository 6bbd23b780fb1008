"""A user's own arrays as a feature set: npz, CSV or Parquet, one vector per clip or a sequence of time steps."""

import re
import shlex
from pathlib import Path

from features.clips import ClipTable, check_ids
from features.errors import EmofuseError, WrongUse
from features.files import content_key, file_sha256
from features.imports.arrays import open_npz
from features.imports.request import UNREADABLE, Request, Source
from features.imports.tables import open_table
from features.sets import set_names
from features.store.set_writer import SetWriter, ids_fingerprint
from features.store.store import StoredSet, stored_sets
from features.tables.user_tables import one_line

VERSION = 1
# Larger arrays are meant to be asked for: a small file may unpack into more memory than there is.
MAX_GB = 8.0
_READERS = {".npz": open_npz, ".csv": open_table, ".parquet": open_table}


def import_arrays(
    table: ClipTable,
    name: str,
    source: Path,
    level: str,
    store: Path,
    *,
    step_s: float = 1.0,
    max_gb: float = MAX_GB,
) -> StoredSet:
    """Bring the arrays in the file `source` into `store` as the set `name`, for the clips of `table`.

    `.npz`: one array per clip_id, (F,) or (T, F) or images (T, H, W[, 3]); or two arrays, `clip_id` (N,) and `x`
    (N, ...). `.csv`, `.parquet`: `clip_id`, perhaps `time_s`, and columns of numbers or vectors; at level frame a clip
    has one row for each time step. Steps without times are `step_s` apart. Clips without an array become rows of status
    `missing`; ids that the table lacks, unequal shapes, NaN and infinity are refused, and arrays that take more than
    `max_gb` before anything is unpacked. The names of columns of numbers stay with the set: families that read
    probabilities find their classes by them.
    """
    if level not in ("clip", "frame"):
        raise WrongUse(f"A feature set's level is clip or frame, but got {level!r}.")
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise WrongUse(f"A feature set's name is made of letters, digits and _, but got {name!r}.")
    if name in set_names():
        raise WrongUse(f"{name!r} is a feature set of emofuse itself; give the imported one another name.")
    check_ids(table)
    if not source.is_file():
        raise EmofuseError(f"{source}: no such file, expected arrays in .npz, .csv or .parquet.")
    ids = tuple(clip.clip_id for clip in table.clips)
    fingerprint = ids_fingerprint(ids)
    key = content_key([VERSION, file_sha256(source), level, step_s, fingerprint])
    for info in stored_sets(store):
        if info.name == name and info.ids_fingerprint == fingerprint and info.key != key:
            raise EmofuseError(
                f"The store {store} already has another set {name!r} for these clips; give the new one another name, "
                f"or remove {store / name / info.key}."
            )
    request = Request(source, ids, level, step_s, max_gb * 1e9)
    opened = _open(request)
    writer = SetWriter(
        store,
        name,
        key,
        ids,
        "clip" if level == "clip" else "frame",
        opened.shape,
        table.media_fingerprint,
        name,
        {},
        VERSION,
        imported=True,
        columns=opened.columns,
        remake=_command(table, name, source, level, store, step_s, max_gb),
    )
    stored = writer.finished()
    if stored is not None and stored.info.columns == opened.columns and not stored.verify():
        return stored
    return writer.write(opened.blocks())


def _open(request: Request) -> Source:
    """The file that was asked for; what can't be read, or isn't for this table, is told in one sentence."""
    suffix = request.source.suffix.lower()
    if suffix not in _READERS:
        raise WrongUse(f"{request.source}: expected a file that ends in .npz, .csv or .parquet.")
    try:
        return _READERS[suffix](request)
    except UNREADABLE as error:
        raise EmofuseError(f"{request.source}: can't be read as {suffix[1:]} ({one_line(error)}).") from None


def _command(table: ClipTable, name: str, source: Path, level: str, store: Path, step_s: float, max_gb: float) -> str:
    """The command that imports the set again; empty where the clip table lies in no file."""
    if table.file is None:
        return ""
    words = ["emofuse", "features", "import", table.file.resolve(), source.resolve(), "--name", name, "--level", level]
    options = [*(["--step-s", step_s] if step_s != 1.0 else []), *(["--max-gb", max_gb] if max_gb != MAX_GB else [])]
    return shlex.join(map(str, [*words, *options, "-o", store.resolve()]))
