"""What a trial reads: its clip table, its partition, views of its features, pretrained weights."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.annotations import annotations_path
from features.clips import ClipTable, read_clips
from features.errors import EmofuseError, MachineFault
from features.files import file_sha256
from features.store.store import StoredSet, open_set
from models.examples import Examples
from models.family import Input
from models.pulse import beat
from models.registry import get_family
from search.recipe.inputs import check_fit, layer_name, slots, source, split_layer
from search.run.layout import Layout
from search.run.partitions import Partition, make_partition
from search.run.spec import TrialSpec
from search.trial.kept import Kept

# What mends damaged activations and encodings.
_AGAIN = "run the same search again, it makes them anew"


@dataclass(frozen=True)
class TrialData:
    """The clips of a trial. Ids are those that have all features; `missing` tells why the others don't."""

    table: ClipTable
    partition: Partition
    sets: Mapping[str, StoredSet]
    missing: Mapping[str, str]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the scores."""
        return self.table.classes

    @property
    def dimensions(self) -> tuple[str, ...]:
        """None: clips are scored in `classes`."""
        return ()

    def usable(self, ids: Sequence[str]) -> list[str]:
        """Those of `ids` that have all features."""
        return [clip_id for clip_id in ids if clip_id not in self.missing]

    def labelled(self, ids: Sequence[str]) -> Examples:
        """The usable clips of one side of the partition, with labels; only for the sides that training sees."""
        ids = self.usable(ids)
        index = {name: c for c, name in enumerate(self.classes)}
        y = np.array([index[str(self.table.by_id(clip_id).label)] for clip_id in ids], np.int64)
        return self._examples(ids, y)

    def unlabelled(self, ids: Sequence[str]) -> Examples:
        """The usable clips among `ids`, for prediction."""
        return self._examples(self.usable(ids), None)

    def _examples(self, ids: Sequence[str], y: np.ndarray | None) -> Examples:
        arrays = {slot: [stored[clip_id] for clip_id in ids] for slot, stored in self.sets.items()}
        groups = tuple(self.table.by_id(clip_id).group_id for clip_id in ids)
        return Examples(tuple(ids), arrays, self.classes, y, groups)


def open_input(slot: Input, spec: str, key: str | None, run: Path, store: Path, table: ClipTable) -> StoredSet:
    """The features of one slot: a set of the store, or a backbone's layer (`key` says of which backbone trial).

    A set that doesn't fit the slot is refused, and so is one whose key isn't `key`, and one whose bytes have changed.
    """
    if split_layer(source(spec)):
        folder = Layout(run).activations / layer_name(source(spec)) / str(key)
        if not folder.exists():
            raise EmofuseError(f"{folder}: expected the activations of {spec!r}; run the search again to compute them.")
        stored = StoredSet(folder, _AGAIN)
    else:
        stored = open_set(store, source(spec), table)
    check_fit(spec, slot, stored.level, stored.shape)
    if key is not None and stored.key != key:
        raise EmofuseError(
            f"Input {slot.slot!r}: {spec!r} in {store} has key {stored.key[:12]}, but the trial was planned with key "
            f"{key[:12]}; run the search again."
        )
    stored.ensure_intact(beat)
    return stored


def open_encodings(run: Path, member: str, trial_key: str) -> StoredSet:
    """The encodings by the trial of `member`, an entry (with its whitening behind a `|`)."""
    folder = Layout(run).encodings(source(member), trial_key)
    if not folder.exists():
        raise EmofuseError(
            f"{folder}: expected the encodings of entry {source(member)!r}; run the same command again to make them."
        )
    return StoredSet(folder, _AGAIN)


_TABLES = Kept[tuple[Path, ClipTable]](4, lambda found: [found[0], annotations_path(found[0])])
_SET_FILES = ("set.json", "clips.parquet", "data.arrow")
_SETS = Kept[StoredSet](16, lambda stored: [stored.folder / name for name in _SET_FILES])


@contextmanager
def _no_fault_of_the_trial() -> Iterator[None]:
    """What is damaged, gone or not what was planned would fail every configuration: MachineFault."""
    try:
        yield
    except MachineFault:
        raise
    except EmofuseError as error:
        again = re.search("run the (same|search)", str(error))
        then = "" if again else " Then run the same command: it goes on where this one stopped."
        raise MachineFault(f"{error}{then}") from None


def read_data(spec: TrialSpec) -> TrialData:
    """Open all that a trial reads; refused when too little is left to fit on, MachineFault when it isn't as planned."""
    with _no_fault_of_the_trial():
        table = _table(spec)
    partition = make_partition(
        table,
        spec.partition,
        seed=spec.recipe_seed,
        allow_shared_groups=spec.allow_shared_groups,
        continuous=bool(spec.annotations),
    )
    inputs = slots(get_family(spec.family), spec.inputs)
    with _no_fault_of_the_trial():
        sets = {slot: _opened(spec, inputs[slot], table) for slot in spec.inputs}
    missing: dict[str, str] = {}
    for clip_id in partition.roles():
        for slot, stored in sets.items():
            if not stored.has(clip_id):
                missing[clip_id] = f"{stored.status(clip_id)} in {spec.inputs[slot]!r} ({stored.reason(clip_id)})"
                break
    data = TrialData(table, partition, sets, missing)
    _refuse_too_little(data, spec)
    return data


