"""`emofuse ensemble compare` for ensembles of continuous emotion."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from features.errors import WrongUse
from features.terminal import Table, console

if TYPE_CHECKING:
    from ensembles.predictions.sealed_scores import Look


def two_over_time(run: Path, first: str, second: str, look: "Look", as_json: bool) -> None:
    """Two stored ensembles, by the CCC of each dimension and their mean."""
    from ensembles.comparison.compare_over_time import compare_over_time
    from ensembles.continuous.later import seen_over_time
    from ensembles.records.over_time import gain_text
    from ensembles.records.stored import open_ensemble

    one, other = open_ensemble(run, first), open_ensemble(run, second)
    if other.over_time is None:
        raise WrongUse(f"{first} is an ensemble of continuous emotion and {second} one of classes: compare alike ones.")
    found = compare_over_time(run, one, other, test=seen_over_time(look))
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    where = "test recordings" if look else "held-out recordings, each by weights fitted without its group"
    table = Table(title=f"CCC on {found.n_recordings} {where} ({found.n_groups} groups), paired 95 % intervals")
    table.add_column("dimension")
    for column in (first, second, "difference"):
        table.add_column(column, justify="right", overflow="fold")
    for name, gain in found.gains.items():
        cells = [f"{found.first[name]:.3f}", f"{found.second[name]:.3f}", gain_text(gain)]
        table.add_row(name.removeprefix("ccc_") if name != "ccc" else "mean", *cells)
    console().print(table)


def methods_over_time(
    run: Path,
    methods: list[str] | None,
    partition: list[str] | None,
    split: str | None,
    seed: int,
    look: "Look",
    as_json: bool,
) -> None:
    """Methods, fitted anew, beside the best single members."""
    from ensembles.comparison.compare_over_time import METHODS, compare_methods_over_time
    from ensembles.comparison.tables_over_time import ensembles_over_time
    from ensembles.continuous.later import seen_over_time
    from ensembles.records.over_time import gain_text
    from ensembles.records.stored import ensemble_json

    seen = seen_over_time(look)
    ensembles = compare_methods_over_time(
        run, methods or METHODS, partitions=partition, fit_split=split, seed=seed, test=seen
    )
    if as_json:
        typer.echo(json.dumps({"ensembles": [ensemble_json(ensemble) for ensemble in ensembles]}))
        return
    console().print(ensembles_over_time(ensembles))
    table = Table(title="CCC ahead of the best single members, outside the fits, paired 95 % intervals over groups")
    table.add_column("method")
    for name in ("mean", *ensembles[0].outputs):
        table.add_column(name, justify="right")
    for ensemble in ensembles:
        gains = ensemble.over_time.gains if ensemble.over_time is not None else {}
        if gains:
            table.add_row(ensemble.name, *(gain_text(gains[name]) for name in ("ccc", *ensemble.outputs)))
    console().print(table if table.row_count else ensembles[0].note)
