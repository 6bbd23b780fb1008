"""The trials of a run that learnt continuous emotion, and which entries these are."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ensembles.predictions.names import called
from features.errors import EmofuseError
from search.run.continuous_predictions import ContinuousPredictions, Track, read_continuous_predictions
from search.run.predictions import prediction_files, read_footer

REFIT = "full"  # the partition of refits, which has no held-out recordings


def continuous_entries(run: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The entries of a run that learnt continuous emotion, and the others; one file of each entry is looked at."""
    first: dict[str, Path] = {}
    for folder in sorted((run / "predictions").glob("family=*")):
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.name.endswith(".parquet") and not e.name.startswith(".")]
        if names:
            first[folder.name.removeprefix("family=")] = folder / min(names)
    found = frozenset(entry for entry, path in first.items() if read_footer(path).dimensions)
    return found, frozenset(first) - found


def read_trials(run: Path) -> list[ContinuousPredictions]:
    """All trials of a run that learnt continuous emotion, refits too.

    Errors: EmofuseError where there are none, or where they learnt different annotations.
    """
    entries, _ = continuous_entries(run)
    files = [path for path in prediction_files(run) if path.parent.name.removeprefix("family=") in entries]
    trials = [read_continuous_predictions(path) for path in files]
    if all(trial.footer.partition == REFIT for trial in trials):
        raise EmofuseError(f"{run}: expected trials that learnt continuous emotion, but there are none.")
    first = trials[0].footer
    for trial in trials:
        if (trial.footer.dimensions, trial.footer.annotations) != (first.dimensions, first.annotations):
            raise EmofuseError(
                f"{run}: trials of {first.entry} and {trial.footer.entry} learnt different annotations; an ensemble "
                "needs the same: remove the predictions that are out of date."
            )
    return trials


def step_of(trials: Sequence[ContinuousPredictions]) -> float:
    """The usual time between two labels, in seconds; 0 where no recording has two."""
    tracks = {track.clip_id: track for trial in trials for track in trial.tracks}
    steps = [np.diff(track.time_s) for track in tracks.values() if len(track.time_s) > 1]
    return float(np.median(np.concatenate(steps))) if steps else 0.0


def member_name(trial: ContinuousPredictions) -> str:
    """The name of the configuration that a trial belongs to, short and unique in a run."""
    return called(trial.footer.entry, trial.footer.config_key)


def known_moments(track: Track) -> np.ndarray:
    """Which moments (T,) have a label in every dimension."""
    return np.asarray(~np.isnan(track.y).any(axis=1))
