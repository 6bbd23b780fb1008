"""All that rules what a search spends: what was spent, what may be, and the clock that says when it is over."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from search.budget.clock import Clock
from search.budget.purse import Purse
from search.budget.spent import read_spent
from search.budget.worked import Worked
from search.run.ended import read_ended
from search.run.folder import RunFolder


@dataclass(frozen=True)
class Spending:
    """The purse of a run and its clock."""

    purse: Purse
    clock: Clock


@contextmanager
def spending(run: RunFolder) -> Iterator[Spending]:
    """While entered, the run's time is kept and its budgets hold."""
    worked = Worked(run.path)
    entries = {entry.name: entry.budget for _, entry in run.recipe.all_entries()}
    purse = Purse(run.recipe.budget, entries, read_spent(run.path, read_ended(run.path)), lambda: worked.seconds)
    with Clock(run.path, entries, worked, purse) as clock:
        yield Spending(purse, clock)
