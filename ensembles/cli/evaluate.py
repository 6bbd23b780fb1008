"""`emofuse evaluate`: a bundle on labelled clips."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.clips import read_clips
from features.errors import WrongUse
from features.progress import progress, say
from features.terminal import Table, console

if TYPE_CHECKING:
    from ensembles.applying.asked import Asked
    from ensembles.applying.evaluated import Evaluated
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
    encoder: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PLACE", help="Weights of an encoder that the bundle doesn't hold; repeatable."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; 0 = in this one, default: every core.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure a bundle on labelled clips: accuracy, UAR, intervals over groups, confusion, clips that are unlike.

    Of a table with several splits only test counts, since the bundle learned from the others.

    Example: emofuse evaluate bundle clips.parquet -o evaluation.html
    """
    from ensembles.applying.evaluated import asked_of, evaluated, labelled
    from ensembles.applying.many import predict_many
    from ensembles.bundle.bundle import open_bundle
    from ensembles.bundle.given import refuse_media_alone
    from ensembles.bundle.predict import refuse_absent
    from ensembles.bundle.weights import given_places

    refuse_absent(device)
    table, opened = read_clips(clips), open_bundle(bundle)
    if opened.ensemble.over_time:
        raise WrongUse(
            f"{bundle} tells values over time: `emofuse predict -o FILE` writes them; `evaluate` is for classes."
        )
    refuse_media_alone(opened.imported, opened.folder)
    wanted, which = labelled(table, split, opened.ensemble.classes)
    asked = asked_of(table, wanted)
    found = predict_many(opened, asked, workers=workers, device=device, encoders=given_places(encoder or []))
    done = evaluated(opened.ensemble.classes, wanted, _counted(found, len(asked)))
    if as_json:
        print(json.dumps({"scored": which, **done.as_data()}))
    else:
        _print(done, which)
    if out is not None:
        from ensembles.report.evaluation import write_evaluation

        write_evaluation(done, bundle, clips, which, out)
        say(f"Written: {out}")


def _counted(found: "Iterator[tuple[Asked, Result]]", number: int) -> "Iterator[tuple[Asked, Result]]":
    with progress("clips", number, estimate=True) as counter:
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
