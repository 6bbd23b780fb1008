"""What the lead ensemble says of each held-out clip."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensembles.fitting.outside import outside_of
from ensembles.predictions.sets import HeldOut
from ensembles.records.ensemble import Ensemble
from ensembles.records.places import find_places


@dataclass(frozen=True, eq=False)
class Clips:
    """What an ensemble says of the held-out clips: `P` (N, C); `nested` where no clip had a part in its weights."""

    P: np.ndarray
    nested: bool


def fused_clips(run: Path, ensemble: Ensemble, held_out: HeldOut, *, nested: bool) -> Clips | None:
    """The fused probabilities of all held-out clips; `nested`: by weights fitted without each clip's group."""
    places, absent = find_places(ensemble, held_out.members)
    if absent:
        return None
    if nested and len(set(held_out.groups)) > 1 and ensemble.folds > 1:
        return Clips(outside_of(run, ensemble, held_out), True)
    own = held_out.of_members(places)
    return Clips(ensemble.predict_proba(own.P, own.valid), False)
