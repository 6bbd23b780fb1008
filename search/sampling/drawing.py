"""One configuration, drawn by seed, entry, number, the earlier points and the results that had to be known by then."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from features.files import canonical_json
from models.space import Choice, Float, Parameter, Scalar, Space
from search.run.ending import Ending
from search.sampling.priors import Prior, centred

# Before TPE knows so many results it draws at random.
START = 10
# Of more results TPE is shown the best and the latest, and the latest of the configurations that run: its own weights
# make old results count less, and what it can't tell apart by the best would only cost time.
_BEST, _LATEST, _RUNNING = 50, 250, 100
# So often TPE may come back to points that were there; then one is drawn at random.
_TPE_DRAWS = 20
# So often a point may be drawn around the prior and be one that was there; then it is drawn anywhere.
_CENTRED_DRAWS = 100

_STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}

Point = Mapping[str, Scalar]


class Drawer:
    """Draws the configurations of one entry.

    `tpe` draws by results from `START` of them on; `prior` are the values around which the random ones lie.
    """

    def __init__(self, space: Space, *, seed: int, entry: str, tpe: bool, prior: Prior | None = None):
        self._space, self._seed, self._entry = space, seed, entry
        self._tpe, self._prior = tpe, prior or {}
        self._found = distributions(space)
        self._frozen: dict[int, tuple[Ending | None, FrozenTrial]] = {}

    def draw(self, points: Sequence[Point], endings: Mapping[int, Ending], lag: int) -> Point:
        """A point for configuration number `len(points)`, given the earlier ones and how they ended, by number.

        It is none of the earlier points; the space must hold more than those. How the last `lag` ended is not looked
        at.
        """
        number = len(points)
        drawn = int.from_bytes(
            hashlib.sha256(canonical_json([self._seed, self._entry, number]).encode()).digest()[:4], "big"
        )
        known = [n for n in range(number - lag) if n in endings and endings[n].value is not None]
        if self._tpe and len(known) >= START:
            point = self._by_results(points, endings, known, lag, drawn)
            if point is not None:
                return point
        return self._at_random(drawn, points)

    def _by_results(
        self,
        points: Sequence[Point],
        endings: Mapping[int, Ending],
        known: Sequence[int],
        lag: int,
        drawn: int,
    ) -> Point | None:
        number = len(points)
        running = range(max(0, number - min(lag, _RUNNING)), number)
        storage = _Shown()
        storage.trials = [
            *(self._trial(n, points[n], endings[n]) for n in sorted(_shown(known, endings))),
            *(self._trial(n, points[n], None) for n in running),
        ]
        # In a flat space `group` would change nothing.
        sampler = TPESampler(multivariate=True, constant_liar=True, n_startup_trials=START, seed=drawn)
        be_quiet()
        study = optuna.create_study(storage=storage, sampler=sampler, direction="maximize")
        asking = create_trial(state=TrialState.RUNNING)
        asking.number = number
        for _ in range(_TPE_DRAWS):
            point = sampler.sample_relative(study, asking, self._found)
            if point not in points:
                return point
        return None

    def _trial(self, number: int, point: Point, ending: Ending | None) -> FrozenTrial:
        stored = self._frozen.get(number)
        if stored is None or stored[0] != ending:
            trial = frozen(point, self._found, ending)
            trial.number = number
            stored = self._frozen[number] = ending, trial
        return stored[1]

    def _at_random(self, drawn: int, points: Sequence[Point]) -> Point:
        be_quiet()
        study = optuna.create_study(sampler=RandomSampler(drawn), direction="maximize")
        around = centred(self._space, self._prior, drawn)
        tries = 0
        while True:
            point = study.ask(self._found).params
            if tries < _CENTRED_DRAWS:
                point |= next(around)
            if point not in points:
                return point
            tries += 1


class _Shown(InMemoryStorage):
    """Holds the trials that TPE is shown, without copies of them."""

    trials: Sequence[FrozenTrial] = ()

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any | None = None) -> list[FrozenTrial]:
        return [trial for trial in self.trials if states is None or trial.state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """The sampler's notes on the trial that is asked for, which nobody reads."""


def _shown(known: Sequence[int], endings: Mapping[int, Ending]) -> Sequence[int]:
    if len(known) <= _BEST + _LATEST:
        return known
    ranked = sorted(known[:-_LATEST], key=lambda n: (endings[n].status != "finished", -(endings[n].value or 0.0), n))
    return [*ranked[:_BEST], *known[-_LATEST:]]


@cache
def be_quiet() -> None:
    """Let Optuna say nothing; each call of its own empties the caches of all loggers of the process."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def frozen(
    point: Point,
    found: Mapping[str, BaseDistribution],
    ending: Ending | None,
    attributes: Mapping[str, Any] | None = None,
) -> FrozenTrial:
    """The point as a trial of Optuna, with how it ended (None: it runs)."""
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


def state_of(ending: Ending) -> TrialState:
    """Optuna's word for it."""
    return _STATES[ending.status]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's words."""
    return {name: _distribution(parameter) for name, parameter in space.items()}


def _distribution(parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.values)
    if isinstance(parameter, Float):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return IntDistribution(parameter.low, parameter.high, log=parameter.log)
