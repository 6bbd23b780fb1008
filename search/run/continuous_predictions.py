"""The prediction files of trials that learn continuous emotion: a row for each moment of each clip.

They lie where those of classes do and have the same footer, which names `dimensions` in place of classes. The columns
are `clip_id`, `group_id`, `split`, `role`, `valid`, `time_s`, and for each dimension `y_` (the label, NaN where
unknown) and `p_` (the prediction). A clip that the trial could not score has `valid` false and the mean label of the
fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.errors import EmofuseError
from models.concordance import continuous_metrics
from search.run.predictions import (
    Footer,
    check_roles,
    damaged,
    footer_of,
    open_predictions,
    read_predictions,
    read_rows,
    stored_in,
    trial_name,
    write_trial,
)

_TEXTS = ("clip_id", "group_id", "split", "role")


@dataclass(frozen=True, eq=False)
class Track:
    """One clip of a trial: `time_s` (T,), labels `y` (T, D), predictions `p` (T, D) float32."""

    clip_id: str
    group_id: str
    split: str
    role: str
    valid: bool
    time_s: np.ndarray
    y: np.ndarray
    p: np.ndarray


@dataclass(frozen=True, eq=False)
class ContinuousPredictions:
    """One trial's clips, in the order of `footer.dimensions`."""

    footer: Footer
    tracks: tuple[Track, ...]

    def check(self) -> None:
        """Refuse what lies outside the contract."""
        name = trial_name(self.footer)
        if len({track.clip_id for track in self.tracks}) != len(self.tracks):
            raise EmofuseError(f"{name}: a clip_id occurs twice.")
        check_roles(name, (track.role for track in self.tracks))
        for track in self.tracks:
            expected = (len(track.time_s), len(self.footer.dimensions))
            if track.p.shape != expected or track.y.shape != expected:
                raise EmofuseError(
                    f"{name}: expected labels and predictions of clip {track.clip_id!r} of shape {expected}, but got "
                    f"{track.y.shape} and {track.p.shape}."
                )
            if not np.isfinite(track.p).all() or not (np.diff(track.time_s) > 0).all():
                raise EmofuseError(
                    f"{name}: expected finite predictions at rising times for clip {track.clip_id!r}, but "
                    f"{int((~np.isfinite(track.p)).sum())} are not finite."
                )


def held_out_ccc(tracks: Sequence[Track], dimensions: tuple[str, ...]) -> dict[str, float]:
    """CCC over all held-out clips, concatenated; those that could not be scored count with their guess."""
    own = [track for track in tracks if track.role == "held_out"]
    if not own:
        return {}
    metrics = continuous_metrics(
        np.concatenate([track.y for track in own]), np.concatenate([track.p for track in own]), dimensions
    )
    return {**metrics, "scored": float(np.mean([track.valid for track in own]))}


def write_continuous_predictions(run: Path, predictions: ContinuousPredictions) -> Path:
    """Check and write one trial's file, whole or not at all; return its path."""
    predictions.check()
    footer, tracks = predictions.footer, predictions.tracks
    lengths = [len(track.time_s) for track in tracks]
    columns: dict[str, pa.Array] = {
        name: pa.array(np.repeat([getattr(track, name) for track in tracks], lengths), pa.string()) for name in _TEXTS
    }
    columns["valid"] = pa.array(np.repeat([track.valid for track in tracks], lengths))
    columns["time_s"] = pa.array(np.concatenate([track.time_s for track in tracks]), pa.float64())
    for prefix in ("y", "p"):
        values = np.concatenate([getattr(track, prefix) for track in tracks]).astype(np.float32)
        columns |= {f"{prefix}_{name}": pa.array(values[:, d]) for d, name in enumerate(footer.dimensions)}
    return write_trial(run, footer, pa.table(columns), dictionary=True)


def read_continuous_predictions(path: Path) -> ContinuousPredictions:
    """Read one trial's file back and check its rows."""
    opened = open_predictions(path)
    footer = footer_of(path, opened)
    if not footer.dimensions:
        raise EmofuseError(f"{path}: expected predictions of continuous emotion, but they are of classes.")
    table = read_rows(path, opened, _schema(footer.dimensions))
    if not table.num_rows:
        raise damaged(path, "it has no rows")
    ids = table["clip_id"].to_numpy()
    edges = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1), len(ids)]
    texts = {name: table[name].to_pylist() for name in (*_TEXTS, "valid")}
    numbers = {
        prefix: np.stack([table[f"{prefix}_{name}"].to_numpy() for name in footer.dimensions], axis=1)
        for prefix in ("y", "p")
    }
    time_s = table["time_s"].to_numpy()
    tracks = tuple(
        Track(
            texts["clip_id"][start],
            texts["group_id"][start],
            texts["split"][start],
            texts["role"][start],
            texts["valid"][start],
            time_s[start:end],
            numbers["y"][start:end],
            numbers["p"][start:end],
        )
        for start, end in pairwise(edges)
    )
    found = ContinuousPredictions(footer, tracks)
    with stored_in(path):
        found.check()
    return found


def checked_footer(path: Path) -> Footer:
    """The footer of a file of either kind, once all of it is known to be as it was written.

    A seal vouches for that; of a file without one the rows are decoded and checked.
    """
    opened = open_predictions(path)
    footer = footer_of(path, opened)
    if not opened.is_sealed:
        (read_continuous_predictions if footer.dimensions else read_predictions)(path)
    return footer


def _schema(dimensions: Sequence[str]) -> pa.Schema:
    texts = [pa.field(name, pa.string(), nullable=False) for name in _TEXTS]
    labels = [pa.field(f"y_{name}", pa.float32()) for name in dimensions]
    values = [pa.field(f"p_{name}", pa.float32(), nullable=False) for name in dimensions]
    valid, time_s = pa.field("valid", pa.bool_(), nullable=False), pa.field("time_s", pa.float64(), nullable=False)
    return pa.schema([*texts, valid, time_s, *labels, *values])
