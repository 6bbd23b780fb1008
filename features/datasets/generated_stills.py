"""The stills of the made-up corpus as an adapter: what a face CNN is trained on before it sees clips."""

from pathlib import Path
from typing import Any

from features.clips import ClipTable
from features.datasets import Adapter, Option


def read(root: Path, **options: Any) -> ClipTable:
    """Make the stills below `root` and give their table."""
    from features.datasets.synthetic import make_stills

    return make_stills(root, **options)


ADAPTER = Adapter(
    name="synthetic_stills",
    summary="Made out of nothing: PNG stills of other drawn faces, to train a backbone CNN on.",
    read=read,
    root="the folder to write the stills into",
    example="synthetic_stills demo_stills -o demo_stills/stills.parquet --seed 1",
    options={
        "seed": Option(0, "The same seed gives the same files."),
        "train_actors": Option(16, "Actors of the split train; none of them plays in a clip."),
        "val_actors": Option(6, "Actors of the split val."),
        "stills_per_actor": Option(28, "Stills of each actor; the emotions take turns."),
    },
)
