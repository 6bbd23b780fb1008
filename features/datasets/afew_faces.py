"""The faces that EmotiW's organisers aligned themselves: a folder of JPEGs per clip, a file per frame."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from features.clips import ClipTable
from features.datasets.folders import IMAGES, files_below, warn
from features.errors import ClipFailure, EmofuseError, WrongUse
from features.files import content_key
from features.progress import progress, say
from features.sets import FeatureArray

NAME = "afew_faces"
# AFEW's videos have 25 frames per second.
_FPS = 25
_CLIP = re.compile(r"\d{9}")
_SPLIT = re.compile(r"(?:^|_)(val|test)(?:_|$)", re.IGNORECASE)
_EXPECTED = "aligned faces such as AlignedFaces_LBPTOP_Points/Faces/000046280/1.jpg"
_VERSION = 2


def bring_in_faces(root: Path, table: ClipTable, store: Path, size: int, colour: bool) -> None:
    """Write the faces below `root` into the store as set `afew_faces` (then its size, `_colour`) for `table`'s clips.

    A face's middle square is taken; its time follows from its number. Clips without a folder fail with `no_face`.
    """
    from features.store.store import SetWriter

    if size < 16:
        raise WrongUse(f"The faces' size is at least 16 pixels, but got {size}.")
    found = face_files(root)
    ids = tuple(clip.clip_id for clip in table.clips)
    if not set(found) & set(ids):
        raise EmofuseError(f"{root}: expected {_EXPECTED}, but found no folder of pictures named after a clip.")
    absent = [clip_id for clip_id in ids if clip_id not in found]
    if absent:
        warn(f"{len(absent)} of {len(ids)} clips have no aligned faces: {absent[0]}, ...")
    name = NAME + ("" if size == 48 else f"_{size}") + "_colour" * colour
    files = [[clip_id, *(f"{path.name} {path.stat().st_size}" for path in found.get(clip_id, []))] for clip_id in ids]
    shape = (size, size, 3) if colour else (size, size)
    writer = SetWriter(store, name, content_key([_VERSION, name, files]), ids, "frame", shape, spec=name, imported=True)
    stored = writer.finished()
    if stored is None or stored.verify():
        with progress(f"faces of {NAME}", len(ids)) as counter:

            def arrays() -> Iterator[tuple[str, FeatureArray | ClipFailure]]:
                for clip_id in ids:
                    yield clip_id, _faces(found.get(clip_id, []), size, colour)
                    counter.advance()

            writer.write(arrays())
    say(f"{name}: the organisers' faces of {len(ids) - len(absent)} clips in {store}")


def face_files(root: Path) -> dict[str, list[Path]]:
    """For each clip (`train/000046280`) its pictures in the order of their numbers.

    A picture's folder is named after its clip; a folder above it says val or test, else it is of the train split.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for path in files_below(root, IMAGES, _EXPECTED, tell=False):
        if _CLIP.fullmatch(path.parent.name):
            parts = path.relative_to(root).parts[:-2]
            split = next((match[1].lower() for name in reversed(parts) if (match := _SPLIT.search(name))), "train")
            found[f"{split}/{path.parent.name}"].append(path)
    return {clip_id: sorted(paths, key=_number) for clip_id, paths in found.items()}


def _number(path: Path) -> tuple[int, str]:
    digits = re.findall(r"\d+", path.stem)
    return (int(digits[-1]) if digits else 0), path.name


def _faces(paths: list[Path], size: int, colour: bool) -> FeatureArray | ClipFailure:
    from features.decode.stills import read_still
    from features.faces.crops import middle_square

    pictures, numbers = [], []
    for path in paths:
        try:
            picture = read_still(path, gray=not colour)
        except ClipFailure as failure:
            warn(f"{path} is {failure.reason} and is left out")
            continue
        if picture is None:
            warn(f"{path} can't be read as a picture and is left out")
            continue
        pictures.append(middle_square(picture, size))
        numbers.append(_number(path)[0])
    if not pictures:
        return ClipFailure("no_face", "the organisers give no face of this clip")
    return FeatureArray(np.stack(pictures), (np.array(numbers) - numbers[0]).astype(np.float32) / _FPS)
