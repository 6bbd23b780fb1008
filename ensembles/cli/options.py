"""Options that several commands of `emofuse ensemble` share, and what they stand for."""

import sys
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


def ask_before_replacing(run: Path, name: str) -> None:
    """Ask before a fit takes the place of a refitted ensemble; WrongUse where nobody is there to be asked, or says no.

    Its models stay in the run, but it must be refitted to be exported, and its scores on test clips are gone.
    """
    from ensembles.records.stored import ensemble_path, read_ensemble

    path = ensemble_path(run, name)
    if not path.is_file() or any(member.refit is None for member in read_ensemble(path).members):
        return
    told = f"Ensemble {name!r} is refitted, and a new fit takes its place"
    if not sys.stdin.isatty():
        raise WrongUse(f"{told}: say --replace, or give another --name.")
    if not typer.confirm(f"{told}. Go on?"):
        raise WrongUse(f"{told}: give another --name.")
