"""Which hyperparameters come next: one Optuna study for each entry of a recipe, in one journal file.

A suggestion is a pure function of the recipe's seed, the entry, the configuration's number and the results that had to
be known by then. So the same recipe and seed give the same trial keys whatever finishes first, and a lost journal costs
nothing but its history. Under TPE this holds as long as ASHA stops nothing: which trials it stops depends on timing,
and a stopped trial's result is another one than a finished trial's.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from features.files import canonical_json, content_key
from models.space import Choice, Float, Parameter, Scalar, Space, space_as_data
from search.run.ending import Ending

# TPE asks for configuration n once all before n - LAG have ended: with it, LAG + 1 configurations run side by side.
LAG = 8
# Below this budget TPE hardly leaves its random start-up phase.
TPE_FROM = 50
# So often TPE may come back to points that were there; then one is drawn at random.
TPE_DRAWS = 20

# The attribute of a trial in the journal that is another try at the configuration of this number.
_RETRY_OF = "retry_of"

_STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}

Point = Mapping[str, Scalar]


def suggest(
    space: Space, points: Sequence[Point], endings: Mapping[int, Ending], *, seed: int, entry: str, tpe: bool
) -> Point:
    """A point for configuration number `len(points)` of `entry`, given the earlier ones and how they ended, by number.

    It is none of the earlier points; the space must hold more than those. How the last `LAG` ended is not looked at.
    """
    found = _distributions(space)
    number = len(points)
    drawn = int.from_bytes(hashlib.sha256(canonical_json([seed, entry, number]).encode()).digest()[:4], "big")
    if tpe:
        # In a flat space `group` would change nothing.
        study = _in_memory(TPESampler(multivariate=True, constant_liar=True, seed=drawn))
        for i, point in enumerate(points):
            study.add_trial(_frozen(point, found, endings.get(i) if i < number - LAG else None))
        for _ in range(TPE_DRAWS):
            point = study.ask(found).params
            if point not in points:
                return point
    study = _in_memory(RandomSampler(drawn))
    while (point := study.ask(found).params) in points:
        pass
    return point


def _in_memory(sampler: BaseSampler) -> optuna.Study:
    _be_quiet()
    return optuna.create_study(sampler=sampler, direction="maximize")


@cache
def _be_quiet() -> None:
    # Each call empties the caches of all loggers of the process, so there is one.
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _frozen(
    point: Point,
    found: Mapping[str, BaseDistribution],
    ending: Ending | None,
    attributes: Mapping[str, Any] | None = None,
) -> FrozenTrial:
    state, value, intermediate = TrialState.RUNNING, None, {}
    if ending is not None:
        state = _STATES[ending.status]
        value = ending.value if ending.status == "finished" else None
        if ending.status == "pruned" and ending.value is not None:
            intermediate = {ending.epochs: ending.value}
    return create_trial(
        state=state,
        value=value,
        params=dict(point),
        distributions=dict(found),
        intermediate_values=intermediate,
        user_attrs=dict(attributes or {}),
    )


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    return {name: _distribution(parameter) for name, parameter in space.items()}


def _distribution(parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.values)
    if isinstance(parameter, Float):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return IntDistribution(parameter.low, parameter.high, log=parameter.log)


class EntryStudy:
    """The configurations of one entry of a recipe, numbered from 0.

    `budget` is how many there shall be, at most as many as the space has points; `published` come first. What an
    earlier run asked for is read from the journal, so a search that is continued or extended goes on where it stood.
    `identity` is whatever else makes results incomparable, such as the family's version.
    """

    def __init__(
        self,
        journal: JournalStorage,
        entry: str,
        space: Space,
        *,
        budget: int,
        seed: int,
        published: Sequence[Point] = (),
        sampler: Literal["auto", "random", "tpe"] = "auto",
        identity: Any = None,
    ):
        self.entry, self._space, self._budget, self._seed = entry, space, budget, seed
        self._tpe = sampler == "tpe" or (sampler == "auto" and budget >= TPE_FROM)
        self._published = published
        # Another space, seed or identity starts a new study; the old one stays in the journal.
        key = content_key([entry, space_as_data(space), seed, identity])
        _be_quiet()
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

    @property
    def exhausted(self) -> bool:
        """All configurations of the budget were asked for."""
        return self._asked >= self._budget

    def ask(self) -> tuple[int, Point] | None:
        """The next configuration's number and point; None when the budget is spent, or while TPE waits for results."""
        number = self._asked
        if self.exhausted:
            return None
        if number == len(self._points):
            if self._tpe and any(n not in self._endings for n in range(number - LAG)):
                return None
            point = self._draw(number)
            self._points.append(point)
            self._latest.append(self._trials)
            self._add(point)
        self._asked += 1
        return number, self._points[number]

    def _draw(self, number: int) -> Point:
        if number < len(self._published):
            return self._published[number]
        return suggest(self._space, self._points, self._endings, seed=self._seed, entry=self.entry, tpe=self._tpe)

    def _add(self, point: Point, attributes: Mapping[str, Any] | None = None) -> None:
        # As one record: each hyperparameter that `Study.ask` draws is a line of its own.
        self._study.add_trial(_frozen(point, _distributions(self._space), None, attributes))
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
        if number not in self._told:
            self._told.add(number)
            value = ending.value if ending.status == "finished" else None
            self._study.tell(self._latest[number], value, state=_STATES[ending.status])
