"""What was spent, and what is left, as text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from search.budget.spent import EntrySpent, Spent, read_spent
from search.recipe.limits import Budget
from search.run.ended import Ended
from search.run.planned import read_budgets

_HEAD = ("spent", "trials", "hours", "GPU hours", "failed", "hours of failed")


@dataclass(frozen=True)
class Books:
    """What was spent on a run, and the budgets of the run as a `whole` and of its entries."""

    spent: Spent = field(default_factory=lambda: Spent(0.0, {}))
    whole: Budget = field(default_factory=Budget)
    entries: Mapping[str, Budget] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """JSON-ready data."""
        budgets = {name: own.model_dump() for name, own in self.entries.items() if own != Budget()}
        return {"spent": asdict(self.spent), "budget": self.whole.model_dump(), "budgets": budgets}

    def left(self) -> str:
        """What is left of each budget, one sentence each; empty where there is none."""
        spent = self.spent
        told = list(_left("Budget", self.whole, spent.hours, spent.gpu_hours, spent.trials))
        for name, own in self.entries.items():
            one = spent.of(name)
            told += _left(f"Budget of {name}", own, one.hours, one.gpu_hours, one.trials)
        return "\n".join(told)


def read_books(run: Path, ended: Iterable[Ended]) -> Books:
    """The books of the run at `run`, whose trials `ended`."""
    return Books(read_spent(run, ended), *read_budgets(run))


def spent_table(spent: Spent, stages: Mapping[str, str]) -> str:
    """A line for each entry that has cost anything, with its stage (by entry's name), and one for all.

    The hours of an entry are those of its trials added up, those of all are for how long a search worked on the run.
    """
    rows: list[tuple[str, ...]] = [_HEAD]
    rows += [_row(f"{stages.get(name, 'earlier')} {name}", one) for name, one in _in_order(spent, stages)]
    wasted = sum(one.wasted_hours for one in spent.entries.values())
    failed = sum(one.failed for one in spent.entries.values())
    rows.append(("the run", str(spent.trials), _of(spent.hours), _of(spent.gpu_hours), str(failed), _of(wasted)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([f"{row[0]:<{widths[0]}}", *(f"{v:>{w}}" for v, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def _in_order(spent: Spent, stages: Mapping[str, str]) -> Sequence[tuple[str, EntrySpent]]:
    names = [*stages, *(name for name in spent.entries if name not in stages)]
    return [(name, spent.entries[name]) for name in names if name in spent.entries]


def _row(name: str, one: EntrySpent) -> tuple[str, ...]:
    return name, str(one.trials), _of(one.hours), _of(one.gpu_hours), str(one.failed), _of(one.wasted_hours)


def _left(name: str, budget: Budget, hours: float, gpu_hours: float, trials: int) -> Iterable[str]:
    kinds = (
        (budget.hours, hours, "hours"),
        (budget.gpu_hours, gpu_hours, "GPU hours"),
        (budget.trials, trials, "trials"),
    )
    told = [
        f"{used:{shape}} of {limit:.6g} {kind} spent, {max(0.0, limit - used):{shape}} left"
        for limit, used, kind in kinds
        for shape in (".0f" if kind == "trials" else ".2f",)
        if limit is not None
    ]
    if told:
        yield f"{name}: {'; '.join(told)}."


def _of(hours: float) -> str:
    return f"{hours:.2f}"
