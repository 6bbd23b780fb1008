"""All that rules what a search spends: what was spent, what may be, and the clock that says when it is over."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from search.budget.clock import Clock
from search.budget.forecast import Forecast
from search.budget.purse import Purse
from search.budget.spent import read_spent
from search.budget.worked import Worked
from search.run.ended import read_ended
from search.run.folder import RunFolder


@dataclass(frozen=True)
class Spending:
    """The purse of a run, its clock, and who says when the search will be done."""

    purse: Purse
    clock: Clock
    forecast: Forecast


@contextmanager
def spending(run: RunFolder) -> Iterator[Spending]:
    """While entered, the run's time is kept, its budgets hold, and it is said when the search will be done."""
    worked = Worked(run.path)
    entries = {entry.name: entry.budget for _, entry in run.recipe.all_entries()}
    purse = Purse(run.recipe.budget, entries, read_spent(run.path, read_ended(run.path)), lambda: worked.seconds)
    with Clock(run.path, entries, worked, purse) as clock, Forecast(run.path) as forecast:
        yield Spending(purse, clock, forecast)
