"""Frame average: the plain mean of a CNN's probabilities over a clip's frames (Kahou 2015, section 2.3)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from features.errors import EmofuseError, WrongUse
from features.files import write_json
from features.tables.readable import Readable
from models.description import FILE, read_description
from models.examples import Examples
from models.family import Context, Family, FitResult, Input, Report, Resources
from models.metrics import held_out_metrics
from models.space import check_point
from models.training.batches import pack

# A frame's probabilities may be this far from 1 in sum: three digits each, from a file, are enough.
_ROUNDING = 0.01


class FrameAverage:
    """Nothing is learnt: `fit` only checks the clips and measures.

    Which column of a frame belongs to which class is told by the columns' names (`context.columns`); column c of one
    without names is taken for class c of `context.classes`, which are sorted.
    """

    def __init__(self, hyperparameters: Mapping[str, Any], context: Context):
        check_point(FAMILY.space, hyperparameters, f"family {FAMILY.name!r}")
        (width,) = context.shapes["frames"]
        if width != len(context.classes):
            raise WrongUse(
                f"frame_average expects a probability of each of the {len(context.classes)} classes "
                f"({', '.join(context.classes)}) for every frame, but its frames hold {width} numbers; give it the "
                "`probabilities` layer of a backbone that tells these classes apart."
            )
        self.context = context
        self._order = class_order(context.classes, context.columns.get("frames", ()))

    def fit(
        self,
        train: Examples,
        held_out: Examples | None,
        *,
        epochs: int | None = None,
        max_epochs: int | None = None,
        report: Report | None = None,
        resume: Path | None = None,
    ) -> FitResult:
        """See `models.family.Model.fit`; one epoch, in which nothing happens to the model."""
        train.check_labels(self.context.classes)
        self.predict(train)
        metrics = {}
        if held_out is not None:
            metrics = held_out_metrics(self.predict(held_out), held_out.check_labels(self.context.classes))
        if report is not None:
            report(1, metrics)
        return FitResult(1, 1, metrics, ({"epoch": 1, **metrics},))

    def predict(self, examples: Examples) -> np.ndarray:
        """Class probabilities (N, C) float32; frames that aren't distributions are refused by the clip's name."""
        packed = pack(examples, FAMILY.inputs, self.context.shapes, "cpu")
        start, length = (index["frames"].numpy() for index in (packed.start, packed.length))
        frames = packed.values["frames"].take(torch.arange(int(length.sum())))
        p = frames.numpy()[:, self._order]  # (frames of all clips, C)
        sums = p.sum(axis=1, dtype=np.float64)
        wrong = np.flatnonzero((p < 0).any(axis=1) | (abs(sums - 1) > _ROUNDING))
        if len(wrong):
            clip = int(np.searchsorted(start, wrong[0], side="right")) - 1
            raise EmofuseError(
                f"Clip {examples.ids[clip]!r}: expected 'frames' of probabilities, none negative and 1 in sum, but its "
                f"step {wrong[0] - start[clip]} holds {p[wrong[0]].min():g} to {p[wrong[0]].max():g} and "
                f"{sums[wrong[0]]:g} in sum; give it the `probabilities` layer of a backbone."
            )
        mean = np.add.reduceat(p, start, axis=0, dtype=np.float64) / length[:, None]  # (N, C)
        return (mean / mean.sum(axis=1, keepdims=True)).astype(np.float32)

    def encode(self, examples: Examples) -> np.ndarray:
        """The mean probabilities (N, C) themselves."""
        return self.predict(examples)

    def save(self, folder: Path) -> None:
        """Write `model.json` into `folder`; there is nothing else to keep."""
        write_json(
            folder / FILE,
            {
                "family": FAMILY.name,
                "version": FAMILY.version,
                "hyperparameters": {},
                "seed": self.context.seed,
                "classes": list(self.context.classes),
                "shapes": {slot: list(shape) for slot, shape in self.context.shapes.items()},
                "columns": {slot: list(names) for slot, names in self.context.columns.items()},
            },
        )


def class_order(classes: Sequence[str], columns: Sequence[str]) -> list[int]:
    """For each class the column that is called like it, in any case and after a prefix of all columns (`p_Angry`)."""
    if not columns:
        return list(range(len(classes)))
    wanted, names = [name.casefold() for name in classes], [name.casefold() for name in columns]
    for name in wanted:
        if names[0].endswith(name):
            prefix = names[0].removesuffix(name)
            if sorted(prefix + name for name in wanted) == sorted(names):
                return [names.index(prefix + name) for name in wanted]
    raise WrongUse(
        f"frame_average expects a column for each of the classes {', '.join(classes)}, but those of its frames are "
        f"{', '.join(columns)}; give it a backbone of these classes, or import columns named after them, such as "
        f"p_{classes[0]}."
    )


def load(folder: Readable, device: str) -> FrameAverage:
    """Read what `save` wrote; `device` does not matter."""
    return read_description(folder).build(FrameAverage, device, folder)


FAMILY = Family(
    name="frame_average",
    paper="Kahou 2015",
    section="2.3",
    summary="plain mean of a CNN's probabilities per frame; nothing to train",
    inputs=(Input("frames", "frame", 1, "face_cnn.probabilities"),),
    space={},
    published=({},),
    build=FrameAverage,
    load=load,
    resources=Resources(cpu=1.0, memory_mb=600),
    version=2,
)
