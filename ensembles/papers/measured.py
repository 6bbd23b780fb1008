"""What a run reached where a paper states a number: of a member or an ensemble, on a split, with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from ensembles.evaluation.intervals import Interval, accuracy_interval
from ensembles.evaluation.jackknife import intervals_of
from ensembles.evaluation.metrics import Scores, score
from ensembles.papers.published import Column, Ours
from ensembles.predictions.scan import Pooled, Trial, pool, scan
from ensembles.predictions.sealed_scores import Look, Member, TestLabels, TestScores, refuse_over_time
from ensembles.records.ensemble import Ensemble
from ensembles.records.stored import ensemble_names, open_ensemble
from search.run.predictions import Footer


class NotMeasured(Exception):
    """There is no such number; the message says why, in words that can end a sentence."""


@dataclass(frozen=True)
class Number:
    """A number of ours: a share, a CCC or a hyperparameter, with its 95 % interval over groups where it has one.

    Trained with several seeds it is their mean, with the standard deviation `sd`.
    """

    value: float
    interval: Interval | None
    n_clips: int
    n_groups: int
    seeds: int = 1
    sd: float | None = None


@dataclass(frozen=True, eq=False)
class Confusion:
    """Shares (C, C) of each true class's clips by predicted class, NaN where a class has no clip; their intervals."""

    classes: tuple[str, ...]
    shares: np.ndarray
    intervals: Mapping[tuple[int, int], Interval]
    counts: tuple[tuple[int, ...], ...] = ()


class Measures(Protocol):
    """Gives a run's numbers; NotMeasured where there is none."""

    def number(self, ours: Ours, column: Column) -> Number:
        """The number of a column."""
        ...

    def confusion(self, ours: Ours, on: str) -> Confusion:
        """The confusion matrix on a split."""
        ...


def agrees(footer: Footer, ours: Ours) -> bool:
    """Whether a trial is of the entry, on the partition, with the hyperparameters that are asked for."""
    own = footer.hyperparameters
    right = all(name in own and own[name] == value for name, value in ours.where.items())
    return footer.entry == ours.entry and footer.partition == ours.partition and right


def no_trial(ours: Ours) -> NotMeasured:
    """Why an entry has no number."""
    known = ", ".join(f"{name} {value}" for name, value in ours.where.items())
    return NotMeasured(f"no trial of {ours.entry} finished on {ours.partition}{f' with {known}' if known else ''}")


def over_seeds(own: Sequence[Number]) -> Number:
    """The mean of one number over seeds and its spread; of one seed the number itself.

    Its interval is the mean of theirs, since each is of the same clips.
    """
    if len(own) == 1:
        return own[0]
    bounds = [number.interval for number in own if number.interval is not None]
    interval = None
    if len(bounds) == len(own):
        interval = Interval(float(np.mean([b.low for b in bounds])), float(np.mean([b.high for b in bounds])))
    values = [number.value for number in own]
    first, sd = own[0], float(np.std(values, ddof=1))
    return Number(float(np.mean(values)), interval, first.n_clips, first.n_groups, len(own), sd)


