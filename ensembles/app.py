"""The commands `emofuse ensemble ...`."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ensembles.continuous_app import continuous
from ensembles.export_app import export, refit
from features.errors import WrongUse
from features.progress import say

ensemble_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Fit, compare, refit and export ensembles of stored predictions.",
)

ensemble_app.command()(refit)
ensemble_app.command()(export)
ensemble_app.command()(continuous)

Run = Annotated[Path, typer.Argument(help="The run folder, as `search run` or `ensemble import` wrote it.")]
Partitions = Annotated[
    list[str] | None, typer.Option("--partition", help="Pool the trials of this partition (repeatable; default: all).")
]
Test = Annotated[bool, typer.Option("--test", help="Also score the test clips: a final look, not a way to choose.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_METHODS_HELP = "decision, greedy, subsets, grid, lines, stacking, uniform or best."
_PARAM_HELP = "A parameter of the method, as draws=2000; of any method: bagged=10, shrunk=true, temperatures=true."
_WIDE = 160  # columns of a table that goes to a file or a pipe


@ensemble_app.command()
def fit(
    run: Run,
    method: Annotated[str, typer.Option(help=_METHODS_HELP)] = "decision",
    name: Annotated[str | None, typer.Option("--name", "-n", help="The ensemble's name (default: the method).")] = None,
    param: Annotated[list[str] | None, typer.Option(help=_PARAM_HELP)] = None,
    partition: Partitions = None,
    entry: Annotated[list[str] | None, typer.Option(help="Only members of this entry (repeatable).")] = None,
    top: Annotated[int, typer.Option(min=0, help="At most so many members; 0: no limit.")] = 20,
    per_entry: Annotated[int, typer.Option(min=0, help="At most so many members of one entry; 0: no limit.")] = 3,
    keep_all: Annotated[bool, typer.Option("--all", help="Keep every member, duplicates and weak ones too.")] = False,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the nested estimate.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="How often it is repeated with new folds.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")] = 0,
    test: Test = False,
    as_json: AsJson = False,
) -> None:
    """Fit weights on the held-out predictions of a run and estimate what they are worth.

    Example: emofuse ensemble fit runs/demo --method decision --param draws=10000 --partition train
    """
    from ensembles.ensemble import ensemble_json, ensemble_path, write_ensemble
    from ensembles.fit import fit_ensemble
    from ensembles.selection import NO_SELECTION, Selection

    entries = tuple(entry) if entry else None
    if keep_all:
        selection = Selection(**{**asdict(NO_SELECTION), "entries": entries})
    else:
        selection = Selection(entries=entries, top=top or None, per_entry=per_entry or None)
    path = ensemble_path(run, name or method)
    ensemble = fit_ensemble(
        run,
        method,
        name=name,
        params=_params(param or []),
        selection=selection,
        partitions=partition,
        folds=folds,
        repeats=repeats,
        seed=seed,
        test=test,
    )
    write_ensemble(ensemble, path)
    if as_json:
        typer.echo(json.dumps(ensemble_json(ensemble)))
        return
    console = _console()
    console.print(_weights_table(ensemble))
    console.print(_scores_table(ensemble))
    console.print(ensemble.verdict, soft_wrap=True)
    say(f"Written: {path}")


@ensemble_app.command()
def compare(
    run: Run,
    first: Annotated[str, typer.Argument(help="An ensemble of the run.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    test: Annotated[bool, typer.Option("--test", help="Compare on the test clips instead of nested folds.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two ensembles of a run: paired bootstrap over groups and McNemar's test.

    Example: emofuse ensemble compare runs/demo decision uniform
    """
    from ensembles.compare import compare_ensembles
    from ensembles.ensemble import open_ensemble

    result = compare_ensembles(run, open_ensemble(run, first), open_ensemble(run, second), test=test)
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    where = "test clips" if test else "held-out clips, each by weights fitted without its group"
    bounds = f", 95 % [{_signed(result.interval.low)}, {_signed(result.interval.high)}]" if result.interval else ""
    console = _console()
    console.print(f"On {result.n_clips} {where} ({result.n_groups} groups):")
    console.print(f"  {first} {100 * result.first:.1f} %, {second} {100 * result.second:.1f} %")
    console.print(f"  difference {_signed(result.difference)} points{bounds}")
    console.print(
        f"  right only in {first}: {result.only_first}, only in {second}: {result.only_second}; "
        f"McNemar p = {result.p_value:.3g}"
    )


@ensemble_app.command()
def leaderboard(
    run: Run,
    partition: Partitions = None,
    top: Annotated[int, typer.Option(min=0, help="Show so many members; 0: all.")] = 30,
    test: Test = False,
    as_json: AsJson = False,
) -> None:
    """List the members of a run by held-out accuracy, and its ensembles with their honest estimates.

    Example: emofuse ensemble leaderboard runs/demo
    """
    from ensembles.ensemble import ensemble_json
    from ensembles.leaderboard import leaderboard as make

    board = make(run, partition, test=test)
    if as_json:
        ensembles = [ensemble_json(ensemble) for ensemble in board.ensembles]
        typer.echo(json.dumps({**asdict(replace(board, ensembles=())), "ensembles": ensembles}))
        return
    console = _console()
    title = f"{len(board.members)} members on {board.n_clips} held-out clips of {', '.join(board.partitions)}"
    table = Table(title=title, title_justify="left")
    for column in ("member", "hyperparameters"):
        table.add_column(column, overflow="fold")
    columns = ["accuracy", "mean over partitions", "unweighted", "log-loss", "scored", "epochs", "seconds"]
    for column in [*columns, "test accuracy"] if test else columns:
        table.add_column(column, justify="right")
    for row in board.members[: top or None]:
        cells = [_pct(row.accuracy), _pct(row.mean_accuracy), _pct(row.unweighted_accuracy), f"{row.log_loss:.3f}"]
        cells += [_pct(row.coverage), f"{row.epochs:.0f}", f"{row.wall_s:.1f}"]
        table.add_row(row.name, row.hyperparameters, *cells, *([_pct(row.test_accuracy or 0)] if test else []))
    console.print(table)
    if len(board.members) > (top or len(board.members)):
        console.print(f"... and {len(board.members) - top} more: --top 0 lists all.")
    if board.ensembles:
        console.print(_ensembles_table(board.ensembles))
    if board.left_out:
        say(f"{len(board.left_out)} members left out: {'; '.join(sorted(set(board.left_out.values())))}.")


