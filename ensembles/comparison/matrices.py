"""The confusion matrix of any member or ensemble of a run, in row percent as papers print it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ensembles.evaluation.metrics import score
from ensembles.predictions.names import asked_for
from ensembles.predictions.sealed_scores import Look, TestLabels, looked_at
from ensembles.predictions.sets import read_refits, read_run
from ensembles.records.ensemble import How
from ensembles.records.stored import ensemble_names, open_ensemble
from features.errors import EmofuseError, WrongUse
from features.names import unknown_name


@dataclass(frozen=True)
class Matrix:
    """Counts of clips by true (row) and predicted class (column); `rows` says in words which clips they are."""

    name: str
    rows: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def percent(self) -> np.ndarray:
        """(C, C) shares of each row in percent; NaN where a class has no clip."""
        counts = np.array(self.counts, float)
        totals = counts.sum(axis=1, keepdims=True)
        return np.divide(100 * counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)

    def table(self) -> pa.Table:
        """A row for each true class: its clips, then the percent of each predicted class, for a file."""
        columns = {"true": list(self.classes), "clips": [sum(row) for row in self.counts]}
        shares = {
            name: [None if v != v else float(v) for v in self.percent[:, c]] for c, name in enumerate(self.classes)
        }
        return pa.table(columns | {f"percent_{name}": values for name, values in shares.items()})


def matrix_of(run: Path, name: str, look: Look = False, partitions: Sequence[str] | None = None) -> Matrix:
    """The matrix of an ensemble, of a member (`ENTRY/CONFIG`) or of an entry's best configuration.

    It is of held-out clips (of an ensemble: by weights that the clip's group had no part in), or of test clips where
    the `look` says so, by the refits where an ensemble is refitted. Errors: an unknown name, an ensemble without such a
    score.
    """
    if name in ensemble_names(run):
        if partitions:
            raise WrongUse(f"{name!r} is an ensemble, which knows its partitions: leave out --partition.")
        return _of_ensemble(run, name, look)
    predictions = read_run(run, partitions)
    held_out = predictions.held_out
    members = enumerate(held_out.members)
    found = [m for m, own in members if asked_for(own.name, name)]
    if not found:
        entries = {member.entry for member in held_out.members}
        raise unknown_name("ensemble or member", name, {*ensemble_names(run), *entries})
    scores = {m: score(held_out.y, held_out.P[m]) for m in found}
    best = min(found, key=lambda m: (-scores[m].accuracy, scores[m].log_loss))
    own, where = scores[best], f"held-out clips of {', '.join(predictions.partitions)}"
    if look:
        own, where = looked_at(predictions.test, look).score(predictions.test.P[best]), "test clips"
    return Matrix(held_out.members[best].name, f"{own.n} {where}", held_out.classes, own.confusion)


def _of_ensemble(run: Path, name: str, look: Look) -> Matrix:
    from ensembles.fitting.fit import score_on_test  # scikit-learn and Numba take longer than a matrix

    ensemble = open_ensemble(run, name)
    if ensemble.over_time is not None:
        raise WrongUse(f"Ensemble {name!r} is of continuous emotion, which has no confusion matrix.")
    hows: tuple[How, ...] = ("test_refit", "test") if look else ("nested",)
    if look:
        refitted = len(ensemble.refits) == len(ensemble.members)
        if isinstance(look, TestLabels) or not any(how in ensemble.scores["ensemble"] for how in hows):
            test = (
                read_refits(run, ensemble.refits).test if refitted else read_run(run, ensemble.partitions or None).test
            )
            ensemble = score_on_test(ensemble, looked_at(test, look), "test_refit" if refitted else "test")
    how = next((how for how in hows if how in ensemble.scores["ensemble"]), None)
    if how is None:
        raise EmofuseError(
            f"Ensemble {name!r} has no nested estimate, so no confusion matrix of held-out clips: give --test. "
            f"{ensemble.note}".strip()
        )
    measured = ensemble.scores["ensemble"][how]
    where = "test clips" if look else "held-out clips, each by weights that its group had no part in"
    return Matrix(name, f"{measured.n_clips} {where}", ensemble.classes, measured.confusion)
