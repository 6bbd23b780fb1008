"""Options that several commands of `emofuse ensemble` share, and what they stand for."""

from pathlib import Path
from typing import Annotated

import typer

from search.run.remote import run_path

METHODS_HELP = "auto, decision, greedy, subsets, grid, lines, stacking, uniform, votes or best."

Run = Annotated[
    Path,
    typer.Argument(
        parser=run_path, metavar="RUN", help="The run's folder or URI, as `search run` or `ensemble import` wrote it."
    ),
]
Partitions = Annotated[
    list[str] | None, typer.Option("--partition", help="Pool the trials of this partition (repeatable; default: all).")
]
FitSplit = Annotated[
    str | None,
    typer.Option("--fit-split", help="Use the held-out clips of this split only: validation or train (default: all)."),
]
ScoreSplit = Annotated[
    str | None,
    typer.Option("--score-split", help="validation: the nested estimate alone (default); test: the test clips too."),
]
Test = Annotated[
    bool, typer.Option("--test", help="The same as --score-split test: a final look, not a way to choose.")
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
