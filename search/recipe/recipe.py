"""Recipes: which families are searched, on which features and partitions, with how many trials.

A recipe is plain data (YAML). What it says of families is checked when it is read, not when a trial fails.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from features.errors import WrongUse
from features.names import unknown_name
from features.schema import parse, shown, where
from models import registry
from models.family import Family, Resources, Task
from models.metrics import SearchMetric
from models.space import Float, Int, Parameter, Scalar, Space, count_points
from search.recipe import inputs, overrides
from search.recipe.limits import Budget, Count, FoldStopping
from search.recipe.limits import Data as _Data
from search.recipe.seeds import BestSeeds, Seeds
from search.recipe.submissions import Submission

StageName = Literal["backbone", "clips", "fusion"]


class Asha(_Data):
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


# Where a recipe doesn't say: stopping a short trial at epoch 10 judges it too early, and saves little.
DEFAULT_ASHA = Asha(min_epochs=100)


class Folds(_Data):
    """`{folds: n}`: n partitions, grouped and stratified, over train and val together."""

    folds: int


def _partition(value: Any) -> Any:
    if value in ("train", "swap") or isinstance(value, Folds):
        return value
    # Here, not in Folds: pydantic tells a union's mistakes once for each of its types.
    if isinstance(value, Mapping) and set(value) == {"folds"} and type(value["folds"]) is int and value["folds"] >= 2:
        return value
    text = f"expected train, swap or {{folds: n}} with n of at least 2, but got {value!r}."
    raise PydanticCustomError("emofuse_partition", "{text}", {"text": text})


def _metric(value: Any) -> Any:
    known = get_args(SearchMetric)
    if value in known:
        return value
    text = str(unknown_name("metric", str(value), known))
    raise PydanticCustomError("emofuse_metric", "{text}", {"text": text})


class StopWhen(_Data):
    """When a run ends before its trials are spent.

    `no_gain`: so many configurations have finished since the fused score (search.goal) was higher than ever before.
    """

    no_gain: Annotated[int, Field(strict=True, ge=2)]


WishedMetric = Annotated[SearchMetric, BeforeValidator(_metric)]


class ResourcesOverride(_Data):
    """What a trial asks of its node and how long it may take, where that differs from the family's own request."""

    cpu: float | None = Field(default=None, gt=0)
    gpu: float | None = Field(default=None, ge=0)
    memory_mb: Count | None = None
    stall_s: float | None = Field(default=None, gt=0)
    time_limit_s: float | None = Field(default=None, gt=0)


class TrainingOverride(_Data):
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


