"""What the adapters share of data sets that hold their faces in one file: clips without media, faces in a store."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from features.clips import Clip, ClipTable
from features.datasets import Option
from features.datasets.duplicates import DUPLICATES, without_duplicates
from features.errors import EmofuseError, WrongUse
from features.files import content_key
from features.progress import say
from features.sets import FeatureArray, set_names

OPTIONS = {
    "store": Option("", "The feature store to bring the faces into; without it only the table is written."),
    "set_name": Option("", "The set's name there; by default that of the data set, then what is changed about it."),
    "size": Option(48, "Pixels of a face's side in the store; bilinear where it is not the data set's own."),
    "colour": Option(False, "Bring the grey faces in as RGB, for families that read colour."),
    "equalise": Option(False, "Equalise the faces' histograms, as `faces:equalise=true` does on clips."),
    **DUPLICATES,
}
_VERSION = 1


def picture_table(
    clips: Sequence[Clip],
    faces: np.ndarray,
    *,
    dataset: str,
    store: str,
    set_name: str,
    size: int,
    colour: bool,
    equalise: bool,
    duplicates: str,
) -> ClipTable:
    """The table of `clips`, whose pictures are `faces` (N, H, W) uint8; with a `store`, the faces in it.

    `media_sha256` becomes the digest of a picture's pixels, and the group of a clip without one all pictures equal to
    it. The set in the store is `set_name`, to be read like any imported one.
    """
    digests = [hashlib.sha256(face.tobytes()).hexdigest() for face in faces]
    rows = [
        replace(clip, dataset=dataset, media_sha256=digest, group_id=clip.group_id or f"image-{digest}")
        for clip, digest in zip(clips, digests, strict=True)
    ]
    kept = without_duplicates(rows) if duplicates == "drop" else list(range(len(rows)))
    table = ClipTable(tuple(rows[i] for i in kept), Path())
    if store:
        own = faces.shape[1:] == (size, size)
        default = dataset + ("" if own else f"_{size}") + "_colour" * colour + "_equalised" * equalise
        form = _Form(size, colour, equalise)
        _bring_in(table, (faces[i] for i in kept), Path(store), set_name or default, form)
    else:
        say(f"{dataset}: without --store the faces are not brought into a feature store")
    return table


@dataclass(frozen=True)
class _Form:
    """What a grey face is made into."""

    size: int
    colour: bool
    equalise: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size, self.size, 3) if self.colour else (self.size, self.size)

    @property
    def identity(self) -> list[int | bool | str]:
        """What a set's key says of it."""
        return [self.size, self.colour, *(["equalised"] if self.equalise else [])]

    def of(self, face: np.ndarray) -> np.ndarray:
        """The grey `face` (H, W) uint8 in this form."""
        import cv2

        if face.shape != self.shape[:2]:
            face = cv2.resize(face, self.shape[:2], interpolation=cv2.INTER_LINEAR)
        if self.equalise:
            face = cv2.equalizeHist(face)
        return np.repeat(face[..., None], 3, axis=2) if self.colour else face


def _bring_in(table: ClipTable, faces: Iterable[np.ndarray], store: Path, name: str, form: _Form) -> None:
    from features.store.store import SetWriter, stored_sets

    if form.size < 1:
        raise WrongUse(f"The faces' size is at least 1 pixel, but got {form.size}.")
    if name in set_names() or not name.isidentifier():
        raise WrongUse(f"The faces need a name of letters, digits and _ that no feature set has, but got {name!r}.")
    shape = form.shape
    key = content_key([_VERSION, name, *form.identity, table.media_fingerprint])
    ids = tuple(clip.clip_id for clip in table.clips)
    writer = SetWriter(store, name, key, ids, "frame", shape, table.media_fingerprint, name, {}, _VERSION, True)
    for info in stored_sets(store):
        if info.name == name and info.key != key:
            raise EmofuseError(
                f"The store {store} already has another set {name!r}; give the new one another --set-name, or remove "
                f"{store / name / info.key}."
            )
    stored = writer.finished()
    if stored is None or stored.verify():
        moments = np.zeros(1, np.float32)
        arrays = (FeatureArray(form.of(face)[None], moments) for face in faces)
        stored = writer.write(zip(ids, arrays, strict=True))
    say(f"{name}: {len(ids)} faces {'x'.join(map(str, shape))} in {store}")
