"""The record that describes an architecture family, and what it builds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from features.tables.readable import Readable
from models.examples import Examples
from models.metrics import Metric
from models.space import Space, check_point

Level = Literal["clip", "frame"]
Task = Literal["classification", "regression"]
Report = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Input:
    """One input slot of a family: its level, the shape of a time step it takes, and the paper's feature set.

    `rank` is the number of axes of one time step: 1 a vector (F,), 2 a grey image (H, W), 3 a colour image (H, W, 3).
    `default` is a feature-set spec (`is10`, `faces:size=48`) or a backbone's layer (`face_cnn.conv2`). What has more
    than one axis is an image of uint8 unless it `is_map`: real numbers, as vectors are.

    `many` stands for any number of inputs: in the stage `fusion` each is the encoding of an earlier entry, and
    `default` lists these; in the stage `clips` each is a feature set. The model knows them as `slot_1`, `slot_2` and so
    on (`Family.slots`).
    """

    slot: str
    level: Level
    rank: int
    default: str
    is_map: bool = False
    many: bool = False

    @property
    def is_image(self) -> bool:
        """Whether a step is an image of uint8."""
        return self.rank > 1 and not self.is_map


# Main memory that CUDA's libraries and its context take in a process that opens a GPU (docs/gpu.md, section host).
CUDA_MB = 1250


@dataclass(frozen=True)
class Resources:
    """What one trial asks of a node: CPU cores, a fraction of a GPU (used where there is one), main memory, and time.

    `memory_mb` is what it takes on a CPU. A trial in which no batch, fold or epoch ends for `stall_s` hangs;
    `time_limit_s` bounds each of its processes.
    """

    cpu: float = 1.0
    gpu: float = 0.0
    memory_mb: int = 1000
    stall_s: float = 1800.0
    time_limit_s: float | None = None

    @property
    def main_mb(self) -> int:
        """All main memory that it asks for: a trial with a part of a GPU has CUDA in its process."""
        return self.memory_mb + (CUDA_MB if self.gpu else 0)


@dataclass(frozen=True)
class Context:
    """All that `build` needs to know of the data: class names, `shapes[slot]` of one time step, seed, device.

    `weights` is a file of pretrained parameters that a fit starts from, for families that take them. `columns[slot]`
    names the numbers of a slot's vectors; it is absent or empty where they have no names. A regression has `dimensions`
    (arousal, valence) and no classes. `metric` is what the kept epoch of a classification has most of, of
    the log-loss least.
    """

    classes: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    seed: int = 0
    device: str = "cpu"
    weights: Path | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dimensions: tuple[str, ...] = ()
    metric: Metric = "accuracy"

    @property
    def outputs(self) -> int:
        """How many numbers a clip, or each of its steps, is scored with."""
        return len(self.dimensions or self.classes)


@dataclass(frozen=True)
class FitResult:
    """How a fit went: epochs run, the epoch whose weights were kept (1-based), held-out metrics there, the curve."""

    epochs: int
    best_epoch: int
    metrics: Mapping[str, float]
    curve: tuple[Mapping[str, float], ...] = ()


class Model(Protocol):
    """What a family builds; torch and scikit-learn families look the same from outside."""

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
        """Fit on `train`, stop on `held_out`.

        `epochs` trains for exactly that many (a refit; `held_out` is then None); `max_epochs` caps the family's own
        limit. `report(epoch, metrics)` is called after each epoch. `resume` is a folder where training keeps its
        checkpoint and continues from.
        """
        ...

    def predict(self, examples: Examples) -> np.ndarray:
        """Class probabilities (N, C) float32; a clip's row does not depend on the other clips."""
        ...

    def encode(self, examples: Examples) -> np.ndarray:
        """The clip vectors (N, D) float32 that feature-level fusion reads."""
        ...

    def save(self, folder: Path) -> None:
        """Write safetensors or skops files and their JSON config into `folder` (which exists)."""
        ...


class ContinuousModel(Model, Protocol):
    """A model whose context had `dimensions`: it scores every step of a clip."""

    def predict_steps(self, examples: Examples) -> list[np.ndarray]:
        """For each clip its predictions (T_n, D) float32, a row for each step of its inputs."""
        ...


class Backbone(Model, Protocol):
    """A model on stills whose layers other families read frame by frame."""

    layers: tuple[str, ...]

    def activations(self, images: np.ndarray, layer: str) -> np.ndarray:
        """The named layer's output (T, F) float32, flattened, for `images` (T, H, W) uint8."""
        ...

    def width(self, layer: str) -> int:
        """F of the named layer, told without a fit."""
        ...

    def columns(self, layer: str) -> tuple[str, ...]:
        """What the numbers of a layer stand for: its classes for `logits` and `probabilities`, else nothing."""
        ...


@dataclass(frozen=True)
class Family:
    """An architecture family: one paper's system with its search space as data.

    `published` are the paper's own hyperparameters, the first points of every search. `build(hyperparameters, context)`
    makes an unfitted model; `load(folder, device)` reads what its `save` wrote. `tasks` are what it can be built for,
    the paper's own first: a context with classes, or one with dimensions. `weights` tells whether a fit can start
    from pretrained parameters. `version` grows whenever training changes. `smoke` are the hyperparameters that make it
    small enough to be tried in seconds (`search run --smoke`). `trusted` are the types, by module and class, that its
    saved scikit-learn pipeline holds besides those of emofuse's own: whoever names one vouches that no file of it can
    do harm.
    """

    name: str
    paper: str
    section: str
    summary: str
    inputs: tuple[Input, ...]
    space: Space
    published: tuple[Mapping[str, Any], ...]
    build: Callable[[Mapping[str, Any], Context], Model]
    load: Callable[[Readable, str], Model]
    max_epochs: int = 1
    tasks: tuple[Task, ...] = ("classification",)
    stage: Literal["backbone", "clips", "fusion"] = "clips"
    resources: Resources = field(default_factory=Resources)
    weights: bool = False
    version: int = 1
    smoke: Mapping[str, Any] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for point in self.published:
            check_point(self.space, point, f"family {self.name!r} as published")
            check_point(self.space, {**point, **self.smoke}, f"family {self.name!r} for smoke tests")

    @property
    def usual(self) -> Mapping[str, Any]:
        """The first published point; the middle of the space where none is published."""
        return self.published[0] if self.published else {name: one.middle() for name, one in self.space.items()}

    def slots(self, names: Iterable[str]) -> tuple[Input, ...]:
        """The inputs one by one, where `names` are those that there is data for: a slot with `many` becomes several."""
        found: list[Input] = []
        for slot in self.inputs:
            if not slot.many:
                found.append(slot)
                continue
            numbers = sorted(int(name.rpartition("_")[2]) for name in names if name.rpartition("_")[0] == slot.slot)
            found += [replace(slot, slot=f"{slot.slot}_{number}", many=False) for number in numbers]
        return tuple(found)