class Entry(_Data):
    """One family with its inputs and its budget; `name` is its key in the recipe, `family` the same by default.

    `weights` is a file of pretrained parameters to start from; in a recipe its path starts at the recipe's folder.
    `clip_faces` is the set of the clips' faces that a backbone's layers are computed of, where that isn't its input.
    `weights_from` is an entry of an earlier backbone stage, whose best trial's parameters take a file's place. `task`
    is what the family learns, by default what it did in its paper. `metric` is what its search maximises, by default
    the recipe's (`Recipe.metric_of`). `choose_on` is the partition by whose results alone configurations are compared
    (None: the mean over all). `seeds` takes the place of the recipe's. `trials` is the number of its configurations,
    `budget` what they may cost. `points` are configurations to try first, `prior` values around which random ones lie.
    `max_epochs` and `training` take the place of the family's own.
    """

    _unlisted = frozenset({"name"})

    name: str
    family: str
    trials: Count
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
        """The first points to try (at most `trials`), each inside the effective space.

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
        return tuple(points[: self.trials])

    @property
    def configurations(self) -> int:
        """How many configurations it gets: its `trials`, or all points of a small space."""
        return int(min(self.trials, count_points(self.effective_space())))

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


class Stage(_Data):
    """Entries that can be trained at the same time; stages run one after another."""

    stage: StageName
    entries: dict[str, Entry] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("entries"), Mapping):
            return data
        entries = {
            name: {"name": name, "family": name, **entry} if isinstance(entry, Mapping) else entry
            for name, entry in data["entries"].items()
        }
        return {**data, "entries": entries}


def _refuse_strange_numbers(value: Any, loc: tuple[int | str, ...] = ()) -> None:
    """Refuse numbers that no trial can be keyed by: infinity, NaN, more than 64 bits."""
    if isinstance(value, Mapping):
        for key, inside in value.items():
            _refuse_strange_numbers(inside, (*loc, str(key)))
    elif isinstance(value, list | tuple):
        for n, inside in enumerate(value):
            _refuse_strange_numbers(inside, (*loc, n))
    elif isinstance(value, float | int) and not abs(value) < 2**63:
        text = f"{where(loc)}: expected a finite number of at most 64 bits, but got {shown(value)}."
        raise PydanticCustomError("emofuse_number", "{text}", {"text": text})


class Recipe(_Data):
    """A whole search as data. Keys that begin with `x-` may hold what the rest refers to (`&name`, `<<: *name`).

    `metric` is what the search maximises, and a fusion of its trials unless told otherwise. `goal` says of what: of the
    best single configurations, or of the ensemble of all, for which the trials of a stage flow between its entries
    (search.study.turns). `lag` is how many configurations of an entry TPE asks for ahead of their results (None: chosen
    from the machines when a run starts). `keep` is the number of best trials per entry and partition whose models are
    kept; `disk_budget_gb` bounds the run's folder.
    `plugins` are Python files with families, feature sets or fusion methods of the user's own; their paths start at the
    recipe's folder, and their code runs when the user hands the recipe to a search.
    `warm_start` are runs (folders, which start at the recipe's folder too, or URIs) whose best configurations an entry
    of the same family begins with. `seeds` says with how many seeds
    configurations are trained; backbones are trained once.
    """

    name: str
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    partitions: tuple[Annotated[Literal["train", "swap"] | Folds, BeforeValidator(_partition)], ...] = Field(
        default=("train",), min_length=1
    )
    metric: WishedMetric | None = None
    seeds: Seeds = 1
    sampler: Literal["auto", "random", "tpe"] = "auto"
    lag: Annotated[int, Field(strict=True, ge=0)] | None = None
    goal: Literal["best", "ensemble"] = "best"
    stop_when: StopWhen | None = None
    asha: Asha | None = DEFAULT_ASHA
    fold_stopping: FoldStopping | None = None
    allow_shared_groups: bool = False
    keep: Annotated[int, Field(strict=True, ge=0)] = 0
    disk_budget_gb: float | None = Field(default=None, gt=0)
    budget: Budget = Budget()
    plugins: tuple[str, ...] = ()
    warm_start: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = Field(min_length=1)
    submissions: tuple[Submission, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, data: Any) -> Any:
        _refuse_strange_numbers(data)
        if isinstance(data, Mapping):
            return {key: value for key, value in data.items() if not str(key).startswith("x-")}
        return data

    def partition_names(self, stage: StageName) -> tuple[str, ...]:
        """The partitions that a configuration of this stage is trained on: `stills` for a backbone."""
        if stage == "backbone":
            return ("stills",)
        names: list[str] = []
        for item in self.partitions:
            names += [item] if isinstance(item, str) else [f"fold-{k}-of-{item.folds}" for k in range(item.folds)]
        return tuple(names)

    def all_entries(self) -> Iterator[tuple[StageName, Entry]]:
        """All entries with their stage, in the recipe's order."""
        for stage in self.stages:
            for entry in stage.entries.values():
                yield stage.stage, entry

    def entry(self, name: str) -> tuple[StageName, Entry]:
        """The entry of that name with its stage; an unknown one is told with the nearest."""
        for stage, entry in self.all_entries():
            if entry.name == name:
                return stage, entry
        raise unknown_name("entry", name, [entry.name for _, entry in self.all_entries()])

    def seeds_of(self, stage: StageName, entry: Entry) -> int:
        """With how many seeds every configuration of an entry is trained."""
        seeds = self.seeds if entry.seeds is None else entry.seeds
        return 1 if stage == "backbone" or isinstance(seeds, BestSeeds) else seeds

    def best_seeds_of(self, stage: StageName, entry: Entry) -> int:
        """With how many seeds the best configuration of an entry is trained once its search is over."""
        seeds = self.seeds if entry.seeds is None else entry.seeds
        return seeds.best if stage != "backbone" and isinstance(seeds, BestSeeds) else self.seeds_of(stage, entry)

    def metric_of(self, entry: Entry) -> SearchMetric:
        """What the search of an entry maximises: its own `metric`, the recipe's where that is of the entry's task, else
        the task's default (the accuracy, of continuous emotion the CCC)."""
        wished = entry.metric or self.metric
        if entry.continuous:
            return "ccc"
        return "accuracy" if wished is None or wished == "ccc" else wished

    def metric_of_backbone(self, name: str) -> SearchMetric:
        """The same of the entry of that name, else of the first of that family; of one that is gone, the accuracy."""
        entries = [entry for _, entry in self.all_entries()]
        own = [e for e in entries if e.name == name] + [e for e in entries if e.family == name]
        return self.metric_of(own[0]) if own else "accuracy"

    def within(self, hours: float | None) -> "Recipe":
        """The recipe with these hours for the whole run; None: with its own."""
        if hours is None:
            return self
        if not hours > 0:
            raise WrongUse(f"hours: expected a number above 0, but got {hours:g}.")
        return self.model_copy(update={"budget": self.budget.model_copy(update={"hours": hours})})

    def as_data(self) -> dict[str, Any]:
        """The recipe as JSON-ready data that `recipe_of_data` reads back."""
        return self.model_dump(mode="json")


def recipe_of_data(data: Any, source: str) -> Recipe:
    """The recipe in `data`, its families and features not looked at; `source` is named in errors."""
    return parse(Recipe, data, source, error=WrongUse)
