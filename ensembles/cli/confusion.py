"""The command `emofuse ensemble confusion`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ensembles.cli.options import AsJson, Labels, Partitions, Run, Test, look
from features.progress import say
from features.terminal import Table, console


def confusion(
    run: Run,
    name: Annotated[str, typer.Argument(help="An ensemble, ENTRY/CONFIG, or ENTRY for its best configuration.")],
    partition: Partitions = None,
    test: Test = False,
    labels: Labels = None,
    csv: Annotated[Path | None, typer.Option(help="Also write it to this CSV file.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Also draw it, as .svg or .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the confusion matrix of a member or an ensemble in row percent, of held-out or of test clips.

    Example: emofuse ensemble confusion runs/first best --picture best.svg
    """
    from ensembles.comparison.matrices import matrix_of
    from ensembles.predictions.long_format import write_long
    from ensembles.report.pictures import check_picture, draw_matrix

    if picture is not None:
        check_picture(picture)
    matrix = matrix_of(run, name, look(test, labels), partition)
    if csv is not None:
        write_long(csv, matrix.table())
    if picture is not None:
        draw_matrix(matrix, picture)
    if as_json:
        plain = {"name": matrix.name, "rows": matrix.rows, "classes": matrix.classes, "counts": matrix.counts}
        typer.echo(json.dumps(plain))
        return
    shown = console()
    told = f"{matrix.name}: {matrix.rows}; true classes down, predicted across, in row percent"
    shown.print(told, soft_wrap=True)
    table = Table("")
    for heading in (*matrix.classes, "clips"):
        table.add_column(heading, justify="right")
    for c, true in enumerate(matrix.classes):
        shares = ["-" if value != value else f"{value:.1f}" for value in matrix.percent[c]]
        table.add_row(true, *shares, str(sum(matrix.counts[c])))
    shown.print(table)
    for path in (csv, picture):
        if path is not None:
            say(f"Written: {path}")


__all__ = ["confusion"]
