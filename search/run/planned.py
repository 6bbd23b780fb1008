"""What a run was asked for, as run.json tells it: reading a recipe would load every family with its libraries."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from features.errors import EmofuseError
from features.files import read_json


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


def read_plan(run: Path) -> tuple[Planned, ...]:
    """The entries of the run at `run`, in the recipe's order."""
    path = run / "run.json"
    data = read_json(path, "the description of a run; start one with `emofuse search run`")
    names = {f.name for f in fields(Planned)}
    try:
        return tuple(Planned(**{name: row[name] for name in names & row.keys()}) for row in data["plan"])
    except (KeyError, TypeError):
        raise EmofuseError(
            f"{path}: expected the plan of a run, but there is none that this emofuse can read; run the same "
            "`emofuse search run` again, and it is written anew."
        ) from None
