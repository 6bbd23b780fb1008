"""A small corpus of annotated recordings with pictures, for tests of continuous emotion through the search."""

import numpy as np
import yaml

from features.annotations import Annotations
from features.clips import Clip, ClipTable, write_clips
from features.imports import import_arrays

DIMENSIONS = ("arousal", "valence")
ENTRY = {
    "configurations": 1,
    "inputs": {"faces": "pics"},
    "published": False,
    "fixed": {"filters": 4, "hidden": 64, "dropout": 0.0, "lr": 0.003, "batch_size": 1, "loss": "mse", "window": 2},
    "space": {"pooling": ["original", "temporal_pooling"]},
}


def make_table(folder, seed=0, splits=("train",) * 4 + ("val",) * 3 + ("test",) * 2, without=(), labels=None):
    """Recordings of 12 to 30 labels; the last test recording has none, `without` have no pictures."""
    rng = np.random.default_rng(seed)
    pattern = np.random.default_rng(99).normal(size=(2, 2, 2)).repeat(8, 1).repeat(8, 2)
    clips, series, arrays = [], {}, {}
    for n, split in enumerate(splits):
        name = f"r{n}"
        y = np.cumsum(rng.normal(size=(rng.integers(12, 30), 2)), 0) / 4
        clips.append(Clip(name, None, split, labels[n] if labels else None, f"actor{n}"))
        if n < len(splits) - 1:
            series[name] = np.arange(len(y)) / 10, y
        if name not in without:
            pictures = np.tensordot(y, pattern, 1) + rng.normal(size=(len(y), 16, 16)) / 10
            arrays[name] = np.clip(128 + 40 * pictures, 0, 255).astype(np.uint8)
    table = ClipTable(tuple(clips), folder, Annotations(DIMENSIONS, series))
    write_clips(table, folder / "clips.parquet")
    np.savez(folder / "pics.npz", **arrays)
    import_arrays(table, "pics", folder / "pics.npz", "frame", folder / "store", step_s=0.1)
    return table


def write_recipe(folder, entries=None, **changes):
    entries = entries or {"conv3d": ENTRY, "convlstm": {**ENTRY, "configurations": 2}}
    recipe = {"name": "r", "asha": None, "stages": [{"stage": "clips", "entries": entries}], **changes}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder / "recipe.yaml"
