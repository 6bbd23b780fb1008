"""The Toronto Face Database (Susskind et al. 2010) as its MATLAB file: grey faces, a part of them with expressions."""

from pathlib import Path
from typing import Any

import numpy as np

from features.clips import Clip, ClipTable
from features.datasets import Adapter, Option
from features.datasets.pictures import OPTIONS, picture_table
from features.errors import EmofuseError, WrongUse
from features.progress import say

# The class of each label from 1 on; the names are those of AFEW.
CLASSES = ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")
SPLITS = {1: "train", 2: "val", 3: "test"}
_EXPECTED = "TFD's file with images (N, H, H), labs_ex (N, 1), labs_id (N, 1) and folds (N, 5)"


def read(root: Path, *, fold: int, **options: Any) -> ClipTable:
    """One clip for each labelled face of the file `root`, its split that of official fold `fold`.

    A person is a group; a face whose person is unknown is grouped with the pictures equal to it.
    """
    if not 1 <= fold <= 5:
        raise WrongUse(f"TFD has the folds 1 to 5, but got fold {fold}.")
    images, labels, people, folds = _load(root)
    splits = folds[:, fold - 1]
    rows = np.flatnonzero((labels >= 1) & (labels <= len(CLASSES)) & np.isin(splits, list(SPLITS)))
    if len(rows) == 0:
        raise EmofuseError(f"{root}: none of the {len(images)} faces has a label and a part in fold {fold}.")
    if len(rows) < len(images):
        say(f"{len(images) - len(rows)} of {len(images)} faces are left out: unlabelled, or in no part of fold {fold}")
    clips = [
        Clip(
            f"tfd_{row:06d}",
            None,
            SPLITS[int(splits[row])],
            CLASSES[int(labels[row]) - 1],
            f"person_{people[row]}" if people[row] > 0 else "",
        )
        for row in rows
    ]
    return picture_table(clips, images[rows], dataset="tfd", **options)


def _load(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    from scipy.io import loadmat

    if not path.is_file():
        raise EmofuseError(f"{path}: no such file; expected {_EXPECTED}.")
    try:
        data = loadmat(path)
    except Exception as error:  # scipy raises half a dozen types for a damaged file
        raise EmofuseError(f"{path}: expected {_EXPECTED}, but it can't be read ({error}).") from None
    found = {name: np.asarray(data[name]) for name in ("images", "labs_ex", "labs_id", "folds") if name in data}
    shapes = {name: array.shape for name, array in found.items()}
    n = len(found["images"]) if "images" in found else 0
    square = len(shapes.get("images", ())) == 3 and shapes["images"][1] == shapes["images"][2]
    if (
        not square
        or any(found[name].size != n for name in shapes if name.startswith("labs"))
        or (len(found) < 4 or shapes["folds"] != (n, 5))
    ):
        came = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none of them"
        raise EmofuseError(f"{path}: expected {_EXPECTED}, but got {came}.")
    images = found["images"]
    if images.min() < 0 or images.max() > 255:
        raise EmofuseError(f"{path}: expected pixels from 0 to 255, but got {images.min()} to {images.max()}.")
    labels, people = (found[name].ravel().astype(np.int64) for name in ("labs_ex", "labs_id"))
    return np.ascontiguousarray(images, np.uint8), labels, people, found["folds"].astype(np.int64)


ADAPTER = Adapter(
    name="tfd",
    summary="The Toronto Face Database's .mat; its labelled faces are brought into a feature store.",
    read=read,
    root="the file TFD_48x48.mat or TFD_96x96.mat",
    example="tfd TFD_48x48.mat -o tfd.parquet --store store",
    options={"fold": Option(1, "The official fold, 1 to 5, whose train, val and test are taken."), **OPTIONS},
)
