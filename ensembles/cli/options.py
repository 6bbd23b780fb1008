"""Options that several commands of `emofuse ensemble` share, and what they stand for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import WrongUse
from search.run.remote import run_path

if TYPE_CHECKING:
    from ensembles.predictions.sealed_scores import Look

METRICS_HELP = (
    "What is maximised: accuracy, unweighted_accuracy, macro_f1, log_loss or macro_average_precision "
    "(default: what the run was searched for)."
)
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
Labels = Annotated[
    Path | None,
    typer.Option(
        help="With --test: labels of test clips that came later, a CSV with the columns clip_id and label; of "
        "recordings clip_id, time_s and the dimensions, or a folder of AVEC label files."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def look(test: bool, labels: Path | None) -> "Look":
    """How the test clips are looked at: not at all, by the run's own labels, or also by those of a file."""
    if labels is None:
        return test
    if not test:
        raise WrongUse("--labels are labels of test clips: give --test too, which is the final look at them.")
    from ensembles.predictions.later_labels import read_test_labels

    return read_test_labels(labels)
