"""The command `emofuse ensemble compare`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    look,
)
from ensembles.fitting.defaults import DEFAULT_METHOD
from features.errors import WrongUse
from features.terminal import console

if TYPE_CHECKING:
    from ensembles.predictions.sealed_scores import Look
    from models.metrics import Metric

_TWO_ALONE = (
    "compare expects the names of two stored ensembles alone, or no names but --method, --partition and --fit-split."
)
_USUAL_METHODS = ("best", "uniform", "greedy", "decision", DEFAULT_METHOD)


def compare(
    run: Run,
    first: Annotated[str | None, typer.Argument(help="An ensemble of the run.")] = None,
    second: Annotated[str | None, typer.Argument(help="Another one.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help=f"Compare methods instead of stored ensembles (repeatable): {METHODS_HELP}")
    ] = None,
    partition: Partitions = None,
    fit_split: FitSplit = None,
    score_split: ScoreSplit = None,
    seed: Seed = 0,
    test: Test = False,
    labels: Labels = None,
    metric: Annotated[
        str | None, typer.Option(help=METRICS_HELP.replace("What is maximised", "What they are compared by"))
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two ensembles of a run, or methods: paired interval over groups, and how likely chance does as much.

    Accuracies have McNemar's test, other metrics one that swaps the predictions of whole groups. Ensembles of
    continuous emotion are compared by CCC, in each dimension and in the mean.

    Two ensembles are compared with each other, methods (by default best, uniform, greedy, decision and auto) with the
    best single member; these are fitted anew and not stored.

    Example: emofuse ensemble compare runs/demo decision uniform

    Example: emofuse ensemble compare runs/demo --method greedy --method decision --score-split test
    """
    from ensembles.cli.compare_over_time import methods_over_time, two_over_time
    from ensembles.continuous.run import continuous_entries
    from ensembles.predictions.splits import scores_test, split_to_fit
    from ensembles.records.stored import open_ensemble
    from models.metrics import metric_named

    looked, split = look(scores_test(score_split, test), labels), split_to_fit(fit_split)
    by = metric_named(metric) if metric else None
    over_time, others = continuous_entries(run)
    if first is None and over_time and not others:
        _refuse_metric(metric)
        methods_over_time(run, method, partition, split, seed, looked, as_json)
    elif first is not None and second is not None and open_ensemble(run, first).over_time is not None:
        if method or partition or split:
            raise WrongUse(_TWO_ALONE)
        _refuse_metric(metric)
        two_over_time(run, first, second, looked, as_json)
    elif first is None:
        _compare_methods(run, method or list(_USUAL_METHODS), partition, split, seed, looked, by, as_json)
    elif second is None or method or partition or split:
        named = f"{'names' if second else 'name'} {' and '.join(filter(None, (first, second)))}"
        raise WrongUse(f"{_TWO_ALONE.rstrip('.')}; got the {named}.")
    else:
        _compare_two(run, first, second, looked, by, as_json)


def _refuse_metric(metric: str | None) -> None:
    if metric is not None:
        raise WrongUse(f"--metric {metric}: ensembles of continuous emotion are compared by CCC; leave --metric out.")


def _compare_two(run: Path, first: str, second: str, test: "Look", metric: "Metric | None", as_json: bool) -> None:
    from ensembles.comparison.compare import compare_ensembles
    from ensembles.comparison.tables import signed
    from ensembles.records.stored import open_ensemble

    result = compare_ensembles(run, open_ensemble(run, first), open_ensemble(run, second), test=test, metric=metric)
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    by, interval = result.metric, result.interval
    where = "test clips" if test else "held-out clips, each by weights fitted without its group"
    bounds = f", 95 % [{signed(interval.low, by)}, {signed(interval.high, by)}]" if interval else ""
    one, other = (f"{v:.3f}" if by == "log_loss" else f"{100 * v:.1f} %" for v in (result.first, result.second))
    unit = "" if by == "log_loss" else " points"
    named = "" if by == "accuracy" else f" by {by}"
    shown = console()
    shown.print(f"On {result.n_clips} {where} ({result.n_groups} groups){named}:")
    shown.print(f"  {first} {one}, {second} {other}")
    shown.print(f"  difference {signed(result.difference, by)}{unit}{bounds}; {result.test} p = {result.p_value:.3g}")
    shown.print(f"  right only in {first}: {result.only_first}, only in {second}: {result.only_second}")


def _compare_methods(
    run: Path,
    methods: list[str],
    partition: list[str] | None,
    split: str | None,
    seed: int,
    test: "Look",
    metric: "Metric | None",
    as_json: bool,
) -> None:
    from ensembles.comparison.compare import compare_methods
    from ensembles.comparison.tables import against_table, ensembles_table
    from ensembles.records.stored import ensemble_json

    ensembles = compare_methods(
        run, methods, partitions=partition, fit_split=split, seed=seed, test=test, metric=metric
    )
    if as_json:
        typer.echo(json.dumps({"ensembles": [ensemble_json(ensemble) for ensemble in ensembles]}))
        return
    shown = console()
    shown.print(ensembles_table(ensembles))
    shown.print(against_table(ensembles) or ensembles[0].note)
