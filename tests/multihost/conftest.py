"""Fixtures of the tests on several hosts; `make test-cluster` runs them."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from lab import SHARED, Lab, why_impossible

from features.clips import Clip, ClipTable, write_clips
from features.sets import FeatureArray
from features.store.store import SetWriter

CLASSES = ("angry", "happy", "sad")
# Time steps of the sets: a trial on `voice` takes a few seconds, one on `drone` that looks at each step half a minute.
STEPS = {"voice": 300, "drone": 12000}


@pytest.fixture(scope="session")
def _lab(tmp_path_factory):
    if reason := why_impossible():
        pytest.skip(f"no hosts of namespaces here: {reason}")
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


@pytest.fixture
def hosts(_lab):
    """`hosts.head`, `.workers`, `.laptop` (each with `.run(command)`, `.start(command)`), joined by a Ray cluster.

    `hosts.cut(host, seconds)` pulls a cable, `hosts.kill(host)` the plug. What lies under /mnt/shared is seen by all.
    """
    _lab.start_ray()
    yield _lab
    _lab.stop_ray()


@pytest.fixture(scope="session")
def world(_lab):
    """A clip table, a store with the sets `voice` and `drone`, and `world.recipe(name, ...)`, on shared storage."""
    folder, rng = _lab.shared / "data", np.random.default_rng(0)
    folder.mkdir()
    clips = [
        Clip(f"{split}-{group}-{label}", None, split, label, f"{split}-{group}")
        for split, groups in {"train": 6, "val": 4, "test": 2}.items()
        for group in range(groups)
        for label in CLASSES
    ]
    write_clips(ClipTable(tuple(clips), folder), folder / "clips.parquet")
    ids = tuple(clip.clip_id for clip in clips)
    for name, steps in STEPS.items():
        writer = SetWriter(folder / "store", name, f"k-{name}", ids, "frame", (4,), imported=True)
        for clip in clips:
            frames = rng.normal(size=(steps, 4)).astype(np.float32)
            frames[:, CLASSES.index(clip.label)] += 0.05
            writer.add(clip.clip_id, FeatureArray(frames, np.arange(steps, dtype=np.float32)))
        writer.finish()

    def recipe(name: str, configurations: int = 8, reads: str = "voice", **entry) -> str:
        pool = {
            "family": "temporal_pooling",
            "inputs": {"frames": reads},
            "configurations": configurations,
            "max_epochs": 100,
            "published": False,
            "fixed": {"hidden": 256, "batch_size": 16, "lr": 2e-4},
            **entry,
        }
        data = {"name": name, "seed": 3, "asha": None, "stages": [{"stage": "clips", "entries": {"pool": pool}}]}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(data))
        return f"{SHARED}/data/{name}.yaml"

    where = f"--clips {SHARED}/data/clips.parquet --features {SHARED}/data/store"
    return SimpleNamespace(folder=folder, recipe=recipe, where=where)
