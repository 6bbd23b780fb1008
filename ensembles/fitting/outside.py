"""What an ensemble says of each held-out clip by weights that the clip's group had no part in, kept beside its record.

Fitting makes these predictions for the nested estimate; a report and a comparison want them again, and making them
takes as long as the fit. They are believed as long as they were made of the same clips, scores and settings.
"""

import hashlib
import json
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ensembles.predictions.sets import HeldOut
from ensembles.records.ensemble import Ensemble
from ensembles.records.stored import ensemble_path
from features.files import write_bytes

_NAME = ".outside.1.safetensors"  # the number grows with any change of how they are made
_HEADER = 8  # bytes that tell the length of a safetensors header
# Beyond, telling whether the scores are the same takes longer than what needs these predictions.
_MOST_SCORES = 30_000_000


def outside_of(run: Path, ensemble: Ensemble, held_out: HeldOut) -> np.ndarray:
    """The probabilities (N, C) of the held-out clips, by the folds of the first repeat of its nested estimate.

    They are made, and kept, where they aren't kept yet. Errors: those of `out_of_fold`; KeyboardInterrupt where Ctrl-C
    ends it before its last fold.
    """
    if (kept := find_outside(run, ensemble, held_out)) is not None:
        return kept
    from ensembles.fitting.estimate import out_of_fold
    from ensembles.fitting.fit import factory_of

    outside = out_of_fold(factory_of(ensemble, held_out), held_out, ensemble.folds, 1, ensemble.seed)
    if outside.interrupted:
        raise KeyboardInterrupt
    keep_outside(run, ensemble, held_out, outside.probabilities[0])
    return outside.probabilities[0]


def find_outside(run: Path, ensemble: Ensemble, held_out: HeldOut) -> np.ndarray | None:
    """The kept probabilities (N, C) of the held-out clips; None where there are none of these scores and settings."""
    path = ensemble_path(run, ensemble.name).with_name(_NAME)
    if not path.is_file() or held_out.P.size > _MOST_SCORES:
        return None
    try:
        data = path.read_bytes()
        head = json.loads(data[_HEADER : _HEADER + int.from_bytes(data[:_HEADER], "little")])["__metadata__"]
        probabilities: np.ndarray = load(data)["probabilities"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError):
        return None
    return probabilities if head == _metadata(ensemble, held_out, probabilities) else None


def keep_outside(run: Path, ensemble: Ensemble, held_out: HeldOut, probabilities: np.ndarray) -> None:
    """Keep the `probabilities` (N, C) beside the ensemble's record, where the run's folder can be written."""
    if held_out.P.size > _MOST_SCORES:
        return
    probabilities = np.ascontiguousarray(probabilities)
    data = save({"probabilities": probabilities}, _metadata(ensemble, held_out, probabilities))
    with suppress(OSError):
        write_bytes(ensemble_path(run, ensemble.name).with_name(_NAME), data, sync=False)


def _metadata(ensemble: Ensemble, held_out: HeldOut, probabilities: np.ndarray) -> dict[str, str]:
    """All that the predictions depend on, and their own digest."""
    made_of = {
        "emofuse": version("emofuse"),
        "method": [ensemble.method, ensemble.params, ensemble.seed, ensemble.metric, ensemble.folds],
        "selection": ensemble.selection,
        "weights": hashlib.sha256(ensemble.weights.tobytes()).hexdigest(),
        "members": [[member.entry, member.config_key] for member in held_out.members],
        "clips": [held_out.classes, held_out.ids, held_out.groups, held_out.y.tolist()],
    }
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode())
    for array in (held_out.P, held_out.valid):
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    own = hashlib.sha256(f"{probabilities.shape} {probabilities.dtype}".encode() + probabilities.tobytes())
    return {"made_of": digest.hexdigest(), "sha256": own.hexdigest()}