@dataclass(eq=False)
class ClassMeasures:
    """The numbers of a run that tells classes apart; test clips are looked at as `look` says."""

    run: Path
    look: Look
    _trials: list[Trial] = field(init=False)

    def __post_init__(self) -> None:
        refuse_over_time(self.look)
        self._trials = [trial for trial in scan(self.run) if trial.footer.partition != "stills"]

    def number(self, ours: Ours, column: Column) -> Number:
        """A metric on a split; of a configuration that has several seeds their mean."""
        trials, ensemble = self._of(ours)
        if ensemble is not None:
            return self._number(trials, ensemble, column)
        own = [self._number([trial], None, column) for trial in self._seeds(trials[0])]
        return over_seeds(own)

    def _seeds(self, first: Trial) -> list[Trial]:
        """The trainings of a trial's configuration on its partition, the first seed first."""
        name = (first.footer.config_key, first.footer.partition)
        own = [trial for trial in self._trials if (trial.footer.config_key, trial.footer.partition) == name]
        return sorted((t for t in own if t.footer.entry == first.footer.entry), key=lambda t: t.footer.repeat)

    def _number(self, trials: list[Trial], ensemble: Ensemble | None, column: Column) -> Number:
        if column.split == "test":
            test, P = self._test(trials, ensemble)
            scores, intervals, groups = test.score(P), test.metric_intervals(P), test.n_groups
        else:
            y, P, own_groups = self._open(trials, ensemble, column.split)
            scores, intervals, groups = score(y, P), intervals_of(y, P, own_groups), len(set(own_groups))
        return Number(scores.metrics[column.metric], intervals.get(column.metric), scores.n, groups)

    def confusion(self, ours: Ours, on: str) -> Confusion:
        """Row shares; intervals of the cells where labels are open, which those of test clips are not."""
        if on == "test":
            test, P = self._test(*self._of(ours))
            return _confusion(test.classes, test.score(P), {})
        y, P, groups = self._open(*self._of(ours), on)
        predicted, classes = P.argmax(axis=1), self._classes
        intervals = {}
        for c in range(len(classes)):
            rows = np.flatnonzero(y == c)
            for other in range(len(classes)) if len(rows) else ():
                right = (predicted[rows] == other).astype(float)
                if (bounds := accuracy_interval(right, [groups[n] for n in rows])) is not None:
                    intervals[c, other] = bounds
        return _confusion(classes, score(y, P), intervals)

    @property
    def _classes(self) -> tuple[str, ...]:
        return tuple(sorted(self._trials[0].footer.classes))

    def _of(self, ours: Ours) -> tuple[list[Trial], Ensemble | None]:
        """The trials whose scores count, and the ensemble that fuses them."""
        if ours.entry is not None:
            found = [trial for trial in self._trials if agrees(trial.footer, ours)]
            if not found:
                raise no_trial(ours)
            return [self._best(found)], None
        name = str(ours.submission)
        if name not in ensemble_names(self.run):
            raise NotMeasured(f"the run has no ensemble {name}; `emofuse ensemble submissions` builds it")
        ensemble = open_ensemble(self.run, name)
        known = {(trial.footer.entry, trial.footer.trial_key): trial for trial in self._trials}
        keys = ensemble.refits
        if len(keys) < len(ensemble.members):
            keys = tuple((member.entry, next(iter(member.trials.values()))) for member in ensemble.members)
        if absent := [entry for entry, key in keys if (entry, key) not in known]:
            raise NotMeasured(f"the predictions of {absent[0]}, a member of {name}, are gone")
        return [known[key] for key in keys], ensemble

    def _best(self, found: Sequence[Trial]) -> Trial:
        """The first seed of the best configuration on its held-out clips, by the mean of all its seeds."""
        by_config: dict[str, list[Trial]] = {}
        for trial in sorted(found, key=lambda trial: trial.footer.repeat):
            by_config.setdefault(trial.footer.config_key, []).append(trial)

        def worth(own: Sequence[Trial]) -> tuple[float, float]:
            accuracy = sum(trial.held_out_accuracy or 0.0 for trial in own) / len(own)
            return accuracy, -sum(trial.footer.metrics.get("log_loss", 0.0) for trial in own) / len(own)

        return max(by_config.values(), key=worth)[0]

    def _open(
        self, trials: list[Trial], ensemble: Ensemble | None, split: str
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Labels (N,), probabilities (N, C) and groups of a split that isn't test."""
        pooled = pool([[trial] for trial in trials], "held_out", split)
        if not pooled.ids:
            pooled = pool([[trial] for trial in trials], "fit", split)
        rows = [n for n, label in enumerate(pooled.labels) if label is not None and pooled.valid[:, n].any()]
        if not rows:
            raise NotMeasured(f"no clip of {split} has a label and was scored")
        y = np.array([self._classes.index(str(pooled.labels[n])) for n in rows])
        return y, _fused(pooled, ensemble)[rows], [pooled.groups[n] for n in rows]

    def _test(self, trials: list[Trial], ensemble: Ensemble | None) -> tuple[TestScores, np.ndarray]:
        if not self.look:
            raise NotMeasured("the test clips were not looked at (--test)")
        members = tuple(Member(t.footer.entry, t.footer.config_key, {t.footer.partition: t.footer}) for t in trials)
        pooled = pool([[trial] for trial in trials], "test")
        test = TestScores(members, self._classes, pooled)
        if isinstance(self.look, TestLabels):
            test = test.labelled_by(self.look)
        if not test.labelled:
            raise NotMeasured("no test clip has a label (--labels, once the organisers give them)")
        return test, _fused(pooled, ensemble)


def _fused(pooled: Pooled, ensemble: Ensemble | None) -> np.ndarray:
    return pooled.P[0] if ensemble is None else ensemble.predict_proba(pooled.P, pooled.valid)


def _confusion(classes: Sequence[str], scores: Scores, intervals: Mapping[tuple[int, int], Interval]) -> Confusion:
    counts = np.array(scores.confusion, float)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    return Confusion(tuple(classes), shares, intervals, scores.confusion)
