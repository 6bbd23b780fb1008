"""The prediction files of trials that learn continuous emotion: a row for each moment of each clip.

They lie where those of classes do and have the same footer, which names `dimensions` in place of classes. The columns
are `clip_id`, `group_id`, `split`, `role`, `valid`, `time_s`, and for each dimension `y_` (the label, NaN where
unknown) and `p_` (the prediction). A clip that the trial could not score has `valid` false and the mean label of the
fit.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import EmofuseError
from features.files import replacing
from models.concordance import continuous_metrics
from search.run.predictions import FOOTER, ROLES, Footer, prediction_path, read_footer

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
        name = f"Predictions of trial {self.footer.trial_key[:12]} ({self.footer.entry})"
        if len({track.clip_id for track in self.tracks}) != len(self.tracks):
            raise EmofuseError(f"{name}: a clip_id occurs twice.")
        for track in self.tracks:
            if track.role not in ROLES:
                raise EmofuseError(f"{name}: a role is one of {', '.join(ROLES)}, but got {track.role}.")
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
    metadata = json.dumps(asdict(footer), sort_keys=True, allow_nan=False).encode()
    path = prediction_path(run, footer.entry, footer.trial_key)
    with replacing(path) as temporary:
        pq.write_table(pa.table(columns).replace_schema_metadata({FOOTER: metadata}), temporary, compression="zstd")
    return path


def read_continuous_predictions(path: Path) -> ContinuousPredictions:
    """Read one trial's file back; what `write_continuous_predictions` would refuse is refused."""
    footer = read_footer(path)
    if not footer.dimensions:
        raise EmofuseError(f"{path}: expected predictions of continuous emotion, but they are of classes.")
    table = pq.read_table(path, partitioning=None)
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
            texts["clip_id"][start], texts["group_id"][start], texts["split"][start], texts["role"][start],
            texts["valid"][start], time_s[start:end], numbers["y"][start:end], numbers["p"][start:end],
        )
        for start, end in pairwise(edges)
    )
    read = ContinuousPredictions(footer, tracks)
    read.check()
    return read
