"""What a run was asked for, as run.json tells it: reading a recipe would load every family with its libraries.

Which configurations that are stands in a file of lines, by entry, study and number: another search space, or another
number of trials, leaves trials in the run's folder that nobody asks for any more. The file may be deleted: the next
search writes it anew, and until then all trials of an entry count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.disk.sealed import open_line, sealed_line
from features.schema import read_as
from models.metrics import Metric, SearchMetric, metric_named
from search.recipe.limits import Budget
from search.run.remote import remote_of

WHAT, MISSING = "the description of a run", "start one with `emofuse search run`"
REMEDY = "run the same `emofuse search run` again, and it is written anew"
_NAME = "asked.jsonl"

# Configuration keys by number, of each study of an entry.
Asked = Mapping[str, Mapping[str, Mapping[int, str]]]


@dataclass(frozen=True)
class Planned:
    """One entry of the recipe: each of its configurations is trained on every partition.

    `study` tells its search space from earlier ones (empty: a release wrote it that kept no account); `rungs` are the
    epochs after which ASHA may stop a trial. `metric` is what its search maximises (None: an earlier release wrote it,
    and it is the default of the task). Where it `flows`, the configurations of its stage go to the entries for which
    the ensemble gains most, and it may get more or less than its own. Every configuration is trained with `seeds`
    seeds, the best one with `best_seeds`; they are compared by the partition `choose_on` alone, if there is one.
    """

    stage: str
    entry: str
    family: str
    configurations: int
    partitions: Sequence[str]
    continuous: bool = False
    study: str = ""
    rungs: Sequence[int] = ()
    metric: SearchMetric | None = None
    flows: bool = False
    seeds: int = 1
    best_seeds: int = 1
    choose_on: str | None = None

    @property
    def searched(self) -> SearchMetric:
        """What its search maximises."""
        return self.metric or ("ccc" if self.continuous else "accuracy")

    @property
    def trials(self) -> int:
        """How many trials there shall be."""
        return self.trials_of(self.configurations)

    def trials_of(self, configurations: int) -> int:
        """How many trials so many configurations are."""
        more = max(0, self.best_seeds - self.seeds) if configurations else 0
        return (configurations * self.seeds + more) * len(self.partitions)


@dataclass(frozen=True)
class _Plan:
    plan: tuple[Planned, ...]
    asha_by_default: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)


def read_plan(run: Path) -> tuple[tuple[Planned, ...], bool]:
    """The entries of the run at `run`, in the recipe's order; whether ASHA stops trials though no recipe asked."""
    found = _read(run)
    return found.plan, found.asha_by_default


def read_metric(run: Path) -> Metric:
    """What a run's models of clips were searched for, where they tell classes apart.

    It is the one metric of all their entries; else that of the recipe; else, and for a run that was imported, the
    accuracy.
    """
    if not (run / "run.json").exists():
        return "accuracy"
    found = _read(run)
    own = {planned.searched for planned in found.plan if planned.stage != "backbone" and not planned.continuous}
    name = own.pop() if len(own) == 1 else found.recipe.get("metric") or "accuracy"
    return "accuracy" if name == "ccc" else metric_named(name)


def read_no_gain(run: Path) -> int | None:
    """How many configurations without a gain end the run (`stop_when`); None: it goes on to the end."""
    return (_read(run).recipe.get("stop_when") or {}).get("no_gain")


def read_budgets(run: Path) -> tuple[Budget, dict[str, Budget]]:
    """What may be spent on the run, and on each of its entries."""
    recipe = _read(run).recipe
    entries = {name: entry for stage in recipe.get("stages", ()) for name, entry in stage["entries"].items()}
    whole = Budget.model_validate(recipe.get("budget") or {})
    return whole, {name: Budget.model_validate(entry.get("budget") or {}) for name, entry in entries.items()}


def _read(run: Path) -> _Plan:
    return read_as(_Plan, run / "run.json", WHAT, REMEDY, MISSING)


def read_asked(run: Path) -> Asked:
    """What was asked for so far, by entry and study."""
    try:
        lines = (run / _NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, dict[str, dict[int, str]]] = {}
    for text in lines:
        line = open_line(text) or {}
        try:
            found.setdefault(line["entry"], {}).setdefault(line["study"], {})[int(line["number"])] = line["config"]
        except (KeyError, TypeError, ValueError):
            continue
    return found


def note_asked(run: Path, entry: str, study: str, configurations: Mapping[int, str]) -> None:
    """Add lines for configurations, by number; a number that is asked for anew takes the place of the old one."""
    lines = (
        sealed_line({"entry": entry, "study": study, "number": number, "config": key})
        for number, key in configurations.items()
    )
    # The line's end comes first, so that it also ends half a line of a writer that was killed.
    with (run / _NAME).open("ab", buffering=0) as file:
        file.write("".join(f"\n{line}" for line in lines).encode())
    if remote := remote_of(run):
        remote.soon(_NAME)


def asked_now(asked: Asked, planned: Planned) -> set[str] | None:
    """The keys of the configurations that the entry asks for at present; None where there is no account of it."""
    if planned.entry not in asked or not planned.study:
        return None
    present = asked[planned.entry].get(planned.study, {})
    return {key for number, key in present.items() if planned.flows or number < planned.configurations}
