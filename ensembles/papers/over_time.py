"""What a run that learnt continuous emotion reached where a paper states a number: a CCC on a split."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ensembles.continuous.concordance import concordance, concordance_interval
from ensembles.continuous.later import LookOverTime, labelled
from ensembles.continuous.run import continuous_entries
from ensembles.papers.measured import Confusion, NotMeasured, Number, agrees, no_trial, over_seeds
from ensembles.papers.published import Column, Ours
from search.run.continuous_predictions import ContinuousPredictions, Track, read_continuous_predictions
from search.run.predictions import prediction_files

_PREFIX = "ccc_"


@dataclass(eq=False)
class CccMeasures:
    """The numbers of such a run; test recordings are looked at as `look` says."""

    run: Path
    look: LookOverTime
    _trials: list[ContinuousPredictions] = field(init=False)

    def __post_init__(self) -> None:
        entries, _ = continuous_entries(self.run)
        files = [path for path in prediction_files(self.run) if path.parent.name.removeprefix("family=") in entries]
        trials = [read_continuous_predictions(path) for path in files]
        self._trials = list(labelled({"": trials}, trials[0].footer.dimensions, self.look)[""]) if trials else []

    def number(self, ours: Ours, column: Column) -> Number:
        """A dimension's CCC over all recordings of a split, or the hyperparameter at which it is highest."""
        if ours.entry is None:
            raise NotMeasured("ensembles of continuous emotion are not compared with papers")
        if column.split == "test" and not self.look:
            raise NotMeasured("the test recordings were not looked at (--test)")
        found = [trial for trial in self._trials if agrees(trial.footer, ours)]
        if not found:
            raise no_trial(ours)
        by_config: dict[str, list[ContinuousPredictions]] = {}
        for trial in found:
            by_config.setdefault(trial.footer.config_key, []).append(trial)
        if column.best is not None:
            best = max(by_config.values(), key=lambda own: _mean_ccc(own, column).value)
            one, value = _mean_ccc(best, column), float(best[0].footer.hyperparameters[column.best])
            return Number(column.scale * value, None, one.n_clips, one.n_groups)
        return _mean_ccc(max(by_config.values(), key=_worth), column)

    def confusion(self, ours: Ours, on: str) -> Confusion:
        """There are no classes."""
        raise NotMeasured("continuous emotion has no classes")


def _worth(seeds: Sequence[ContinuousPredictions]) -> float:
    return sum(trial.footer.metrics.get("ccc", -1.0) for trial in seeds) / len(seeds)


def _mean_ccc(seeds: Sequence[ContinuousPredictions], column: Column) -> Number:
    """The CCC of one configuration, of several seeds their mean."""
    return over_seeds([_ccc(trial, column) for trial in seeds])


def _ccc(trial: ContinuousPredictions, column: Column) -> Number:
    name = column.metric.removeprefix(_PREFIX)
    if name not in trial.footer.dimensions:
        raise NotMeasured(f"{trial.footer.entry} did not learn {name}")
    d = trial.footer.dimensions.index(name)
    tracks = [track for track in trial.tracks if track.split == column.split and _known(track, d).any()]
    if not tracks:
        raise NotMeasured(f"no recording of {column.split} has labels of {name}")
    y = np.concatenate([track.y[_known(track, d), d] for track in tracks])
    p = np.concatenate([track.p[_known(track, d), d] for track in tracks])
    groups = np.concatenate([np.repeat(track.group_id, _known(track, d).sum()) for track in tracks])
    interval = concordance_interval(y, p, groups)
    return Number(float(concordance(y, p)), interval, len(tracks), len({track.group_id for track in tracks}))


def _known(track: Track, d: int) -> np.ndarray:
    return ~np.isnan(track.y[:, d])
