"""Learning curves of members: accuracy on the clips of the fit and on held-out ones, by epoch (Kahou, figure 5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ensembles.predictions.names import asked_for, called
from features.errors import EmofuseError
from features.names import unknown_name
from search.run.predictions import Footer, prediction_files, read_footer


@dataclass(frozen=True)
class Curve:
    """One trial's curve: a value per epoch, None where none was measured; `best_epoch` is the one that was kept."""

    name: str
    partition: str
    epochs: tuple[int, ...]
    loss: tuple[float | None, ...]
    fitted: tuple[float | None, ...]
    held_out: tuple[float | None, ...]
    best_epoch: int


def curves_of(run: Path, names: Sequence[str], partition: str | None = None) -> list[Curve]:
    """The curve of each name: `ENTRY/CONFIG`, or an entry's best trial on the partition (None: the first it has).

    Errors: an unknown name; a trial without epochs, as those of support vector machines.
    """
    footers = [footer for path in prediction_files(run) if not (footer := read_footer(path)).dimensions]
    footers = [footer for footer in footers if footer.partition != "full" and not footer.repeat]
    found = []
    for name in names:
        own = [f for f in footers if asked_for(_name(f), name)]
        if not own:
            raise unknown_name("member", name, {footer.entry for footer in footers})
        wanted = partition or min(footer.partition for footer in own)
        own = [footer for footer in own if footer.partition == wanted]
        if not own:
            raise EmofuseError(f"{run}: no trial of {name} finished on partition {wanted!r}.")
        best = max(own, key=lambda footer: (footer.metrics.get("accuracy", 0.0), _name(footer)))
        if not any("loss" in row for row in best.curve):
            raise EmofuseError(f"{_name(best)} is not trained in epochs, so it has no learning curve.")
        found.append(_curve(best))
    return found


def _name(footer: Footer) -> str:
    return called(footer.entry, footer.config_key)


def _curve(footer: Footer) -> Curve:
    def column(name: str) -> tuple[float | None, ...]:
        return tuple(row.get(name) for row in footer.curve)

    epochs = tuple(int(row["epoch"]) for row in footer.curve)
    of = (column("loss"), column("fit_accuracy"), column("accuracy"))
    return Curve(_name(footer), footer.partition, epochs, *of, footer.best_epoch)


def curves_table(curves: Sequence[Curve]) -> pa.Table:
    """A row for each epoch of each, for a file."""
    rows = [
        (curve.name, curve.partition, *row)
        for curve in curves
        for row in zip(curve.epochs, curve.loss, curve.fitted, curve.held_out, strict=True)
    ]
    kinds = {"member": pa.string(), "partition": pa.string(), "epoch": pa.int64()}
    kinds |= dict.fromkeys(("loss", "fit_accuracy", "held_out_accuracy"), pa.float64())
    columns = zip(kinds.items(), zip(*rows, strict=True), strict=True)
    return pa.table({name: pa.array(values, kind) for (name, kind), values in columns})
