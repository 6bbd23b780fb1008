"""The made-up recordings with arousal and valence over time as an adapter."""

from pathlib import Path
from typing import Any

from features.clips import ClipTable
from features.datasets import Adapter, Option


def read(root: Path, *, seconds: float, **options: Any) -> ClipTable:
    """Make the recordings below `root` and give their table with annotations."""
    from features.datasets.synthetic import make_recordings

    return make_recordings(root, duration_s=(0.9 * seconds, 1.1 * seconds), **options)


ADAPTER = Adapter(
    name="synthetic_recordings",
    summary="Made out of nothing: mp4 recordings whose emotion changes, with arousal and valence every 100 ms.",
    read=read,
    root="the folder to write the recordings into",
    example="synthetic_recordings demo_recordings -o demo_recordings/clips.parquet --seed 1",
    options={
        "seed": Option(0, "The same seed gives the same files."),
        "train_actors": Option(6, "Actors of the split train."),
        "val_actors": Option(3, "Actors of the split val."),
        "test_actors": Option(3, "Actors of the split test."),
        "recordings_per_actor": Option(1, "Recordings of each actor."),
        "seconds": Option(20.0, "How long a recording is, within a tenth of it."),
    },
)
