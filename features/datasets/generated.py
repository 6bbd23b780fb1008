"""The corpus made out of nothing (features.datasets.synthetic) as an adapter; drawing code loads when it runs."""

from pathlib import Path
from typing import Any

from features.clips import ClipTable
from features.datasets import Adapter, Option


def read(root: Path, **options: Any) -> ClipTable:
    """Make the clips below `root` and give their table."""
    from features.datasets.synthetic import make_corpus

    return make_corpus(root, **options)


ADAPTER = Adapter(
    name="synthetic",
    summary="Made out of nothing: mp4 clips of drawn faces and synthetic voices that show emotions, with noise.",
    read=read,
    root="the folder to write the clips into",
    example="synthetic demo_clips -o demo_clips/clips.parquet --seed 1",
    options={
        "seed": Option(0, "The same seed gives the same files."),
        "train_actors": Option(5, "Actors of the split train."),
        "val_actors": Option(3, "Actors of the split val."),
        "test_actors": Option(4, "Actors of the split test."),
        "clips_per_actor": Option(21, "Clips of each actor; the emotions take turns."),
        "flaws": Option(0.04, "Share of clips with each of: no sound track, a silent one, a face that leaves."),
    },
)
