"""Recipes: which families are searched, on which features and partitions, with how many trials."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from models.family import Family, Resources
from models.space import Scalar, Space

StageName = Literal["backbone", "clips", "fusion"]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Asha(_Data):
    """When ASHA may stop a trial: never before `grace_epochs`; at each rung one in `reduction` goes on."""

    grace_epochs: PositiveInt = 10
    reduction: int = Field(default=3, ge=2)


class Folds(_Data):
    """`{folds: n}`: n partitions, grouped and stratified, over train and val together."""

    folds: int = Field(ge=2)


class ResourcesOverride(_Data):
    """What a trial asks of its node, where it differs from the family's own request."""

    cpu: float | None = Field(default=None, gt=0)
    gpu: float | None = Field(default=None, ge=0)
    memory_mb: PositiveInt | None = None


class Entry(_Data):
    """One family with its inputs and its budget; `name` is its key in the recipe."""

    name: str
    family: str
    trials: PositiveInt
    inputs: dict[str, str] = {}
    space: dict[str, Any] = {}
    fixed: dict[str, Scalar] = {}
    max_epochs: PositiveInt | None = None
    published: bool = True
    resources: ResourcesOverride = ResourcesOverride()

    def record(self) -> Family:
        """The family's record."""
        raise NotImplementedError

    def input_specs(self) -> dict[str, str]:
        """For each slot of the family: the feature-set spec or `<backbone>.<layer>` that it reads."""
        raise NotImplementedError

    def effective_space(self) -> Space:
        """What is searched: the family's space with the overrides, without the fixed hyperparameters."""
        raise NotImplementedError

    def complete(self, point: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """All hyperparameters of a point of the effective space: the fixed ones added."""
        raise NotImplementedError

    def published_points(self) -> tuple[dict[str, Scalar], ...]:
        """The first points to try (at most `trials`), each inside the effective space."""
        raise NotImplementedError

    def request(self) -> Resources:
        """What one trial asks of a node."""
        raise NotImplementedError


class Stage(_Data):
    """Entries that can be trained at the same time; stages run one after another."""

    stage: StageName
    entries: dict[str, Entry]


class Recipe(_Data):
    """A whole search as data."""

    name: str
    seed: int = Field(default=0, ge=0)
    partitions: tuple[Literal["train", "swap"] | Folds, ...] = ("train",)
    sampler: Literal["auto", "random", "tpe"] = "auto"
    asha: Asha | None = Asha()
    allow_shared_groups: bool = False
    stages: tuple[Stage, ...]

    def partition_names(self, stage: StageName) -> tuple[str, ...]:
        """The partitions that a configuration of this stage is trained on: `stills` for a backbone."""
        raise NotImplementedError

    def entry(self, name: str) -> tuple[StageName, Entry]:
        """The entry of that name with its stage; an unknown one is told with the nearest."""
        raise NotImplementedError


def read_recipe(path: Path, store: Path | None = None) -> Recipe:
    """Read and check a recipe; every mistake is one WrongUse sentence. `store` adds the imported sets' names."""
    raise NotImplementedError
