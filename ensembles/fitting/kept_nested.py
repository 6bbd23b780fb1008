"""Nested predictions over time of runs that are looked at again and again: made anew only where trials came or went."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from ensembles.continuous.run import ContinuousRun
from ensembles.fitting.fit_over_time import nested_over_time, options_of
from ensembles.records.ensemble import Ensemble
from features.files import content_key

# Of each run the last ones, by what they were made of: a page shows one ensemble's.
_kept: dict[Path, tuple[str, np.ndarray]] = {}


def kept_nested_over_time(run: Path, found: ContinuousRun, ensemble: Ensemble) -> np.ndarray:
    """`nested_over_time` (T, D), read-only; the last one of the run where trials and the ensemble's fit are as then."""
    trials = {name: [(t.footer.trial_key, t.footer.annotations) for t in own] for name, own in found.trials.items()}
    key = content_key([trials, found.partitions, asdict(options_of(ensemble))])
    kept = _kept.get(run.resolve())
    if kept is None or kept[0] != key:
        fused = nested_over_time(found, ensemble)
        fused.setflags(write=False)
        kept = _kept[run.resolve()] = key, fused
    return kept[1]
