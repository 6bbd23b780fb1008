"""Which hyperparameters come next: one Optuna study for each entry of a recipe, in one journal file.

A suggestion is a pure function of the recipe's seed, the entry, the configuration's number and the results that had to
be known by then (search.sampling.lag). So the same recipe, seed and lag give the same trial keys whatever finishes
first, and a lost journal costs nothing but its history. Under TPE this holds as long as nothing is stopped early: which
trials are depends on timing, and a stopped trial's result is another one than a finished trial's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage

from features.files import content_key
from models.space import Space, space_as_data
from search.run.ending import Ending
from search.run.folder import EARLIER_LAG, TPE_FROM
from search.sampling.drawing import START, Drawer, Point, be_quiet, distributions, frozen, state_of
from search.sampling.priors import Prior

# The attribute of a trial in the journal that is another try at the configuration of this number.
_RETRY_OF = "retry_of"

Worths = Callable[[], Mapping[int, float] | None]


class EntryStudy:
    """The configurations of one entry of a recipe, numbered from 0.

    `budget` is how many there shall be, at most as many as the space has points; of `first` those come next that were
    never asked for. Where `sampler` is auto, TPE draws for an entry with `tpe_from` configurations or more. `lag` may
    be changed at any time: what was drawn stays. `known` is how many were asked for, where that is known beside the
    journal. What an earlier run asked for is read from the journal, so a search that is continued or extended goes on
    where it stood. `identity` is whatever else makes results incomparable, such as the family's version.
    """

    def __init__(
        self,
        journal: JournalStorage,
        entry: str,
        space: Space,
        *,
        budget: int,
        seed: int,
        first: Sequence[Point] = (),
        sampler: Literal["auto", "random", "tpe"] = "auto",
        tpe_from: int = TPE_FROM,
        lag: int = EARLIER_LAG,
        prior: Prior | None = None,
        identity: Any = None,
    ):
        self.entry, self.lag, self._space, self._budget = entry, lag, space, budget
        self.known = 0
        self._tpe = sampler == "tpe" or (sampler == "auto" and budget >= tpe_from)
        self._drawer = Drawer(space, seed=seed, entry=entry, tpe=self._tpe, prior=prior)
        self._first = first
        # Another space, seed or identity starts a new study; the old one stays in the journal.
        key = content_key([entry, space_as_data(space), seed, identity])
        be_quiet()
        self._study = optuna.create_study(
            storage=journal, study_name=f"{entry} {key[:8]}", direction="maximize", load_if_exists=True
        )
        stored = self._study.get_trials(deepcopy=False)
        self._points: list[Point] = []
        self._latest: list[int] = []  # the number of each configuration's last trial in the journal
        for trial in stored:
            if _RETRY_OF in trial.user_attrs:
                self._latest[trial.user_attrs[_RETRY_OF]] = trial.number
            else:
                self._points.append(trial.params)
                self._latest.append(trial.number)
        self._trials = len(stored)
        self._told = {n for n, number in enumerate(self._latest) if stored[number].state.is_finished()}
        self._asked = 0
        self._endings: dict[int, Ending] = {}
        self._settled = 0  # all configurations before this number have ended

    @property
    def exhausted(self) -> bool:
        """All configurations of the budget were asked for."""
        return self._asked >= self._budget

    @property
    def replaying(self) -> bool:
        """What comes next was drawn by an earlier run."""
        return not self.exhausted and self._asked < len(self._points)

    @property
    def begun(self) -> bool:
        """What comes next was asked for by an earlier run, though the journal may have lost it."""
        return not self.exhausted and self._asked < max(self.known, len(self._points))

    def ask(self, worths: Worths | None = None) -> tuple[int, Point] | None:
        """The next configuration's number and point; None when the budget is spent, or while TPE waits for results.

        `worths` are asked when a point is drawn: what the finished configurations are worth, by number, where that is
        not their own value (None: it is).
        """
        number = self._asked
        if self.exhausted:
            return None
        if number == len(self._points):
            point = next((point for point in self._first if point not in self._points), None)
            if point is None:
                if self._tpe and number >= START + self.lag and self._settled < number - self.lag:
                    return None
                point = self._drawer.draw(self._points, self._valued(worths), self.lag)
            self._points.append(point)
            self._latest.append(self._trials)
            self._add(point)
        self._asked += 1
        return number, self._points[number]

    def _valued(self, worths: Worths | None) -> Mapping[int, Ending]:
        values = worths() if worths is not None and self._tpe else None
        if values is None:
            return self._endings
        return {n: replace(end, value=values[n]) if n in values else end for n, end in self._endings.items()}

    def _add(self, point: Point, attributes: Mapping[str, Any] | None = None) -> None:
        # As one record: each hyperparameter that `Study.ask` draws is a line of its own.
        self._study.add_trial(frozen(point, distributions(self._space), None, attributes))
        self._trials += 1

    @property
    def points(self) -> Sequence[Point]:
        """The configurations that were asked for so far, by number."""
        return self._points

    def retry(self, number: int) -> None:
        """Open a new trial in the journal for configuration `number`, whose last one failed.

        The failed one stays as it is, since what was told to a study is not rewritten. The configuration keeps its
        number and its keys: the same work under the same name, finished partitions included.
        """
        self._latest[number] = self._trials
        self._told.discard(number)
        self._add(self._points[number], {_RETRY_OF: number})

    def tell(self, number: int, ending: Ending) -> None:
        """Tell how a configuration ended; what the journal knows already is not told again."""
        self._endings[number] = ending
        while self._settled in self._endings:
            self._settled += 1
        if number not in self._told:
            self._told.add(number)
            value = ending.value if ending.status == "finished" else None
            self._study.tell(self._latest[number], value, state=state_of(ending))
