"""Words of a recipe that bound what a search costs or stop what isn't worth it, and the base of all its words."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from features.names import unknown_name

Count = Annotated[int, Field(strict=True, gt=0)]


class Data(BaseModel):
    """Words that are plain data; an unknown one is told with the nearest."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    _unlisted: ClassVar[frozenset[str]] = frozenset()  # keys that nobody needs to write
    _earlier: ClassVar[Mapping[str, str]] = {}  # keys of earlier releases, which are still read, and theirs of today

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields and key not in cls._earlier:
                    text = str(unknown_name("key", str(key), set(cls.model_fields) - cls._unlisted, cls._earlier))
                    raise PydanticCustomError("emofuse_key", "{text}", {"text": text})
            for old, new in cls._earlier.items():
                if old in data and new in data:
                    text = f"`{old}` is what `{new}` was called in earlier releases; keep `{new}` alone."
                    raise PydanticCustomError("emofuse_key", "{text}", {"text": text})
        return data


class Budget(Data):
    """What may be spent (None: whatever it takes), of a whole run or of an entry, over all calls of the search.

    `hours` of a run are those for which a search works on it, of an entry those of its trials added up. `gpu_hours` are
    hours of trials times the share of a GPU that each has. `trials` counts trainings: a configuration has one for each
    partition.
    """

    hours: float | None = Field(default=None, gt=0)
    gpu_hours: float | None = Field(default=None, gt=0)
    trials: Count | None = None


class FoldStopping(Data):
    """When a configuration is given up after some of its partitions, by the mean over those that are finished.

    `median`: after `after` partitions and each further one, where it is worse than the median of the others there.
    `halving`: after `after`, `after` times `reduction`, ... partitions, where it isn't among the best one in
    `reduction` of those that came as far. Nothing is compared with fewer than `least` others.
    """

    rule: Literal["median", "halving"]
    after: Count = 2
    reduction: Annotated[int, Field(strict=True, ge=2)] = 3
    least: Count = 5

    def rungs(self, partitions: int) -> tuple[int, ...]:
        """After how many of the partitions it looks."""
        found, rung = [], self.after
        while rung < partitions:
            found.append(rung)
            rung = rung + 1 if self.rule == "median" else rung * self.reduction
        return tuple(found)


class Asha(Data):
    """When ASHA may stop a trial: never before `grace_epochs`; at each rung one in `reduction` goes on.

    Trials of entries that train for less than `min_epochs` are never stopped.
    """

    grace_epochs: Count = 10
    reduction: Annotated[int, Field(strict=True, ge=2)] = 3
    min_epochs: Annotated[int, Field(strict=True, ge=0)] = 0

    def rungs(self, max_epochs: int) -> list[int]:
        """The epochs after which a trial of at most `max_epochs` may be stopped; the last epoch is none of them."""
        found: list[int] = []
        epoch = self.grace_epochs
        while max_epochs >= self.min_epochs and epoch < max_epochs:
            found.append(epoch)
            epoch *= self.reduction
        return found


# Where a recipe doesn't say: of short trials, what it stops brings an ensemble nothing (benchmarks/ensemble_asha.py).
DEFAULT_ASHA = Asha(min_epochs=100)


class StopWhen(Data):
    """When a run ends before all its configurations are trained.

    `no_gain`: so many configurations have finished since the fused score (search.goal) was higher than ever before.
    """

    no_gain: Annotated[int, Field(strict=True, ge=2)]
