"""Every subset of an ensemble's members with weights of its own (Kahou 2015, section 5.2)."""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pyarrow as pa

from ensembles.fitting.fit import fit_ensemble
from ensembles.fitting.options import FitOptions
from ensembles.fitting.selection import make_selection
from ensembles.predictions.sealed_scores import Look
from ensembles.records.ensemble import Ensemble, EnsembleMember, How
from features.errors import WrongUse
from models.metrics import metric_named

_MOST_MEMBERS = 8
_HOWS: tuple[How, ...] = ("train", "fit", "nested", "test")


def subsets(ensemble: Ensemble) -> list[tuple[EnsembleMember, ...]]:
    """All subsets of the members, the smallest first; WrongUse with more than 8 members, and without classes."""
    if ensemble.over_time is not None:
        raise WrongUse(
            f"Ensemble {ensemble.name!r} is of continuous emotion; subsets are searched of ensembles of classes."
        )
    M = len(ensemble.members)
    if M > _MOST_MEMBERS:
        raise WrongUse(
            f"Ensemble {ensemble.name!r} has {M} members, so {2**M - 1} subsets: each is searched alone, for at most "
            f"{_MOST_MEMBERS} members; fit one of fewer (--member, --top)."
        )
    return [chosen for size in range(1, M + 1) for chosen in combinations(ensemble.members, size)]


def ablate(run: Path, ensemble: Ensemble, look: Look = False) -> Iterator[Ensemble]:
    """Fit the ensemble's method with its parameters on every subset; each is named after its members.

    A member is called by its entry, by entry and configuration where several of the ensemble are of that entry.

    Each has its fitted score, its nested estimate and, as `look` says, that on the test clips. Nothing is written.
    """
    of_entry = Counter(member.entry for member in ensemble.members)
    for members in subsets(ensemble):
        options = FitOptions(
            ensemble.method,
            name="+".join(m.entry if of_entry[m.entry] == 1 else f"{m.entry}-{m.config_key[:6]}" for m in members),
            params=ensemble.params,
            selection=make_selection(members=[member.name for member in members]),
            partitions=ensemble.partitions,
            fit_split=ensemble.fit_split,
            folds=ensemble.folds,
            repeats=ensemble.repeats,
            seed=ensemble.seed,
            metric=metric_named(ensemble.metric),
        )
        yield fit_ensemble(run, options, test=look)


def ablation_table(found: list[Ensemble]) -> pa.Table:
    """A row for each subset, for a file: its size and the accuracies with their intervals."""
    rows = []
    for one in found:
        row: dict[str, object] = {"members": one.name, "size": len(one.members)}
        for how in _HOWS:
            measured = one.scores["ensemble"].get(how)
            row[how] = measured and measured.accuracy
            bounds = measured and measured.interval
            row |= {f"{how}_low": bounds and bounds.low, f"{how}_high": bounds and bounds.high}
        rows.append(row)
    return pa.table({name: pa.array([row[name] for row in rows]) for name in rows[0]})
