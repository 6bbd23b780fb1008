"""What figures of continuous emotion show: CCC over window length, labels and predictions over time (Huang 2018)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ensembles.continuous.concordance import concordance
from ensembles.continuous.run import ContinuousRun
from ensembles.continuous.trials import read_trials, step_of
from ensembles.predictions.organisers import TracePredictions
from features.errors import EmofuseError
from features.names import unknown_name

_HYPERPARAMETER = "window"


@dataclass(frozen=True)
class WindowLine:
    """One entry's CCC of a dimension over the windows (seconds, ascending) that it tried; of several seeds the mean.

    Of configurations with one window it is the best.
    """

    entry: str
    dimension: str
    seconds: tuple[float, ...]
    ccc: tuple[float, ...]


def windows_of(found: ContinuousRun, test: bool = False) -> list[WindowLine]:
    """The lines of all entries that tried several windows, by dimension; on `test` recordings if `found` has them."""
    step_s = step_of([trial for trials in found.trials.values() for trial in trials])
    best: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    for member in found.members:
        window = member.footer.hyperparameters.get(_HYPERPARAMETER)
        reached = member.test if test else member.metrics
        spreads = member.test_over_seeds if test else member.over_seeds
        if not isinstance(window, int) or not reached:
            continue
        seconds = round(window * step_s, 6)
        for dimension in found.dimensions:
            name = f"ccc_{dimension}"
            value = spreads[name].mean if name in spreads else reached[name]
            line = best[dimension, member.footer.entry]
            line[seconds] = max(line.get(seconds, -1.0), value)
    return [
        WindowLine(entry, dimension, tuple(sorted(line)), tuple(line[second] for second in sorted(line)))
        for (dimension, entry), line in sorted(best.items())
        if len(line) > 1
    ]


@dataclass(frozen=True, eq=False)
class Traced:
    """One recording and dimension: labels `gold` (T,), NaN where there are none, and predictions (T,) by name."""

    recording: str
    dimension: str
    time_s: np.ndarray
    gold: np.ndarray
    predicted: Mapping[str, np.ndarray]

    def ccc(self, name: str) -> float | None:
        """The CCC of a prediction on this recording alone, where it is labelled."""
        known = ~np.isnan(self.gold)
        return float(concordance(self.gold[known], self.predicted[name][known])) if known.any() else None


def traced(
    run: Path, predicted: Mapping[str, TracePredictions], recording: str, dimension: str | None = None
) -> list[Traced]:
    """What was predicted of a recording beside its labels, a figure for each dimension or the one that is named.

    Errors: a recording or dimension that there isn't.
    """
    first = next(iter(predicted.values()))
    dimensions = first.dimensions
    if dimension is not None and dimension not in dimensions:
        raise unknown_name("dimension", dimension, dimensions)
    for name, own in predicted.items():
        if recording not in own.traces:
            raise unknown_name(f"recording that {name} predicts", recording, own.traces)
    time_s = first.traces[recording][0]
    if any(len(own.traces[recording][0]) != len(time_s) for own in predicted.values()):
        raise EmofuseError(f"{run}: the predictions of {recording} are of different moments.")
    y = _labels(run, recording, len(time_s), len(dimensions))
    chosen = [d for d, name in enumerate(dimensions) if dimension in (None, name)]
    return [
        Traced(
            recording,
            dimensions[d],
            time_s,
            y[:, d],
            {name: own.traces[recording][1][:, own.dimensions.index(dimensions[d])] for name, own in predicted.items()},
        )
        for d in chosen
    ]


def _labels(run: Path, recording: str, length: int, dimensions: int) -> np.ndarray:
    for trial in read_trials(run):
        for track in trial.tracks:
            if track.clip_id == recording and len(track.time_s) == length:
                return track.y.astype(np.float64)
    return np.full((length, dimensions), np.nan)


def windows_table(lines: Sequence[WindowLine]) -> pa.Table:
    """A row for each window of each entry and dimension, for a file."""
    rows = [(one.entry, one.dimension, s, c) for one in lines for s, c in zip(one.seconds, one.ccc, strict=True)]
    kinds = {"entry": pa.string(), "dimension": pa.string(), "window_s": pa.float64(), "ccc": pa.float64()}
    columns: Sequence[Sequence[object]] = list(zip(*rows, strict=True)) or [()] * len(kinds)
    return pa.table({name: pa.array(own, kind) for (name, kind), own in zip(kinds.items(), columns, strict=True)})


def traces_table(figures: Sequence[Traced]) -> pa.Table:
    """A row for each moment of each dimension, with a column for each prediction, for a file."""
    return pa.concat_tables(
        [
            pa.table(
                {
                    "recording": pa.array([one.recording] * len(one.time_s)),
                    "dimension": pa.array([one.dimension] * len(one.time_s)),
                    "time_s": one.time_s,
                    "label": pa.array(one.gold, from_pandas=True),
                    **one.predicted,
                }
            )
            for one in figures
        ]
    )
