"""What a stored ensemble says of the clips of its run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensembles.predictions.sets import read_refits, read_run
from ensembles.records.ensemble import Ensemble
from ensembles.records.places import places_of
from features.errors import WrongUse


@dataclass(frozen=True, eq=False)
class Fused:
    """N clips with the fused `probabilities` (N, C); `labels` are those of held-out clips, None of test clips."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    labels: tuple[str, ...] | None
    probabilities: np.ndarray


def fused(run: Path, ensemble: Ensemble, split: str, refits: bool = False) -> Fused:
    """The fused predictions of the held-out clips (`split` val) or of the test clips (`test`), sorted by clip.

    `refits` takes those of the refitted members in place of the searched ones; they have test clips only. Errors:
    members whose predictions are gone.
    """
    if split == "test":
        searched = ensemble.partitions, ensemble.fit_split
        test = read_refits(run, ensemble.refits).test if refits else read_run(run, *searched).test
        chosen = test.of_members(places_of(ensemble, test.members))
        return Fused(chosen.ids, chosen.groups, None, ensemble.predict_proba(chosen.P, chosen.valid))
    if split != "val" or refits:
        raise WrongUse(f"An ensemble predicts the clips of validation, or of test (refitted or not), not {split!r}.")
    held_out = read_run(run, ensemble.partitions, ensemble.fit_split).held_out
    own = held_out.of_members(places_of(ensemble, held_out.members))
    labels = tuple(own.classes[c] for c in own.y)
    return Fused(own.ids, own.groups, labels, ensemble.predict_proba(own.P, own.valid))
