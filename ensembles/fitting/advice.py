"""What to do where an ensemble is no better than its best single member."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ensembles.records.ensemble import Ensemble
from features.errors import WrongUse
from features.terminal import command


def advice(ensemble: Ensemble, run: Path | str) -> str:
    """What to do, in a sentence; empty where the ensemble is ahead, is one member alone, or nothing is estimated."""
    if not ensemble.no_better or alone(ensemble):
        return ""
    return (
        f"Take that member alone ({_how_alone(ensemble, run)}), or let models join that err on other clips; "
        "to export the ensemble all the same, say --anyway."
    )


def checked(ensemble: Ensemble, run: Path | str, *, anyway: bool = False, single: bool = False) -> Ensemble:
    """What is to be exported: the ensemble, or with `single` its best single member alone.

    Errors: WrongUse for an ensemble that is no better than its best single member, unless `anyway`, for both wishes at
    once, and for a single member that is no member of the ensemble.
    """
    if single and anyway:
        raise WrongUse("--single exports the best single member, --anyway the ensemble: give one of them.")
    if single:
        return single_of(ensemble, run)
    refitted = all(member.refit is not None for member in ensemble.members)  # else that is what is lacking first
    if ensemble.no_better and not alone(ensemble) and refitted and not anyway:
        raise WrongUse(
            f"Ensemble {ensemble.name!r} is no better than its best single member, {ensemble.best_single}, on clips "
            f"that had no part in choosing: export that member ({_how_alone(ensemble, run)}), or the ensemble with "
            "--anyway."
        )
    return ensemble


def alone(ensemble: Ensemble) -> bool:
    """Whether the ensemble is its best single member."""
    names = [member.name for member in ensemble.members]
    if ensemble.over_time is None:
        return names == [ensemble.best_single]
    heaviest = [names[m] for m in ensemble.weights.argmax(axis=0)]
    return heaviest == list(_best(ensemble)) and bool(np.isclose(ensemble.weights.max(axis=0), 1).all())


def _best(ensemble: Ensemble) -> tuple[str, ...]:
    """The name of the best single member; of continuous emotion that of each dimension."""
    return ensemble.over_time.best_singles if ensemble.over_time else (ensemble.best_single,)


def single_of(ensemble: Ensemble, run: Path | str) -> Ensemble:
    """The best single member (of each dimension) as an ensemble, with its scores."""
    best, over_time = _best(ensemble), ensemble.over_time
    if ensemble.params.get("recalibrate"):
        raise WrongUse(
            f"Ensemble {ensemble.name!r} is recalibrated, and its best single member for itself; fit that alone "
            f"({_how_alone(ensemble, run)}), then refit and export it."
        )
    found = [member for member in ensemble.members if member.name in best]
    if {member.name for member in found} != set(best):
        raise WrongUse(
            f"The best single member, {ensemble.best_single}, is no member of ensemble {ensemble.name!r}, so it was "
            f"not refitted; fit it alone ({_how_alone(ensemble, run)}), then refit and export that."
        )
    own = ensemble.scores["best_single"]
    nothing: dict[str, Any] = {
        "temperatures": None,
        "log_pool": None,
        "against_single": None,
        "choice": (),
        "params": {},
    }
    if over_time is not None:
        plain = tuple(1.0 for _ in best)
        nothing["over_time"] = replace(over_time, scale=plain, offset=tuple(0.0 for _ in best), gains={})
    return replace(
        ensemble,
        name=f"{ensemble.name}-single",
        method="best",
        members=tuple(found),
        weights=np.array([[float(name == member.name) for name in _by_output(ensemble)] for member in found]),
        scores={"ensemble": own, "best_single": own},
        candidates=tuple(dict.fromkeys(best)),
        note=f"The best single member of ensemble {ensemble.name}, exported alone.",
        **nothing,
    )


def _by_output(ensemble: Ensemble) -> tuple[str, ...]:
    best = _best(ensemble)
    return best if len(best) == len(ensemble.outputs) else best * len(ensemble.outputs)


def _how_alone(ensemble: Ensemble, run: Path | str) -> str:
    again = ["--param", "recalibrate=true"] if ensemble.params.get("recalibrate") else []
    if {member.name for member in ensemble.members if member.refit is not None} >= set(_best(ensemble)) and not again:
        return f"{command('ensemble', 'export', run, ensemble.name, '--single', '-o', 'bundle')}"
    return f"{command('ensemble', 'fit', run, '--method', 'best', *again, '--name', f'{ensemble.name}-single')}"
