"""What a continuous fusion is worth: fitted and nested CCC beside the best single member and the plain average."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ensembles.continuous.concordance import concordance, concordance_interval
from ensembles.continuous.fusion import (
    ContinuousAverage,
    ContinuousBest,
    ContinuousFusion,
    ContinuousMethod,
    check_predictions,
    fuse,
)
from ensembles.continuous.recordings import Recordings
from ensembles.continuous.wrapped import ContinuousBagged, ContinuousShrunk
from ensembles.evaluation.folds import group_folds
from ensembles.evaluation.intervals import Interval
from features.errors import EmofuseError


@dataclass(frozen=True)
class Concordance:
    """CCC on the rows that the weights were fitted on, and on recordings that had no part in them, with interval.

    `nested` and `interval` are None where all recordings belong to one group.
    """

    fit: float
    nested: float | None
    interval: Interval | None


@dataclass(frozen=True)
class DimensionResult:
    """One dimension: scores of the three ways to predict it, and the fusion's weights by member.

    Its prediction is `scale` times the weighted mean plus `offset`, and `label_mean` where no member has a sample.
    `against_single` is the nested CCC of the fusion minus that of the best single member (chosen anew in each fold),
    `against_single_interval` its paired bootstrap interval over groups.
    """

    dimension: str
    best_single: str
    scores: Mapping[str, Concordance]
    weights: Mapping[str, float]
    scale: float
    offset: float
    label_mean: float
    against_single: float | None
    against_single_interval: Interval | None

    @property
    def verdict(self) -> str:
        """One sentence: does the fusion beat the best single member on recordings that chose neither?"""
        if self.against_single is None:
            return f"{self.dimension}: all recordings belong to one group, so nothing can be said beyond the fit."
        bounds = self.against_single_interval
        if self.against_single <= 0:
            start = f"the fusion does not beat the best single member, {self.best_single}"
        elif bounds is not None and bounds.low > 0:
            start = f"the fusion beats the best single member, {self.best_single}"
        else:
            start = f"the fusion is ahead of the best single member, {self.best_single}, but it may be chance"
        interval = f" [{bounds.low:+.3f}, {bounds.high:+.3f}]" if bounds else ""
        return f"{self.dimension}: {start}: {self.against_single:+.3f}{interval}, nested."


@dataclass(frozen=True)
class ContinuousResult:
    """A fusion of all dimensions, with what its scores were measured on; `folds` is 0 where none could be held apart.

    `params` are the fusion's: recalibrate, bagged (0: not at all), shrunk. `rows` says in words which samples the
    scores named `fit` and `nested` belong to.
    """

    members: tuple[str, ...]
    params: Mapping[str, bool | int]
    seed: int
    n_recordings: int
    n_groups: int
    n_samples: int
    folds: int
    rows: Mapping[str, str]
    dimensions: tuple[DimensionResult, ...]

    def predict(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Fused predictions (T, D) of `P` (M, T, D) with `members` and `dimensions` in their order."""
        P, valid = check_predictions(P, valid)
        weights = np.array([[one.weights[name] for one in self.dimensions] for name in self.members])
        if (P.shape[0], P.shape[2]) != weights.shape:
            raise EmofuseError(
                f"Expected predictions of {weights.shape[0]} members in {weights.shape[1]} dimensions, but got "
                f"{P.shape[0]} in {P.shape[2]}."
            )
        numbers = np.array([[one.scale, one.offset, one.label_mean] for one in self.dimensions])
        return fuse(P, valid, weights, *numbers.T)


