"""What the lead ensemble says of each held-out clip."""

from dataclasses import dataclass

import numpy as np

from ensembles.fitting.ensemble import Ensemble
from ensembles.predictions.sets import HeldOut


@dataclass(frozen=True, eq=False)
class Clips:
    """What an ensemble says of the held-out clips: `P` (N, C); `nested` where no clip had a part in its weights."""

    P: np.ndarray
    nested: bool


def fused_clips(ensemble: Ensemble, held_out: HeldOut, *, nested: bool) -> Clips | None:
    """The fused probabilities of all held-out clips; `nested` fits weights anew without each clip's group."""
    from ensembles.fitting.fit import factory_of, find_places

    places, absent = find_places(ensemble, held_out.members)
    if absent:
        return None
    if nested and len(set(held_out.groups)) > 1 and ensemble.folds > 1:
        from ensembles.fitting.estimate import out_of_fold

        outside = out_of_fold(factory_of(ensemble, held_out), held_out, ensemble.folds, 1, ensemble.seed)
        return Clips(outside.probabilities[0], True)
    own = held_out.of_members(places)
    return Clips(ensemble.predict_proba(own.P, own.valid), False)
