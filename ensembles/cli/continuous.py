"""The command `emofuse ensemble continuous`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import WrongUse
from features.progress import say
from features.terminal import Table, command, console

if TYPE_CHECKING:
    from ensembles.continuous.evaluate import ContinuousResult
    from ensembles.continuous.recordings import Recordings

_WHO = {"best_single": "best single", "average": "plain average", "fusion": "fusion"}


def continuous(
    predictions: Annotated[
        Path,
        typer.Argument(help="CSV or Parquet: session, time_s, system, a column per dimension; group_id if known."),
    ],
    labels: Annotated[Path | None, typer.Option(help="Folder of AVEC label files, one CSV per recording.")] = None,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="Also fit an offset and a scale per dimension, for all three.")
    ] = False,
    bagged: Annotated[int, typer.Option(min=0, help="The mean over so many bootstrap samples; 0: none.")] = 0,
    shrunk: Annotated[
        bool, typer.Option("--shrunk", help="Weights moved toward equal ones as far as inner folds advise.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--out", "--output", help="Also write the fusion with its scores to this JSON file."),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the nested estimate.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Shuffles the folds and draws the bootstraps.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Fuse other tools' predictions of arousal, valence and the like: weights per system and dimension of highest CCC.

    Recordings are concatenated; predictions longer than the labels are cut, shorter ones repeat their last value. The
    predictions of a run are fused by `emofuse ensemble fit`.

    Example: emofuse ensemble continuous predictions.parquet --labels labels --recalibrate -o fusion.json
    """
    from ensembles.continuous.evaluate import evaluate
    from ensembles.continuous.stored import result_json, write_continuous

    result = evaluate(_recordings(predictions, labels), folds, seed, recalibrate, bagged, shrunk)
    if output is not None:
        write_continuous(result, output)
    if as_json:
        typer.echo(json.dumps(result_json(result)))
        return
    shown = console()
    shown.print(_scores_table(result))
    shown.print(_weights_table(result, recalibrate))
    for one in result.dimensions:
        shown.print(one.verdict, soft_wrap=True)
    if output is not None:
        say(f"Written: {output}")


def _recordings(predictions: Path, labels: Path | None) -> "Recordings":
    from ensembles.continuous.avec import read_recordings

    if (predictions / "predictions").is_dir():
        raise WrongUse(f"{predictions} is a run: fuse its predictions by `{command('ensemble', 'fit', predictions)}`.")
    if labels is None:
        raise WrongUse("Predictions in a file need --labels, the folder of their AVEC label files.")
    return read_recordings(predictions, labels)


def _scores_table(result: "ContinuousResult") -> Table:
    title = (
        f"CCC on {result.n_recordings} recordings ({result.n_samples} samples, {result.n_groups} groups); "
        f"nested: {result.folds} folds, 95 % intervals over groups"
    )
    table = Table(title=title)
    table.add_column("dimension")
    table.add_column("predicted by", overflow="fold")
    table.add_column("on the rows that chose it", justify="right")
    table.add_column("honest estimate (nested)", justify="right")
    for one in result.dimensions:
        for who, label in _WHO.items():
            score = one.scores[who]
            name = f"{label} ({one.best_single})" if who == "best_single" else label
            bounds = f" [{score.interval.low:.3f}, {score.interval.high:.3f}]" if score.interval else ""
            nested = "-" if score.nested is None else f"{score.nested:.3f}{bounds}"
            dimension = one.dimension if who == "best_single" else ""
            table.add_row(dimension, name, f"{score.fit:.3f}", nested, end_section=who == "fusion")
    return table


def _weights_table(result: "ContinuousResult", recalibrate: bool) -> Table:
    table = Table(title="Weights")
    table.add_column("system", overflow="fold")
    for one in result.dimensions:
        table.add_column(one.dimension, justify="right")
    for system in result.dimensions[0].weights:
        table.add_row(system, *(f"{one.weights[system]:.2f}" for one in result.dimensions))
    if recalibrate:
        table.add_section()
        table.add_row("scale of the fusion", *(f"{one.scale:.3f}" for one in result.dimensions))
        table.add_row("offset of the fusion", *(f"{one.offset:+.3f}" for one in result.dimensions))
    return table


__all__ = ["continuous"]
