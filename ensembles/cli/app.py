"""The commands `emofuse ensemble ...`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ensembles.cli.ablation import ablation
from ensembles.cli.compare import compare
from ensembles.cli.confusion import confusion
from ensembles.cli.continuous import continuous
from ensembles.cli.curves import curves
from ensembles.cli.export import export, refit
from ensembles.cli.figures import filters, traces, windows
from ensembles.cli.leaderboard import leaderboard
from ensembles.cli.options import (
    METHODS_HELP,
    METRICS_HELP,
    AsJson,
    FitSplit,
    Labels,
    Partitions,
    Run,
    ScoreSplit,
    Seed,
    Test,
    ask_before_replacing,
    look,
)
from ensembles.cli.predictions import predictions
from ensembles.cli.submissions import submissions
from ensembles.fitting.defaults import DEFAULT_METHOD
from features.errors import WrongUse
from features.progress import say
from features.terminal import command, console, order

ensemble_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Fit, compare, refit and export ensembles of stored predictions.",
)

ensemble_app.command()(refit)
ensemble_app.command()(export)
ensemble_app.command()(continuous)
ensemble_app.command()(compare)
ensemble_app.command()(leaderboard)
ensemble_app.command()(confusion)
ensemble_app.command()(ablation)
ensemble_app.command()(curves)
ensemble_app.command()(filters)
ensemble_app.command()(windows)
ensemble_app.command()(traces)
ensemble_app.command()(predictions)
ensemble_app.command()(submissions)

_PARAM_HELP = "A parameter of the method, as draws=2000; of any method: bagged=10, shrunk=true, temperatures=true."


@ensemble_app.command()
def fit(
    run: Run,
    method: Annotated[
        str, typer.Option(help=f"{METHODS_HELP} auto chooses among safe and flexible ones (docs/fusion.md).")
    ] = DEFAULT_METHOD,
    name: Annotated[str | None, typer.Option("--name", "-n", help="The ensemble's name (default: the method).")] = None,
    param: Annotated[list[str] | None, typer.Option(help=_PARAM_HELP)] = None,
    partition: Partitions = None,
    entry: Annotated[list[str] | None, typer.Option(help="Only members of this entry (repeatable).")] = None,
    member: Annotated[
        list[str] | None,
        typer.Option(help="Exactly these members: ENTRY (its best configuration) or ENTRY/CONFIG; repeatable."),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="At most so many members; 0: no limit.")] = 20,
    per_entry: Annotated[int, typer.Option(min=0, help="At most so many members of one entry; 0: no limit.")] = 3,
    where: Annotated[
        list[str] | None, typer.Option(help="Only members with this hyperparameter, as window=8 (repeatable).")
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option(min=0, help="Only members whose models together take no more ms per clip (the best first)."),
    ] = None,
    keep_all: Annotated[bool, typer.Option("--all", help="Keep every member, duplicates and weak ones too.")] = False,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the nested estimate.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="How often it is repeated with new folds.")] = 1,
    metric: Annotated[str | None, typer.Option(help=METRICS_HELP)] = None,
    task: Annotated[
        str | None, typer.Option(help="classification or regression, where a run has members of both.")
    ] = None,
    seed: Seed = 0,
    fit_split: FitSplit = None,
    score_split: ScoreSplit = None,
    test: Test = False,
    labels: Labels = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of a refitted ensemble of this name, without asking.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fit weights on the held-out predictions of a run and estimate what they are worth.

    Of continuous emotion the weights are those of highest CCC by dimension; the methods are then auto, concordance,
    uniform and best, each with recalibrate=true if you like (docs/continuous.md).

    Example: emofuse ensemble fit runs/demo --method decision --param draws=10000 --partition train
    """
    from ensembles.comparison.tables import choice_table, metric_table, scores_table, weights_table
    from ensembles.comparison.tables_over_time import scores_over_time
    from ensembles.fitting.advice import advice
    from ensembles.fitting.options import FitOptions
    from ensembles.fitting.selection import make_selection
    from ensembles.fitting.store import fit_and_store
    from ensembles.predictions.splits import scores_test, split_to_fit
    from ensembles.records.stored import ensemble_json, ensemble_path
    from models.metrics import metric_named
    from search.run.remote import shown as run_shown
    from search.watch.following import after_fit

    options = FitOptions(
        method,
        name=name,
        params=_params(param or []),
        selection=make_selection(entry, top, per_entry, keep_all, member, latency_ms),
        partitions=partition,
        fit_split=split_to_fit(fit_split),
        folds=folds,
        repeats=repeats,
        seed=seed,
        metric=metric_named(metric) if metric else None,
        where={name: _value(text) for name, text in _pairs(where or [], "--where", "window=8").items()},
        task=task,
    )
    if not replace:
        ask_before_replacing(run, name or method)
    ensemble = fit_and_store(run, options, test=look(scores_test(score_split, test), labels))
    if as_json:
        typer.echo(json.dumps(ensemble_json(ensemble)))
        return
    shown = console()
    shown.print(weights_table(ensemble))
    if ensemble.choice:
        shown.print(choice_table(ensemble))
    shown.print(scores_over_time(ensemble) if ensemble.over_time else scores_table(ensemble))
    if ensemble.metric not in ("accuracy", "ccc"):
        shown.print(metric_table(ensemble))
    shown.print(ensemble.verdict, soft_wrap=True)
    if todo := advice(ensemble, run_shown(run)):
        shown.print(todo, soft_wrap=True)
    following = after_fit(run, run_shown(run))
    say(f"Written: {ensemble_path(run, ensemble.name)}{following and f'. {following}'}")