def _table(spec: TrialSpec) -> ClipTable:
    _, table = _TABLES.get(spec.clips, lambda: (Path(spec.clips), read_clips(Path(spec.clips))))
    if table.fingerprint != spec.clips_fingerprint:
        raise EmofuseError(
            f"{spec.clips}: this clip table's fingerprint is {table.fingerprint[:12]}, but the trial was planned with "
            f"{spec.clips_fingerprint[:12]}; use the table that the run was started with."
        )
    return table


def _opened(spec: TrialSpec, slot: Input, table: ClipTable) -> StoredSet:
    text, key = spec.inputs[slot.slot], spec.feature_keys[slot.slot]
    if slot.slot in spec.encoders:
        return open_encodings(Path(spec.run), text, spec.encoder_keys[slot.slot])
    return _SETS.get(
        (spec.run, spec.store, table.fingerprint, slot, text, key),
        lambda: open_input(slot, text, key, Path(spec.run), Path(spec.store), table),
    )


def _refuse_too_little(data: TrialData, spec: TrialSpec) -> None:
    what = f"Entry {spec.entry!r} on partition {spec.partition!r}"
    way_out = "choose other inputs or extract the features again."
    fit, held_out = data.partition.fit_ids, data.partition.held_out_ids
    lost = [clip_id for clip_id in fit if clip_id in data.missing]
    if len(lost) * 2 > len(fit):
        raise EmofuseError(
            f"{what}: {len(lost)} of {len(fit)} fit clips have no features, more than half; the first is {lost[0]!r}: "
            f"{data.missing[lost[0]]}; {way_out}"
        )
    if held_out and not data.usable(held_out):
        raise EmofuseError(
            f"{what}: none of the {len(held_out)} held-out clips has features; the first is {held_out[0]!r}: "
            f"{data.missing[held_out[0]]}; {way_out}"
        )
    left = {data.table.by_id(clip_id).label for clip_id in data.usable(fit)}
    gone = [clip_id for clip_id in lost if data.table.by_id(clip_id).label not in left]
    if gone:
        classes = sorted({str(data.table.by_id(clip_id).label) for clip_id in gone})
        raise EmofuseError(
            f"{what}: no fit clip of class {', '.join(classes)} has features; the first is {gone[0]!r}: "
            f"{data.missing[gone[0]]}; {way_out}"
        )


def trial_weights(spec: TrialSpec) -> Path | None:
    """The trial's file, or None; one that isn't what the trial was planned with is refused."""
    if not spec.weights:
        return None
    path = Path(spec.weights)
    with _no_fault_of_the_trial():
        if not path.is_file() or file_sha256(path) != spec.weights_sha256:
            raise EmofuseError(
                f"{path}: expected the pretrained weights that the trial was planned with (sha256 "
                f"{spec.weights_sha256[:12]}), but the file is another one, or not there; put it back."
            )
    return path
