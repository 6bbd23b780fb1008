"""The command `emofuse ensemble curves`."""

from pathlib import Path
from typing import Annotated

import typer

from ensembles.cli.options import Run
from features.errors import WrongUse
from features.progress import say


def curves(
    run: Run,
    names: Annotated[list[str], typer.Argument(help="Members, as ENTRY/CONFIG, or ENTRY for its best configuration.")],
    partition: Annotated[str | None, typer.Option(help="Of the trials on this partition (default: the first).")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the numbers to this CSV file.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw them side by side, as .svg or .png.")] = None,
) -> None:
    """Write or draw members' learning curves: accuracy on the clips of their fit and on held-out ones, by epoch.

    Example: emofuse ensemble curves runs/kahou2015 fusion_mlp fusion_stable --picture figure5.svg
    """
    from ensembles.comparison.curves import curves_of, curves_table
    from ensembles.predictions.long_format import write_long
    from ensembles.report.pictures import check_picture, draw_curves

    if csv is None and picture is None:
        raise WrongUse("Say where the curves go: --picture FILE.svg, --csv FILE.csv, or both.")
    if picture is not None:
        check_picture(picture)
    found = curves_of(run, names, partition)
    if csv is not None:
        write_long(csv, curves_table(found))
    if picture is not None:
        draw_curves(found, picture)
    for path in (csv, picture):
        if path is not None:
            say(f"Written: {path}")


__all__ = ["curves"]
