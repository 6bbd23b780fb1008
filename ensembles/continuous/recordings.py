"""Recordings of different length as one set: labels and the members' predictions, one recording after the other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from features.errors import EmofuseError


@dataclass(frozen=True, eq=False)
class Recordings:
    """Predictions `P` (M, T, D) and labels `Y` (T, D) of all recordings, `valid` (M, T, D) tells what a member has.

    `recording` and `group` (T,) say for each sample which recording it is of, and what that one must not be separated
    from in folds (itself, or its conversation or speaker); `time_s` (T,) is its moment, where that is known.
    """

    members: tuple[str, ...]
    dimensions: tuple[str, ...]
    P: np.ndarray
    Y: np.ndarray
    valid: np.ndarray
    recording: np.ndarray
    group: np.ndarray
    time_s: np.ndarray | None = None


def to_length(values: np.ndarray, length: int) -> np.ndarray:
    """AVEC's rule: `values` (t, D) cut to `length` samples, or its last row repeated. At least one row is needed."""
    return values[np.minimum(np.arange(length), len(values) - 1)]


def gather(
    predictions: Mapping[str, Mapping[str, np.ndarray]],
    labels: Mapping[str, np.ndarray],
    dimensions: tuple[str, ...],
    groups: Mapping[str, str] | None = None,
    times: Mapping[str, np.ndarray] | None = None,
) -> Recordings:
    """One set of `predictions[member][recording]` (t, D), NaN = missing, and `labels[recording]` (t, D).

    The recordings of the set are those that have labels and a member's prediction, sorted by name; lengths are made
    those of the labels by `to_length`. A recording that `groups` does not name is a group by itself; `times` are
    the labels' moments. Errors: EmofuseError when nothing is left.
    """
    predicted = {name for by_recording in predictions.values() for name, values in by_recording.items() if len(values)}
    names = sorted(predicted & set(labels))
    if not names:
        raise EmofuseError(
            f"No recording has both labels and predictions: labels are of {_some(labels)}, predictions of "
            f"{_some(predicted)}."
        )
    members = tuple(sorted(predictions))
    lengths = [len(labels[name]) for name in names]
    P = np.full((len(members), sum(lengths), len(dimensions)), np.nan)
    starts = np.cumsum([0, *lengths])
    for m, member in enumerate(members):
        for name, start, length in zip(names, starts, lengths, strict=False):
            values = predictions[member].get(name)
            if values is not None and len(values):
                P[m, start : start + length] = to_length(values, length)
    own = groups or {}
    return Recordings(
        members,
        dimensions,
        P,
        np.concatenate([labels[name] for name in names]),
        ~np.isnan(P),
        np.repeat(names, lengths),
        np.repeat([own.get(name, name) for name in names], lengths),
        np.concatenate([times[name] for name in names]) if times is not None else None,
    )


def _some(names: Iterable[str]) -> str:
    shown = sorted(names)
    return (", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")) or "none"
