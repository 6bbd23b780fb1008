"""Encodings: a trained model's vector for every clip, which the stage `fusion` reads in place of features.

They are those of the model that was fitted on the same partition, so that no fusion ever sees a clip through a model
that was fitted on it while the fusion is not.
"""

from collections.abc import Iterator

import numpy as np

from features.errors import ClipFailure, DamagedFile
from features.progress import say
from features.sets import FeatureArray
from features.store.store import SetWriter, StoredSet
from models.family import Model
from models.finite import finite
from search.run.layout import Layout
from search.run.spec import TrialSpec
from search.trial.data import TrialData


def write_encodings(layout: Layout, spec: TrialSpec, model: Model, data: TrialData) -> StoredSet:
    """Keep the encodings of all clips by the trial's `model`; a clip without features fails as it did there."""
    found = dict(_encoded(model, data))
    width = len(next(iter(found.values())))
    folder = layout.encodings(spec.entry, spec.trial_key)
    ids = tuple(clip.clip_id for clip in data.table.clips)
    writer = SetWriter(
        folder.parent.parent,
        spec.entry,
        spec.trial_key,
        ids,
        "clip",
        (width,),
        data.table.media_fingerprint,
        spec.entry,
        {"trial": spec.trial_key},
    )
    moments = np.zeros(1, np.float32)
    return writer.write(
        (clip_id, FeatureArray(found[clip_id][None], moments) if clip_id in found else _failure(data, clip_id))
        for clip_id in ids
    )


def has_encodings(layout: Layout, spec: TrialSpec) -> bool:
    """Whether the trial's encodings lie there and are those that were written."""
    folder = layout.encodings(spec.entry, spec.trial_key)
    if not folder.exists():
        return False
    try:
        StoredSet(folder).ensure_intact()
    except DamagedFile:
        say(f"{spec}: its stored encodings are damaged, so it is trained again")
        return False
    return True


def _encoded(model: Model, data: TrialData) -> Iterator[tuple[str, np.ndarray]]:
    for ids in (data.partition.fit_ids, data.partition.held_out_ids, data.partition.test_ids):
        # One side at a time: its features are in memory once more while the model works on them.
        examples = data.unlabelled(ids)
        if len(examples):
            yield from finite("encodings", examples.ids, model.encode(examples))


def _failure(data: TrialData, clip_id: str) -> ClipFailure:
    failed = next(stored for stored in data.sets.values() if not stored.has(clip_id))
    return ClipFailure(failed.status(clip_id), failed.reason(clip_id))
