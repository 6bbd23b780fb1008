"""Recipes: which families are searched, on which features and partitions, with how many configurations.

A recipe is plain data (YAML). What it says of families is checked when it is read, not when a trial fails.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from features.errors import WrongUse
from features.names import unknown_name
from features.schema import parse, shown, where
from models.metrics import SearchMetric
from search.recipe.entry import BestSeeds, Entry, Seeds, WishedMetric
from search.recipe.limits import DEFAULT_ASHA, Asha, Budget, Data, FoldStopping, StopWhen
from search.recipe.submissions import Submission

StageName = Literal["backbone", "clips", "fusion"]


class Folds(Data):
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


class Stage(Data):
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


class Recipe(Data):
    """A whole search as data. Keys that begin with `x-` may hold what the rest refers to (`&name`, `<<: *name`).

    `metric` is what the search maximises, and a fusion of its trials unless told otherwise. `goal` says of what: of the
    best single configurations, or of the ensemble of all (search.study.turns); there a stage's configurations flow
    between its entries by what they add, or with `shares` equal each entry keeps its own number. `lag` is how many
    configurations of an entry TPE asks for ahead of their results (None: chosen from the machines when a run starts).
    `keep` is the number of best trials per entry and partition whose models are kept; `disk_budget_gb` bounds the run's
    folder.
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
    shares: Literal["by_gain", "equal"] | None = None
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

    def flows(self, stage: StageName) -> bool:
        """Whether the configurations of this stage's entries are one budget; backbones are no members."""
        return self.goal == "ensemble" and self.shares != "equal" and stage != "backbone"

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
