"""Registration of one data set's faces onto another's by one similarity (Kahou 2015, section 2.1.2).

Data sets cut their faces differently. The mean shape of five points over a data set is laid onto that of a reference
set, and all its crops move by that one similarity, so that eyes, nose and mouth come to lie in about the same places
while each face keeps its own proportions. A similarity is four numbers: it is written into the spec of the set
(`faces:register=...`), so that it is part of the features' key and travels with a bundle.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from features.clips import ClipTable
from features.errors import EmofuseError, WrongUse
from features.faces.align import EYES
from features.faces.centerface import CenterFace, Face, centerface_installed
from features.faces.detect import cnn_installed
from features.faces.landmarks import LOWER, SMALLER, points_of
from features.faces.similarity import similarity_between
from features.progress import progress, say
from features.sets import SetSpec
from features.store.stored_set import StoredSet

# Left eye, right eye (as the picture shows them), tip of the nose, corners of the mouth.
FIVE = (range(36, 42), range(42, 48), range(30, 31), range(48, 49), range(54, 55))
_SEEN_PX = 128
_LOOKS = 3


def registered_spec(
    faces: StoredSet, table: ClipTable, reference: StoredSet, reference_table: ClipTable, images: int
) -> str:
    """The spec of `faces` with the similarity that brings their mean shape onto the reference's.

    Up to `images` training faces of each set are measured; the same similarity then serves all splits, as in the paper.
    """
    if faces.name != "faces" or faces.info.imported or faces.info.params["register"]:
        raise WrongUse(
            f"Feature set {faces.info.spec!r} can't be registered: expected an extracted set `faces` without register= "
            "(an imported one can't be cut anew, and one that was moved is measured where it lies now)."
        )
    shape = mean_shape(_sampled(faces, table, images))
    move = similarity_between(shape, mean_shape(_sampled(reference, reference_table, images)))
    return str(SetSpec("faces", {**faces.info.params, "register": str(move)}))


def _sampled(stored: StoredSet, table: ClipTable, images: int) -> Iterator[np.ndarray]:
    """Up to `images` faces of the training clips, evenly over all of their frames."""
    height, width = (*stored.shape, 0, 0)[:2]
    if stored.dtype != np.uint8 or height != width or stored.shape[2:] not in ((), (3,)):
        raise EmofuseError(
            f"Feature set {stored.info.spec!r}: expected square pictures of type uint8, but a time step is "
            f"{stored.shape} {stored.dtype}; name a set of faces."
        )
    ids = [clip.clip_id for clip in table.split("train") if stored.has(clip.clip_id)]
    total = sum(stored.length(clip_id) for clip_id in ids)
    every = max(1, -(-total // images))
    with progress(f"shapes of {stored.info.spec}", -(-total // every)) as counter:
        before = 0
        for clip_id in ids:
            for crop in stored[clip_id][-before % every :: every]:
                yield crop
                counter.advance()
            before += stored.length(clip_id)


def five_points(crop: np.ndarray) -> np.ndarray | None:
    """Eyes, nose and corners of the mouth (5, 2) of the face in a crop (H, W) or (H, W, 3), in shares of its sides.

    By dlib's landmarks; where dlib isn't installed by CenterFace, which may find none.
    """
    how = cv2.INTER_AREA if len(crop) > _SEEN_PX else cv2.INTER_CUBIC
    picture = cv2.resize(crop, (_SEEN_PX, _SEEN_PX), interpolation=how)
    if not cnn_installed() and centerface_installed():
        return _by_centerface(picture)
    centre, side = np.array([0.5, 0.5 + LOWER]), 1.0
    for _ in range(_LOOKS):
        points = points_of(picture, centre * _SEEN_PX, SMALLER * side * _SEEN_PX) / _SEEN_PX
        five = np.array([points[part].mean(axis=0) for part in FIVE])
        # The eyes tell where the box would have been, however tightly the data set cut the face.
        side = float(np.clip(np.linalg.norm(five[1] - five[0]) / (EYES[1, 0] - EYES[0, 0]), 0.5, 2.0))
        x, y = five[:2].mean(axis=0)
        centre = np.array([x, y + (0.5 - EYES[0, 1] + LOWER) * side])
    return five


def _by_centerface(picture: np.ndarray) -> np.ndarray | None:
    """The points of the largest face of a picture of `_SEEN_PX` a side, which tight crops need a border for."""
    gray = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    border = _SEEN_PX // 4
    wider = cv2.copyMakeBorder(gray, border, border, border, border, cv2.BORDER_REPLICATE)
    face = next(iter(CenterFace()(wider)), None)
    return (face.points - border) / _SEEN_PX if isinstance(face, Face) else None


def mean_shape(crops: Iterable[np.ndarray]) -> np.ndarray:
    """The mean of the five points (5, 2) over crops (H, W) or (H, W, 3), in shares of their sides."""
    found = [five_points(crop) for crop in crops]
    shapes = [shape for shape in found if shape is not None]
    if not shapes:
        raise EmofuseError("There is no face to register: the training clips of the set hold none.")
    if len(shapes) < len(found):
        say(f"warning: CenterFace finds no face in {len(found) - len(shapes)} of {len(found)} crops; they are left out")
    return np.mean(shapes, axis=0)