@ensemble_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: sample_id, split, label, model, p_<class>...")],
    run: Annotated[Path, typer.Option("-o", "--out", "--output", help="The run folder to add to; made where absent.")],
    role: Annotated[
        list[str] | None, typer.Option(help="Give a split another role, as train=held_out (repeatable).")
    ] = None,
    logits: Annotated[
        bool, typer.Option("--logits", help="The scores are logits: softmax makes probabilities of them.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put these in the place of earlier imports of the same models.")
    ] = False,
    max_gb: Annotated[float, typer.Option(min=0, help="Refuse a file that takes more GB of memory than this.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Let other tools' predictions join an ensemble.

    Rows of split validation (val, dev, oof) are held out, those of train count as fitted on, those of test are test
    clips. NaN marks clips that a model could not score. A column group_id (speaker, subject, film) keeps
    clips of one person together.

    Example: emofuse ensemble import predictions.csv -o runs/mine
    """

    from ensembles.predictions.exchange import import_long
    from ensembles.records.stored import readable_ensembles

    roles = _pairs(role or [], "--role", "train=held_out")
    done = import_long(file, run, roles, max_gb, logits=logits, replace=replace)
    gone = set(done.replaced)
    outdated = [e.name for e in readable_ensembles(run) if any(gone & set(m.trials.values()) for m in e.members)]
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    counts = ", ".join(f"{count} {name}" for name, count in done.samples.items() if count)
    console().print(f"Models imported into {run}: {len(done.entries)}, with {counts} samples.", soft_wrap=True)
    if not done.samples["held_out"]:
        say(f"No clip is held out, so no weights can be fitted. {_no_held_out(done.samples['fit'])}")
    if done.replaced:
        say(f"Earlier predictions replaced: {len(done.replaced)}.")
    if outdated:
        say(f"Ensembles that were fitted on them, to be fitted again: {', '.join(outdated)}.")
    if done.softmax:
        say(f"softmax was applied to {done.softmax} rows of logits.")
    if done.normalised:
        say(f"{done.normalised} rows did not sum to 1 and were normalised (logits need --logits).")
    if done.missing:
        say(f"{done.missing} rows without scores count as clips that their model lacks.")
    if done.samples["held_out"]:
        say(f"Next: {command('ensemble', 'fit', run)}")


def _no_held_out(train: int) -> str:
    if not train:
        return "Rows of split validation are held out."
    return (
        f"The {train} clips of split train count as fitted on; if no model was fitted on them, as out of folds or "
        "where it was trained elsewhere, say `--role train=held_out`."
    )


@ensemble_app.command()
def dump(
    run: Run,
    file: Annotated[Path, typer.Option("-o", "--out", "--output", help="Where to write, ending in .csv or .parquet.")],
    partition: Partitions = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave text in a CSV as it is, also where a spreadsheet would run it.")
    ] = False,
) -> None:
    """Write the predictions of a run as one long table for other tools.

    In a CSV, text that a spreadsheet would run as a formula (it begins with =, +, - or @) gets a ' before it, which
    `emofuse ensemble import` takes away again.

    Example: emofuse ensemble dump runs/demo -o predictions.parquet
    """

    from ensembles.predictions.exchange import dump_long

    done = dump_long(run, file, partition, raw)
    console().print(f"{done.models} models, {done.rows} rows: {file}", soft_wrap=True)
    if done.left_out:
        say(f"{len(done.left_out)} members left out: {'; '.join(sorted(set(done.left_out.values())))}.")


order(ensemble_app, "leaderboard", "fit", "compare", "refit", "export", "import", "predictions", "dump")


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
