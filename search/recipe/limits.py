"""Words of a recipe that bound what a search costs, and the base of all of a recipe's words."""

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

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    text = str(unknown_name("key", str(key), set(cls.model_fields) - cls._unlisted))
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
