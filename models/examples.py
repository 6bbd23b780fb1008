"""Labelled clips as models see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np

from features.errors import EmofuseError


@dataclass(frozen=True)
class Examples:
    """N clips: for each input slot one array per clip.

    `inputs[slot][n]` is (F,) for clip-level features and (T_n, ...) for frame-level ones; it may be a read-only view of
    a memory-mapped store, and its dtype may be uint8 (images). `y` (N,) int64 indexes `classes`, or is None when
    unlabelled. Continuous emotion has `targets[n]` (T_n, D) instead, a row for each step of the inputs and a column
    for each of `dimensions`, NaN where nothing was annotated.
    """

    ids: tuple[str, ...]
    inputs: Mapping[str, Sequence[np.ndarray]]
    classes: tuple[str, ...]
    y: np.ndarray | None = None
    groups: tuple[str, ...] | None = None
    targets: Sequence[np.ndarray] | None = None
    dimensions: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, indices: Sequence[int] | np.ndarray) -> "Examples":
        """The clips at `indices`, in that order; arrays are not copied."""
        rows = [int(i) for i in indices]
        return replace(
            self,
            ids=tuple(self.ids[i] for i in rows),
            inputs={slot: [arrays[i] for i in rows] for slot, arrays in self.inputs.items()},
            y=None if self.y is None else self.y[rows],
            groups=None if self.groups is None else tuple(self.groups[i] for i in rows),
            targets=None if self.targets is None else [self.targets[i] for i in rows],
        )

    def check_finite(self) -> None:
        """Refuse NaN and infinity, naming the clip and the slot."""
        for slot, arrays in self.inputs.items():
            for clip_id, array in zip(self.ids, arrays, strict=True):
                if not np.isfinite(array).all():
                    raise EmofuseError(
                        f"Clip {clip_id!r}: its {slot!r} features hold NaN or infinity; extract them again."
                    )

    def labels(self) -> np.ndarray:
        """`y`, or an error when these clips carry no labels."""
        if self.y is None:
            raise EmofuseError("These clips carry no labels, but training needs them.")
        return self.y

    def check_labels(self, classes: Sequence[str]) -> np.ndarray:
        """`labels()`, or an error when they index other classes than `classes`, or the same in another order."""
        y = self.labels()
        if tuple(self.classes) != tuple(classes):
            raise EmofuseError(
                f"Expected clips labelled with the classes {', '.join(classes)} in this order, "
                f"but got {', '.join(self.classes)}."
            )
        return y

    def answers(self) -> Any:
        """What these clips are labelled with, JSON-ready and short: equal labels give equal answers."""
        if self.targets is None:
            return self.labels().tolist()
        return [sha256(np.ascontiguousarray(values).tobytes()).hexdigest() for values in self.targets]

    def check_targets(self, dimensions: Sequence[str]) -> Sequence[np.ndarray]:
        """`targets`, or an error when there are none, or they are of other dimensions or numbers of steps."""
        if self.targets is None:
            raise EmofuseError("These clips carry no continuous labels, but training needs them.")
        if tuple(self.dimensions) != tuple(dimensions):
            raise EmofuseError(
                f"Expected clips labelled with the dimensions {', '.join(dimensions)} in this order, "
                f"but got {', '.join(self.dimensions) or 'none'}."
            )
        for n, (clip_id, values) in enumerate(zip(self.ids, self.targets, strict=True)):
            for slot, arrays in self.inputs.items():
                expected = (len(arrays[n]), len(dimensions))
                if values.shape != expected:
                    raise EmofuseError(
                        f"Clip {clip_id!r}: expected a label for each step of {slot!r}, shape {expected}, but got "
                        f"{values.shape}."
                    )
            if np.isinf(values).any():
                raise EmofuseError(f"Clip {clip_id!r}: its labels hold infinity; expected numbers, NaN where unknown.")
        return self.targets
