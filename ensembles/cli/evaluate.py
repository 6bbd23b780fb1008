"""`emofuse evaluate`: a bundle on labelled clips."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.clips import read_clips
from features.progress import progress, say
from features.terminal import Table, console

if TYPE_CHECKING:
    from ensembles.applying.asked import Asked
    from ensembles.applying.evaluated import Evaluated
    from ensembles.applying.evaluated_over_time import EvaluatedOverTime
    from ensembles.applying.rows import Result

evaluate_app = typer.Typer(add_completion=False)
_SHOWN = {"accuracy": "accuracy", "unweighted_accuracy": "unweighted accuracy (UAR)", "macro_f1": "macro F1"}


@evaluate_app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="A folder that `emofuse ensemble export` wrote.")],
    clips: Annotated[Path, typer.Argument(help="The table of labelled clips, made by `emofuse clips`.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write a report page to this .html file.")] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all (default: test, or all where test has no labels).")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(help="Imported sets that it reads: a feature store, or [NAME=]FILE of arrays; repeatable."),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PLACE", help="Weights of an encoder that the bundle doesn't hold; repeatable."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; 0 = in this one, default: every core.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure a bundle on labelled clips: accuracy, UAR, intervals over groups, confusion, clips that are unlike.

    Of a bundle of continuous emotion: CCC, correlation and RMSE by dimension, of each recording and group. Of a table
    with several splits only test counts, since the bundle learned from the others.

    Example: emofuse evaluate bundle clips.parquet -o evaluation.html
    """
    from ensembles.applying.evaluated import asked_of, evaluated, labelled
    from ensembles.applying.evaluated_over_time import EvaluatedOverTime, annotated, evaluated_over_time
    from ensembles.applying.given_clips import predict_table
    from ensembles.bundle.bundle import open_bundle
    from ensembles.bundle.predict import refuse_absent
    from ensembles.bundle.weights import given_places
    from ensembles.cli.evaluate_over_time import print_over_time

    refuse_absent(device)
    table, opened = read_clips(clips), open_bundle(bundle)
    ensemble = opened.ensemble
    wanted, which = (
        annotated(table, split, ensemble.outputs) if ensemble.over_time else labelled(table, split, ensemble.classes)
    )
    asked = asked_of(table, wanted)
    found = predict_table(opened, table, asked, features or [], workers, device, given_places(encoder or []))
    counted = _counted(found, len(asked), "recordings" if ensemble.over_time else "clips")
    done: Evaluated | EvaluatedOverTime
    if ensemble.over_time:
        done = evaluated_over_time(ensemble.outputs, table, wanted, counted)
    else:
        done = evaluated(ensemble.classes, wanted, counted)
    if as_json:
        print(json.dumps({"scored": which, **done.as_data()}))
    elif isinstance(done, EvaluatedOverTime):
        print_over_time(done, which)
    else:
        _print(done, which)
    if out is not None:
        _write(done, bundle, clips, which, features or [], out)
        say(f"Written: {out}")


def _write(
    done: "Evaluated | EvaluatedOverTime", bundle: Path, clips: Path, which: str, features: list[str], out: Path
) -> None:
    from ensembles.applying.evaluated_over_time import EvaluatedOverTime
    from ensembles.report.evaluation import write_evaluation
    from ensembles.report.evaluation_over_time import write_evaluation_over_time

    given = [word for place in features for word in ("--features", place)]
    if isinstance(done, EvaluatedOverTime):
        write_evaluation_over_time(done, bundle, clips, which, out, given)
    else:
        write_evaluation(done, bundle, clips, which, out, given)


def _counted(found: "Iterator[tuple[Asked, Result]]", number: int, what: str) -> "Iterator[tuple[Asked, Result]]":
    with progress(what, number, estimate=True) as counter:
        for clip, result in found:
            counter.advance(note=Path(clip.name).name)
            yield clip, result


def _print(done: "Evaluated", which: str) -> None:
    from ensembles.evaluation.metrics import recalls

    scores, intervals = done.scores, done.intervals
    groups = len(set(done.groups))
    table = Table(f"on {which}, {groups} group{'s' * (groups != 1)}", "%", "95 % interval over groups")
    for name, words in _SHOWN.items():
        one = intervals.get(name)
        table.add_row(
            words, f"{100 * getattr(scores, name):.1f}", f"{100 * one.low:.1f} to {100 * one.high:.1f}" if one else "-"
        )
    shown = console()
    shown.print(table)
    confusion = Table("true \\ predicted", *done.classes, "recall")
    for name, row, recall in zip(done.classes, scores.confusion, recalls(scores.confusion), strict=True):
        confusion.add_row(name, *map(str, row), "-" if recall is None else f"{100 * recall:.0f} %")
    shown.print(confusion)
    if unlike := int(done.unlike.sum()):
        like = done.scores_of(~done.unlike)
        rest = f"; on the others it is right in {100 * like.accuracy:.1f} %" if like else ""
        are = "clips are" if unlike > 1 else "clip is"
        shown.print(f"{unlike} {are} unlike those that it learned from{rest}.", soft_wrap=True)
    if done.without:
        name, why = next(iter(done.without.items()))
        shown.print(f"{len(done.without)} clips could not be scored, such as {name}: {why}", soft_wrap=True)
