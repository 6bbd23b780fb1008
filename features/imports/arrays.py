"""A .npz file of one array per clip, or of two: `clip_id` and `x`."""

from collections.abc import Iterator

import numpy as np

from features.errors import EmofuseError
from features.imports.npz import Npz
from features.imports.request import UNREADABLE, Request, Source, block, stored, stored_type, with_steps
from features.store.data_file import BATCH_BYTES
from features.store.set_writer import Block
from features.tables.user_tables import one_line


def open_npz(request: Request) -> Source:
    file = Npz(request.source)
    request.refuse_size(file.declared_bytes)
    if set(file.members) == {"clip_id", "x"}:
        return _stacked(request, file["clip_id"], file["x"])
    return _by_clip(request, file)


def _stacked(request: Request, clip_ids: np.ndarray, x: np.ndarray) -> Source:
    source, ids = request.source, [_text(clip_id) for clip_id in clip_ids.reshape(-1)]
    if clip_ids.ndim != 1 or x.ndim == 0 or len(ids) != len(x):
        count = len(x) if x.ndim else 0
        raise EmofuseError(
            f"{source}: expected a row of x for each clip_id, but got {count} rows and {len(ids)} ids, arrays of "
            f"shapes {x.shape} and {clip_ids.shape}."
        )
    rows_of = {clip_id: i for i, clip_id in enumerate(ids)}
    if len(rows_of) != len(ids):
        twice = next(clip_id for i, clip_id in enumerate(ids) if rows_of[clip_id] != i)
        raise EmofuseError(f"{source}: the clip_id {twice!r} occurs twice.")
    own = request.own_ids(ids)
    rows_of = {own[clip_id]: row for clip_id, row in rows_of.items()}
    first = with_steps(request, ids[0], x[0])
    request.refuse_size(x.size * stored_type(x.dtype).itemsize)
    steps = len(first)
    rows = np.array([rows_of.get(clip_id, -1) for clip_id in request.ids])
    per_block = max(1, BATCH_BYTES // max(1, x[0].size * 4))

    def blocks() -> Iterator[Block]:
        for at in range(0, len(rows), per_block):
            its = rows[at : at + per_block]
            found = its[its >= 0]
            values = stored(x[found]).reshape(len(found) * steps, *first.shape[1:])
            yield block(request, request.ids[at : at + per_block], np.where(its >= 0, steps, 0), values)

    return Source(first.shape[1:], (), blocks)


def _text(clip_id: object) -> str:
    if isinstance(clip_id, bytes):
        return clip_id.decode()
    whole = isinstance(clip_id, float | np.floating) and float(clip_id).is_integer()
    return str(int(clip_id)) if whole else str(clip_id)  # type: ignore[call-overload]


def _by_clip(request: Request, file: Npz) -> Source:
    members = {own: name for name, own in request.own_ids(tuple(file.members)).items()}
    first_id = next(iter(file.members))
    shape = with_steps(request, first_id, _array(request, file, first_id)).shape[1:]

    def blocks() -> Iterator[Block]:
        waiting: list[np.ndarray] = []
        ids: list[str] = []
        lengths: list[int] = []
        size = written = 0
        for clip_id in request.ids:
            if clip_id in members:
                array = with_steps(request, clip_id, _array(request, file, members[clip_id]))
                if array.shape[1:] != shape:
                    raise EmofuseError(
                        f"{request.source}: the time steps of all clips have one shape, but clip {first_id!r} has "
                        f"{shape} and clip {clip_id!r} has {array.shape[1:]}."
                    )
                if size >= BATCH_BYTES or (waiting and waiting[0].dtype != array.dtype):
                    yield block(request, ids, np.array(lengths), stored(np.concatenate(waiting)))
                    waiting, ids, lengths, size = [], [], [], 0
                waiting.append(array)
                kept = array.size * stored_type(array.dtype).itemsize
                size, written = size + kept, written + kept
                request.refuse_size(written)
                lengths.append(len(array))
            else:
                lengths.append(0)
            ids.append(clip_id)
        values = stored(np.concatenate(waiting)) if waiting else np.zeros((0, *shape), np.float32)
        yield block(request, ids, np.array(lengths, np.int64), values)

    return Source(shape, (), blocks)


def _array(request: Request, file: Npz, clip_id: str) -> np.ndarray:
    try:
        return file[clip_id]
    except UNREADABLE as error:
        told = f"the array of clip {clip_id!r} can't be read ({one_line(error)})"
        raise EmofuseError(f"{request.source}: {told}.") from None
