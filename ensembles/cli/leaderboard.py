"""The command `emofuse ensemble leaderboard`."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ensembles.cli.options import (
    METRICS_HELP,
    AsJson,
    FitSplit,
    Labels,
    Partitions,
    Run,
    ScoreSplit,
    Test,
    look,
)
from features.progress import say
from features.terminal import Table, console

if TYPE_CHECKING:
    from ensembles.continuous.later import LookOverTime
    from ensembles.continuous.run import ContinuousRun

# The first goes first where a terminal is narrow.
_DROPPED = (
    "hyperparameters",
    "seconds",
    "epochs",
    "scored",
    "mean over partitions",
    "ms per clip",
    "unweighted",
    "log-loss",
)
_DROPPED_OF_ENSEMBLES = ("clips of training", "on the rows that chose it", "members", "best single (nested)", "method")


def leaderboard(
    run: Run,
    method: Annotated[
        list[str] | None, typer.Option(help="Only stored ensembles of this method (repeatable; default: all).")
    ] = None,
    partition: Partitions = None,
    fit_split: FitSplit = None,
    score_split: ScoreSplit = None,
    top: Annotated[int, typer.Option(min=0, help="Show so many members; 0: all.")] = 30,
    recall: Annotated[
        bool, typer.Option("--recall", help="Also recall by class, macro average precision, accuracy on fitted clips.")
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Also write all columns to this CSV file.")] = None,
    test: Test = False,
    labels: Labels = None,
    metric: Annotated[
        str | None, typer.Option(help=METRICS_HELP.replace("What is maximised", "What orders the members"))
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="All columns, also where they don't fit the terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the members of a run by the metric it was searched for, and its ensembles with their honest estimates.

    That is the held-out accuracy where the recipe names no `metric`, of continuous emotion the CCC.

    Example: emofuse ensemble leaderboard runs/demo
    """
    from ensembles.cli.narrow import narrowed, room
    from ensembles.comparison.leaderboard import board_table
    from ensembles.comparison.leaderboard import leaderboard as make
    from ensembles.comparison.tables import classes_tables, ensembles_table, pct, seeds_table
    from ensembles.continuous.later import seen_over_time
    from ensembles.continuous.run import continuous_entries, read_continuous_run
    from ensembles.fitting.cost import in_ms
    from ensembles.predictions.later_annotations import TestAnnotations
    from ensembles.predictions.long_format import write_long
    from ensembles.predictions.splits import scores_test, split_to_fit
    from ensembles.records.ensemble import with_interval
    from ensembles.records.stored import ensemble_json
    from models.metrics import metric_named

    test = scores_test(score_split, test)
    looked = look(test, labels)
    over_time, others = continuous_entries(run)
    told: dict[str, Any] = {}
    if over_time:
        # Of a run with members of both kinds the labels are for the one that they are labels of.
        seen = seen_over_time(looked) if not others or isinstance(looked, TestAnnotations) else test
        found = read_continuous_run(run, partition, seen, split_to_fit(fit_split))
        shown_top = None if as_json else top
        told = {"continuous": _over_time(run, found, method, shown_top, seen, None if others else csv)}
        if not others:
            if as_json:
                typer.echo(json.dumps(told))
            return
    board = make(
        run,
        partition,
        test=test if over_time and isinstance(looked, TestAnnotations) else looked,
        split=split_to_fit(fit_split),
        intervals=top or None,
        metric=metric_named(metric) if metric else None,
    )
    if method:
        board = replace(board, ensembles=tuple(e for e in board.ensembles if e.method in method))
    if csv is not None:
        write_long(csv, board_table(board))
    if as_json:
        ensembles = [ensemble_json(ensemble) for ensemble in board.ensembles]
        typer.echo(json.dumps({**asdict(replace(board, ensembles=())), "ensembles": ensembles, **told}))
        return
    shown = console()
    title = f"{len(board.members)} members on {board.n_clips} held-out clips of {', '.join(board.partitions)}"
    if board.metric != "accuracy":
        title += f", by {board.metric}"
    title += "; accuracy in % with 95 % intervals over groups"
    table = Table(title=title)
    for column in ("member", "hyperparameters"):
        table.add_column(column, overflow="fold")
    columns = [
        "accuracy",
        "mean over partitions",
        "unweighted",
        "log-loss",
        "scored",
        "epochs",
        "seconds",
        "ms per clip",
    ]
    extra = board.metric not in ("accuracy", "unweighted_accuracy", "log_loss")
    columns = [*columns[:3], *([board.metric] if extra else []), *columns[3:]]
    for column in [*columns, "test accuracy"] if test else columns:
        table.add_column(column, justify="right")
    for row in board.members[: top or None]:
        cells = [with_interval(row.accuracy, row.interval), pct(row.mean_accuracy), pct(row.unweighted_accuracy)]
        cells += [pct(row.reached(board.metric))] if extra else []
        cells += [f"{row.log_loss:.3f}", pct(row.coverage), f"{row.epochs:.0f}", f"{row.wall_s:.1f}"]
        cells.append(in_ms(row.predict_s))
        if test:
            cells.append(with_interval(row.test_accuracy or 0, row.test_interval))
        table.add_row(row.name, row.hyperparameters, *cells)
    width = room(wide)
    shown = console() if width is None else console(width=width)
    gone = narrowed(table, width, _DROPPED)
    shown.print(table)
    if gone:
        shown.print(f"Left out here: {', '.join(gone)}; --wide shows them.")
    if len(board.members) > (top or len(board.members)):
        shown.print(f"... and {len(board.members) - top} more: --top 0 lists all.")
    if (repeated := seeds_table(board, top)) is not None:
        shown.print(repeated)
    if board.ensembles:
        ensembles_shown = ensembles_table(board.ensembles)
        narrowed(ensembles_shown, width, _DROPPED_OF_ENSEMBLES)
        shown.print(ensembles_shown)
    if recall:
        for table in classes_tables(board, top):
            shown.print(table)
    if board.left_out:
        say(f"{len(board.left_out)} members left out: {'; '.join(sorted(set(board.left_out.values())))}.")


def _over_time(
    run: Path,
    found: "ContinuousRun",
    methods: list[str] | None,
    top: int | None,
    test: "LookOverTime",
    csv: Path | None,
) -> dict[str, Any]:
    """Members and ensembles of continuous emotion: as data, as tables (unless `top` is None), as a file if wanted."""
    from ensembles.comparison.tables_over_time import (
        board_over_time,
        by_worth,
        ensembles_over_time,
        members_table,
        seeds_over_time,
    )
    from ensembles.fitting.fit_over_time import score_later
    from ensembles.predictions.later_annotations import TestAnnotations
    from ensembles.predictions.long_format import write_long
    from ensembles.records.stored import ensemble_json, readable_ensembles

    fused = [e for e in by_worth(readable_ensembles(run)) if not methods or e.method in methods]
    if isinstance(test, TestAnnotations):
        fused = [score_later(run, ensemble, test) for ensemble in fused]
    if top is not None:
        console().print(members_table(found, top, bool(test)))
        if (repeated := seeds_over_time(found, top)) is not None:
            console().print(repeated)
        if fused:
            console().print(ensembles_over_time(fused))
    if csv is not None:
        write_long(csv, board_over_time(found, fused))
    return {**found.as_data(), "ensembles": [ensemble_json(ensemble) for ensemble in fused]}