@ensemble_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: sample_id, split, label, model, p_<class>...")],
    run: Annotated[Path, typer.Option("--output", "-o", help="The run folder to add to; made where absent.")],
    role: Annotated[
        list[str] | None, typer.Option(help="Give a split another role, as train=held_out (repeatable).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let other tools' predictions join an ensemble.

    Rows of split validation (val, dev, oof) are held out, those of train count as fitted on, those of test are test
    clips. NaN marks clips that a model could not score. A column group_id is optional.

    Example: emofuse ensemble import predictions.csv -o runs/mine
    """
    from ensembles.exchange import import_long

    done = import_long(file, run, _pairs(role or [], "--role", "train=held_out"))
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    counts = ", ".join(f"{count} {name}" for name, count in done.samples.items() if count)
    _console().print(f"{len(done.entries)} models with {counts} samples are in {run}.", soft_wrap=True)
    if done.normalised:
        say(f"{done.normalised} rows did not sum to 1 and were normalised.")
    if done.missing:
        say(f"{done.missing} rows without scores count as clips that their model lacks.")


@ensemble_app.command()
def dump(
    run: Run,
    file: Annotated[Path, typer.Option("--output", "-o", help="Where to write, ending in .csv or .parquet.")],
    partition: Partitions = None,
) -> None:
    """Write the predictions of a run as one long table for other tools.

    Example: emofuse ensemble dump runs/demo -o predictions.parquet
    """
    from ensembles.exchange import dump_long

    done = dump_long(run, file, partition)
    _console().print(f"{done.models} models, {done.rows} rows: {file}", soft_wrap=True)
    if done.left_out:
        say(f"{len(done.left_out)} members left out: {'; '.join(sorted(set(done.left_out.values())))}.")


def _params(texts: list[str]) -> dict[str, Any]:
    return {name: _value(text) for name, text in _pairs(texts, "--param", "draws=2000").items()}


def _pairs(texts: list[str], option: str, example: str) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    for name, value in pairs.items():
        if not name or not value:
            raise WrongUse(f"{option} expects NAME=VALUE, as {example}, but got {name + value!r}.")
    return pairs


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


def _weights_table(ensemble) -> Table:
    title = f"Weights of {ensemble.name}: {len(ensemble.members)} members of {ensemble.n_candidates}"
    table = Table(title=title, title_justify="left")
    table.add_column("member", overflow="fold")
    for name in ensemble.classes:
        table.add_column(name, justify="right")
    for member, row in zip(ensemble.members, ensemble.weights, strict=True):
        table.add_row(member.name, *(f"{weight:.2f}" for weight in row))
    return table


_HOWS = {
    "fit": "on the rows that chose it",
    "nested": "honest estimate (nested)",
    "test": "test clips",
    "test_refit": "test clips, refitted",
}


def _scores_table(ensemble) -> Table:
    from ensembles.ensemble import percent

    single = f"best single member ({ensemble.best_single})"
    names = {"ensemble": ensemble.name, "best_single": single, "uniform_average": "plain average of its members"}
    table = Table(title="Accuracy in % with 95 % intervals over groups", title_justify="left")
    table.add_column("", overflow="fold")
    hows = [how for how in _HOWS if how in ("fit", "nested") or how in ensemble.scores["ensemble"]]
    for how in hows:
        table.add_column(_HOWS[how], justify="right")
    for who, label in names.items():
        scores = ensemble.scores.get(who, {})
        table.add_row(label, *(percent(scores[how]) if how in scores else "-" for how in hows))
    return table


def _ensembles_table(ensembles) -> Table:
    from ensembles.ensemble import percent

    table = Table(title="Ensembles, accuracy in % with 95 % intervals over groups", title_justify="left")
    hows = [how for how in _HOWS if how in ("fit", "nested") or any(how in e.scores["ensemble"] for e in ensembles)]
    for column in ("ensemble", "method", "members", *(_HOWS[how] for how in hows), "best single (nested)"):
        table.add_column(column, justify="left" if column in ("ensemble", "method") else "right")
    for ensemble in ensembles:
        own, single = ensemble.scores["ensemble"], ensemble.scores["best_single"]
        cells = [percent(own[how]) if how in own else "-" for how in hows]
        cells.append(percent(single["nested"]) if "nested" in single else "-")
        table.add_row(ensemble.name, ensemble.method, str(len(ensemble.members)), *cells)
    return table


def _pct(value: float) -> str:
    return f"{100 * value:.1f}"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}"
