"""The record of a fitted ensemble."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ensembles.evaluation.intervals import Comparison, Interval
from ensembles.evaluation.metrics import Scores
from ensembles.fusion.option import Option
from ensembles.fusion.pooling import LogPool, Missing, combine
from ensembles.predictions.names import called
from ensembles.records.over_time import OverTime, gain_text
from ensembles.records.weights import Weights
from features.errors import EmofuseError
from models.metrics import Metric

# uniform_average: of the members that the fit gave weight (in a nested fold: that fold's fit); candidates_average: of
# all that its selection let take part.
Who = Literal["ensemble", "best_single", "uniform_average", "candidates_average"]
# fit: the rows that chose the weights; nested: the same rows, each scored by weights that its group had no part in;
# test and test_refit: untouched rows, by the members as searched and as refitted.
# train: the rows that the members were fitted on, which is what papers call training accuracy.
How = Literal["train", "fit", "nested", "test", "test_refit"]


@dataclass(frozen=True)
class Measured:
    """Scores with the rows that they were measured on; `rows` says in words which.

    `interval` is the accuracy's, `intervals` are those of all metrics that an ensemble may be fitted for.
    """

    rows: str
    n_clips: int
    n_groups: int
    metrics: Mapping[str, float]
    interval: Interval | None
    confusion: tuple[tuple[int, ...], ...]
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        scores: Scores,
        rows: str,
        n_groups: int,
        interval: Interval | None,
        intervals: Mapping[str, Interval] | None = None,
    ) -> "Measured":
        """The record of `scores`."""
        return cls(rows, scores.n, n_groups, scores.metrics, interval, scores.confusion, intervals or {})

    @property
    def accuracy(self) -> float:
        """Share of clips predicted right."""
        return self.metrics["accuracy"]


@dataclass(frozen=True)
class EnsembleMember:
    """A member: its trials' keys by partition, and that of its refit on train and val (None: not refitted yet)."""

    entry: str
    config_key: str
    trials: Mapping[str, str]
    refit: str | None = None

    @property
    def name(self) -> str:
        """Short and unique in a run."""
        return called(self.entry, self.config_key)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A fitted ensemble.

    `weights` (M, C) has a row per member and a column per class; columns sum to 1. `temperatures` (one per member)
    flatten the members' scores before, where the fit scaled them; `log_pool` is there where log-probabilities are
    summed with its own coefficients, of which `weights` are then the shares. `scores[who][how]` holds every score with
    its rows, for the ensemble, for the best single member (`best_single`, chosen on the fit rows) and for the plain
    averages of its members and of its `candidates` (names); `against_single` compares the first two outside their
    fits. `selection`, `folds` and `repeats` say how candidates were chosen and how the nested estimate was made,
    `fit_split` to which split's held-out clips both were restricted; `note` says why there is no nested estimate, or of
    how many clips. `choice` is what the method `auto` chose among, from very safe to flexible, `metric`
    what was maximised. An ensemble of continuous emotion has `over_time` and no classes; its weights have a column per
    dimension, its scores count recordings in place of clips, and their metrics are `ccc`, `ccc_<dimension>` and `mse`.
    """

    name: str
    method: str
    params: Mapping[str, Any]
    seed: int
    missing: Missing
    classes: tuple[str, ...]
    members: tuple[EnsembleMember, ...]
    weights: Weights
    partitions: tuple[str, ...]
    selection: Mapping[str, Any]
    folds: int
    repeats: int
    best_single: str
    scores: Mapping[Who, Mapping[How, Measured]]
    n_candidates: int
    against_single: Comparison | None = None
    clips_fingerprint: str = ""
    note: str = ""
    temperatures: tuple[float, ...] | None = None
    log_pool: LogPool | None = None
    fit_split: str | None = None
    candidates: tuple[str, ...] = ()
    choice: tuple[Option, ...] = ()
    metric: Metric | Literal["ccc"] = "accuracy"
    over_time: OverTime | None = None

    @property
    def is_plain_average(self) -> bool:
        """Whether it is nothing but the plain average of all candidates."""
        plain = self.temperatures is None and self.log_pool is None and self.over_time is None
        everybody = not self.candidates or len(self.candidates) == len(self.members)
        return plain and everybody and bool(np.allclose(self.weights, 1 / len(self.members)))

    def predict_proba(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Fused probabilities (N, C) of the members' `P` (M, N, C), in the order of `members` and `classes`."""
        temperatures = None if self.temperatures is None else np.array(self.temperatures)
        return combine(P, self.weights, valid, self.missing, temperatures, self.log_pool)

    def predict_over_time(self, P: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Fused predictions (T, D) of the members' `P` (M, T, D), `valid` alike, where the emotion is continuous."""
        if self.over_time is None:
            raise EmofuseError(f"Ensemble {self.name!r} tells classes apart; it predicts nothing over time.")
        return self.over_time.fuse(P, valid, self.weights)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What its weights have a column for: classes, or dimensions."""
        return self.over_time.dimensions if self.over_time else self.classes

    @property
    def refitted(self) -> bool:
        """Whether all members are refitted."""
        return len(self.refits) == len(self.members)

    @property
    def refits(self) -> tuple[tuple[str, str], ...]:
        """(entry, trial key) of the members' refits, of those that have one."""
        return tuple((member.entry, member.refit) for member in self.members if member.refit is not None)

    def with_scores(self, who: Who, how: How, measured: Measured) -> "Ensemble":
        """The same ensemble with one more score."""
        known: Mapping[How, Measured] = self.scores.get(who, {})
        return replace(self, scores={**self.scores, who: {**known, how: measured}})

    @property
    def chosen_method(self) -> str:
        """The method, and what it chose where it is `auto`."""
        return next((f"{self.method}: {option.name}" for option in self.choice if option.chosen), self.method)

    @property
    def no_better(self) -> bool:
        """Whether the nested estimate is known and no better than the best single member's."""
        own, single = self.scores["ensemble"].get("nested"), self.scores["best_single"].get("nested")
        if own is None or single is None:
            return False
        sign = -1 if self.metric == "log_loss" else 1
        return sign * own.metrics[self.metric] <= sign * single.metrics[self.metric]

    @property
    def verdict(self) -> str:
        """One sentence: does the ensemble beat the best single member, on rows that chose neither?"""
        own, single = self.scores["ensemble"].get("nested"), self.scores["best_single"].get("nested")
        if own is not None and single is not None and self.over_time is not None and self.over_time.gains:
            return self._verdict_over_time(own, single, self.over_time)
        if own is None or single is None or self.against_single is None:
            return self.note
        interval, sign = self.against_single.interval, -1 if self.metric == "log_loss" else 1
        clear = interval is not None and (interval.low > 0 if sign > 0 else interval.high < 0)
        scale, digits = (1, 3) if self.metric == "log_loss" else (100, 1)
        bounds = f" [{scale * interval.low:+.{digits}f}, {scale * interval.high:+.{digits}f}]" if interval else ""
        return (
            f"{self._standing(clear)}: {reached(own, self.metric)} against {reached(single, self.metric)}, difference "
            f"{scale * self.against_single.difference:+.{digits}f}{bounds}, on clips that had no part in choosing."
            f"{' ' if self.note else ''}{self.note}"
        )

    def _standing(self, clear: bool) -> str:
        if self.no_better:
            return f"The ensemble does not beat the best single member, {self.best_single}"
        if clear:
            return f"The ensemble beats the best single member, {self.best_single}"
        return f"The ensemble is ahead of the best single member, {self.best_single}, but it may be chance"

    def _verdict_over_time(self, own: Measured, single: Measured, over_time: OverTime) -> str:
        mean = over_time.gains["ccc"]
        standing = self._standing(mean.interval is not None and mean.interval.low > 0)
        each = ", ".join(f"{name} {gain_text(over_time.gains[name])}" for name in over_time.dimensions)
        return (
            f"{standing}: mean CCC {ccc(own)} against {ccc(single)}, difference {gain_text(mean)} ({each}), on "
            "recordings that had no part in choosing."
        )


def ccc(measured: Measured, dimension: str = "") -> str:
    """The mean CCC, or that of a dimension, with its interval: `0.651 [0.532, 0.770]`."""
    name = f"ccc_{dimension}" if dimension else "ccc"
    interval = measured.intervals.get(name)
    bounds = f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else ""
    return f"{measured.metrics[name]:.3f}{bounds}"


def percent(measured: Measured) -> str:
    """An accuracy with its interval, in percent."""
    return with_interval(measured.accuracy, measured.interval)


def reached(measured: Measured, metric: Metric | Literal["ccc"]) -> str:
    """A metric with its interval; all but the log-loss and the CCC in percent, and all but the accuracy by name."""
    if metric == "ccc":
        return f"CCC {ccc(measured)}"
    if metric == "accuracy":
        return f"{percent(measured)} %"
    scale, digits, unit = (1, 3, "") if metric == "log_loss" else (100, 1, " %")
    interval = measured.intervals.get(metric)
    bounds = f" [{scale * interval.low:.{digits}f}, {scale * interval.high:.{digits}f}]" if interval else ""
    return f"{metric} {scale * measured.metrics[metric]:.{digits}f}{bounds}{unit}"


def with_interval(accuracy: float, interval: Interval | None) -> str:
    """`43.2 [38.1, 48.3]`: a share and its interval in percent."""
    bounds = f" [{100 * interval.low:.1f}, {100 * interval.high:.1f}]" if interval else ""
    return f"{100 * accuracy:.1f}{bounds}"
