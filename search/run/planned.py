"""What a run was asked for, as run.json tells it: reading a recipe would load every family with its libraries."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from features.schema import read_as

WHAT, MISSING = "the description of a run", "start one with `emofuse search run`"
REMEDY = "run the same `emofuse search run` again, and it is written anew"


@dataclass(frozen=True)
class Planned:
    """One entry of the recipe: each of its configurations is trained on every partition."""

    stage: str
    entry: str
    family: str
    configurations: int
    partitions: Sequence[str]
    continuous: bool = False

    @property
    def trials(self) -> int:
        """How many trials there shall be."""
        return self.configurations * len(self.partitions)


@dataclass(frozen=True)
class _Plan:
    plan: tuple[Planned, ...]


def read_plan(run: Path) -> tuple[Planned, ...]:
    """The entries of the run at `run`, in the recipe's order."""
    return read_as(_Plan, run / "run.json", WHAT, REMEDY, MISSING).plan