def evaluate(
    recordings: Recordings,
    folds: int = 5,
    seed: int = 0,
    recalibrate: bool = False,
    bagged: int = 0,
    shrunk: bool = False,
) -> ContinuousResult:
    """Fit on all recordings, and estimate by folds that keep every group on one side.

    With fewer groups than folds there are as many folds as groups. CCC is that of all out-of-fold predictions
    concatenated. `bagged` (so many bootstrap samples) and `shrunk` are the fusion's; `recalibrate` holds for the rivals
    too, so that the comparison is of weights alone. The seed shuffles the folds and draws both bootstraps.
    """
    if folds < 2:
        raise EmofuseError(f"A nested estimate needs 2 folds or more, but got {folds}.")
    methods: dict[str, Callable[[], ContinuousMethod]] = {
        "best_single": lambda: ContinuousBest(recalibrate),
        "average": lambda: ContinuousAverage(recalibrate),
        "fusion": lambda: make_continuous(recalibrate, bagged, shrunk, seed),
    }
    P, Y, valid, groups = recordings.P, recordings.Y, recordings.valid, recordings.group
    fitted = {who: make().fit(P, Y, valid, groups.tolist()) for who, make in methods.items()}
    n_groups = len(set(groups))
    outside = {who: out_of_fold(make, recordings, folds, seed) for who, make in methods.items()} if n_groups > 1 else {}
    n_recordings = len(set(recordings.recording))
    rows = {"fit": f"{len(Y)} samples of {n_recordings} recordings, which chose the weights"}
    if outside:
        rows["nested"] = "the same samples, each by weights fitted without its group"
    return ContinuousResult(
        recordings.members,
        {"recalibrate": recalibrate, "bagged": bagged, "shrunk": shrunk},
        seed,
        n_recordings,
        n_groups,
        len(Y),
        min(folds, n_groups) if outside else 0,
        rows,
        tuple(_of_dimension(d, recordings, fitted, outside, seed) for d in range(len(recordings.dimensions))),
    )


def make_continuous(
    recalibrate: bool = False, bagged: int = 0, shrunk: bool = False, seed: int = 0
) -> ContinuousMethod:
    """The fusion of highest CCC with its options: `bagged` bootstrap samples (0: none), then shrinkage."""
    fusion: ContinuousMethod = ContinuousFusion(recalibrate)
    if bagged:
        fusion = ContinuousBagged(fusion, bagged, seed)
    return ContinuousShrunk(fusion, seed=seed) if shrunk else fusion


def _of_dimension(
    d: int,
    recordings: Recordings,
    fitted: Mapping[str, ContinuousMethod],
    outside: Mapping[str, np.ndarray],
    seed: int,
) -> DimensionResult:
    y, groups = recordings.Y[:, d], recordings.group
    nested = {who: concordance(y, fused[:, d]) for who, fused in outside.items()}
    intervals = {who: concordance_interval(y, fused[:, d], groups, seed=seed) for who, fused in outside.items()}
    difference, difference_interval = None, None
    if outside:
        difference = nested["fusion"] - nested["best_single"]
        own, single = outside["fusion"][:, d], outside["best_single"][:, d]
        difference_interval = concordance_interval(y, own, groups, single, seed)
    fusion = fitted["fusion"]
    return DimensionResult(
        dimension=recordings.dimensions[d],
        best_single=recordings.members[int(fitted["best_single"].weights_[:, d].argmax())],
        scores={
            who: Concordance(float(method.fit_score_[d]), nested.get(who), intervals.get(who))
            for who, method in fitted.items()
        },
        weights=dict(zip(recordings.members, fusion.weights_[:, d].tolist(), strict=True)),
        scale=float(fusion.scale_[d]),
        offset=float(fusion.offset_[d]),
        label_mean=float(fusion.label_mean_[d]),
        against_single=difference,
        against_single_interval=difference_interval,
    )


def out_of_fold(
    make: Callable[[], ContinuousMethod], recordings: Recordings, folds: int = 5, seed: int = 0
) -> np.ndarray:
    """(T, D) predictions of each recording by weights fitted without its group. Errors: EmofuseError with one group."""
    P, Y, valid, groups = recordings.P, recordings.Y, recordings.valid, recordings.group
    fused = np.empty_like(Y)
    one_class = np.zeros(len(Y), int)
    for fit, rest in group_folds(one_class, groups.tolist(), folds, seed):
        fitted = make().fit(P[:, fit], Y[fit], valid[:, fit], groups[fit].tolist())
        fused[rest] = fitted.predict(P[:, rest], valid[:, rest])
    return fused
