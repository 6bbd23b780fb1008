"""One entry of a recipe: a family with its inputs, its search space, and how its trials are trained."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, get_args

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from features.names import unknown_name
from models import registry
from models.family import Family, Resources, Task
from models.metrics import SearchMetric
from models.space import Float, Int, Parameter, Scalar, Space, count_points
from search.recipe import inputs, overrides
from search.recipe.limits import Budget, Count, Data


class BestSeeds(BaseModel):
    """`{best: n}`: once an entry's search is over, its best configuration is trained with n seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    best: int


def _seeds(value: Any) -> Any:
    number = value["best"] if isinstance(value, Mapping) and set(value) == {"best"} else value
    if isinstance(value, BestSeeds) or (type(number) is int and number >= 1):
        return value
    text = f"expected a number of seeds of at least 1, or {{best: n}} for each entry's best, but got {value!r}."
    raise PydanticCustomError("emofuse_seeds", "{text}", {"text": text})


# Here, not in the model: pydantic tells a union's mistakes once for each of its types.
Seeds = Annotated[int | BestSeeds, BeforeValidator(_seeds)]


def _metric(value: Any) -> Any:
    known = get_args(SearchMetric)
    if value in known:
        return value
    text = str(unknown_name("metric", str(value), known))
    raise PydanticCustomError("emofuse_metric", "{text}", {"text": text})


WishedMetric = Annotated[SearchMetric, BeforeValidator(_metric)]


class ResourcesOverride(Data):
    """What a trial asks of its node and how long it may take, where that differs from the family's own request."""

    cpu: float | None = Field(default=None, gt=0)
    gpu: float | None = Field(default=None, ge=0)
    memory_mb: Count | None = None
    stall_s: float | None = Field(default=None, gt=0)
    time_limit_s: float | None = Field(default=None, gt=0)


class TrainingOverride(Data):
    """How an entry's network is trained otherwise than its family does; None: as the family has it.

    `patience` are the epochs without a better held-out result after which training stops, `max_iterations` the batches
    after which it ends, `clip` is the largest gradient norm (0: none), `l1` the weight of the sum of all parameters'
    absolute values, `augment: false` leaves images as they are.
    """

    patience: Count | None = None
    max_iterations: Count | None = None
    clip: float | None = Field(default=None, ge=0)
    l1: float | None = Field(default=None, ge=0)
    augment: Annotated[bool, Field(strict=True)] | None = None

    def wishes(self) -> dict[str, Any]:
        """What is given, as plain data."""
        return self.model_dump(exclude_none=True)


class Entry(Data):
    """One family with its inputs and its budget; `name` is its key in the recipe, `family` the same by default.

    `weights` is a file of pretrained parameters to start from; in a recipe its path starts at the recipe's folder.
    `clip_faces` is the set of the clips' faces that a backbone's layers are computed of, where that isn't its input.
    `weights_from` is an entry of an earlier backbone stage, whose best trial's parameters take a file's place. `task`
    is what the family learns, by default what it did in its paper. `metric` is what its search maximises, by default
    the recipe's (`Recipe.metric_of`). `choose_on` is the partition by whose results alone configurations are compared
    (None: the mean over all). `seeds` takes the place of the recipe's. `configurations` is how many of them are tried
    (`trials` in recipes of earlier releases), `budget` what their trials may cost. `points` are those to try first,
    `prior` values around which random ones lie. `max_epochs` and `training` take the place of the family's own.
    """

    _unlisted = frozenset({"name"})
    _earlier: ClassVar[Mapping[str, str]] = {"trials": "configurations"}

    name: str
    family: str
    configurations: Count = Field(validation_alias=AliasChoices("configurations", "trials"))
    inputs: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    space: dict[str, Any] = Field(default_factory=dict)
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    max_epochs: Count | None = None
    published: bool = True
    weights: str | None = None
    weights_from: str | None = None
    clip_faces: str | None = None
    task: Task | None = None
    metric: WishedMetric | None = None
    choose_on: str | None = None
    seeds: Seeds | None = None
    training: TrainingOverride = TrainingOverride()
    resources: ResourcesOverride = ResourcesOverride()
    budget: Budget = Budget()
    points: tuple[dict[str, Scalar], ...] = ()
    prior: dict[str, Scalar] = Field(default_factory=dict)

    def record(self) -> Family:
        """The family's record."""
        return registry.get_family(self.family)

    @property
    def continuous(self) -> bool:
        """Whether it learns the annotations of the clips, not their labels."""
        return (self.task or self.record().tasks[0]) == "regression"

    def input_specs(self) -> dict[str, str]:
        """For each slot of the family: the feature-set spec or `<backbone>.<layer>` that it reads.

        Behind a `|` may stand how it is whitened. A slot for many inputs becomes `slot_1`, `slot_2`, ... and reads the
        encodings of the entries named, or in the stage `clips` the sets.
        """
        found: dict[str, str] = {}
        for slot in self.record().inputs:
            given = self.inputs.get(slot.slot, slot.default)
            if slot.many:
                numbered = enumerate(inputs.listed(given, self.record().stage), start=1)
                found.update((f"{slot.slot}_{number}", inputs.canonical_spec(name)) for number, name in numbered)
            else:
                found[slot.slot] = inputs.canonical_spec(str(given))
        return found

    def effective_space(self) -> Space:
        """What is searched: the family's space with the overrides, without the fixed hyperparameters."""
        space = self.record().space
        return {
            name: overrides.override(parameter, self.space[name]) if name in self.space else parameter
            for name, parameter in space.items()
            if name not in self.fixed
        }

    def complete(self, point: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """All hyperparameters of a point of the effective space: the fixed ones added, numbers in the family's type."""
        space = self.record().space
        return {name: _typed(space[name], value) for name, value in sorted({**point, **self.fixed}.items())}

    def published_points(self) -> tuple[dict[str, Scalar], ...]:
        """The first points to try (at most `configurations`), each inside the effective space.

        A published number outside an overridden range is moved to its nearer end; a point whose value is none of the
        overridden choices is left out; a fixed hyperparameter takes the place of the published value.
        """
        space = self.effective_space()
        points: list[dict[str, Scalar]] = []
        for published in self.record().published if self.published else ():
            point = {name: _moved(parameter, published[name]) for name, parameter in space.items()}
            inside = all(space[name].check(value) is None for name, value in point.items())
            if inside and point not in points:
                points.append(point)
        return tuple(points[: self.configurations])

    @property
    def planned_configurations(self) -> int:
        """How many configurations it gets: as many as it asks for, or all points of a small space."""
        return int(min(self.configurations, count_points(self.effective_space())))

    def request(self) -> Resources:
        """What one trial asks of a node."""
        own, wish = self.record().resources, self.resources
        return Resources(
            cpu=own.cpu if wish.cpu is None else wish.cpu,
            gpu=own.gpu if wish.gpu is None else wish.gpu,
            memory_mb=wish.memory_mb or own.memory_mb,
            stall_s=wish.stall_s or own.stall_s,
            time_limit_s=wish.time_limit_s or own.time_limit_s,
        )


def _typed(parameter: Parameter, value: Scalar) -> Scalar:
    return float(value) if isinstance(parameter, Float) else value


def _moved(parameter: Parameter, value: Any) -> Scalar:
    if isinstance(parameter, Float | Int):
        return min(max(value, parameter.low), parameter.high)
    return value
