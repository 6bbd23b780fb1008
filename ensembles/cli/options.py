"""Options that several commands of `emofuse ensemble` share, and what they stand for."""

from pathlib import Path
from typing import Annotated

import typer

from features.errors import WrongUse
from features.names import unknown_name
from search.run.remote import run_path

METHODS_HELP = "decision, greedy, subsets, grid, lines, stacking, uniform or best."
# What docs/fusion.md found safest: with candidates at worst 1.4 points below the plain average, without them 0.3,
# and far above it where members differ.
DEFAULT_METHOD = "greedy"
DEFAULT_PARAMS = {"bagged": 10, "shrunk": True}

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


def split_to_fit(name: str | None) -> str | None:
    """The clip table's split whose held-out clips are used; WrongUse for test clips and unknown names."""
    split = _split(name)
    if split == "test":
        raise WrongUse("--fit-split expects validation or train, but got 'test': test clips are never fitted on.")
    return split


def scores_test(name: str | None, test: bool) -> bool:
    """Whether the test clips are scored; WrongUse for the train split and unknown names."""
    split = _split(name)
    if split == "train":
        raise WrongUse(f"--score-split expects validation or test, but got {name!r}: members were fitted there.")
    return test or split == "test"


def _split(name: str | None) -> str | None:
    from ensembles.predictions.long_format import SPLITS

    if name is None:
        return None
    if name not in SPLITS:
        raise unknown_name("split", name, SPLITS)
    return SPLITS[name][0]
