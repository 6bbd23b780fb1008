"""`emofuse predict`: label and probabilities for each clip, or values for each step of a recording."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.clips import read_clips
from features.errors import WrongUse

if TYPE_CHECKING:
    from ensembles.applying.asked import Asked
    from ensembles.applying.rows import Result

predict_app = typer.Typer(add_completion=False)

_CLIPS_HELP = (
    "Media files, folders of them, globs in quotes, a clip table (.parquet, or a .csv with the column path and, where "
    "there are any, clip_id, start_s and end_s), or - for such a list on stdin, one a line."
)


@predict_app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="A folder that `emofuse ensemble export` wrote.")],
    media: Annotated[list[str] | None, typer.Argument(metavar="CLIPS...", help=_CLIPS_HELP)] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Write the predictions to this .csv, .jsonl or .parquet; see --format."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="With -o: csv, jsonl, parquet, emotiw, avec2017 or avec2019 (default: by suffix)."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write a page to this .html file, with timelines of windows or steps.")
    ] = None,
    clips: Annotated[Path | None, typer.Option(help="A clip table: goes with --features.")] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(help="Imported sets that it reads: a feature store, or [NAME=]FILE of arrays; repeatable."),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PLACE", help="Weights of an encoder that the bundle doesn't hold; repeatable."),
    ] = None,
    window: Annotated[
        float | None, typer.Option(help="Of long recordings: parts of so many seconds, each predicted by itself.")
    ] = None,
    step: Annotated[
        float | None, typer.Option(help="Seconds between two windows (default: one after another).")
    ] = None,
    details: Annotated[bool, typer.Option("--details", help="Also what each member says.")] = False,
    abstain: Annotated[
        bool, typer.Option("--abstain", help="No label for clips that are unlike those that the bundle learned from.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; 0 = in this one, default: every core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per clip on stdout.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Classify media files with an exported bundle, or tell arousal and valence over time.

    With -o the rows are written as they are ready, and the same command goes on after Ctrl-C or a kill (of Parquet they
    lie in FILE.part.jsonl meanwhile). A clip that is unlike those that the bundle learned from is told. Of continuous
    emotion there is a row for each step of each recording. A clip that can't be scored gets its reason in place of a
    label; the exit code is then 1.

    Example: emofuse predict demo/bundle demo/new

    Example: emofuse predict bundle interview.mp4 --window 4 --step 1 -o interview.csv

    Example: find /data -name '*.mp4' | emofuse predict bundle - -o all.parquet
    """
    from ensembles.applying.asked import asked, asked_of_table, windows
    from ensembles.applying.many import predict_many
    from ensembles.applying.rows import Columns
    from ensembles.bundle.bundle import open_bundle
    from ensembles.bundle.given import given_features, refuse_media_alone
    from ensembles.bundle.predict import Predictor, refuse_absent
    from ensembles.bundle.weights import given_places
    from ensembles.cli.predicted import Told
    from ensembles.predictions.organisers import form_of

    if out is None and form is not None:
        raise WrongUse("--format says how -o FILE is written: give that too.")
    if bool(media) == bool(clips) or (features and not clips):
        raise WrongUse("Give either media files or --clips CLIPS; --features goes with --clips.")
    if step is not None and window is None:
        raise WrongUse("--step goes with --window, the seconds of each part.")
    kind = form_of(form, out) if out is not None else None
    refuse_absent(device)
    given, places = [str(word) for word in media or []], given_places(encoder or [])
    wanted = asked(given, sys.stdin) if given else asked_of_table(read_clips(clips or Path()))
    opened = open_bundle(bundle)
    columns = Columns.of(opened, details, abstain)
    if window is not None:
        if columns.dimensions or features:
            what = "a bundle that tells values over time anyway" if columns.dimensions else "--features"
            raise WrongUse(f"--window cuts recordings into clips, which doesn't go with {what}.")
        wanted = windows(wanted, window, window if step is None else step)
    told = Told(columns, wanted, as_json, details, kind, out, html, bundle)
    if not features:
        refuse_media_alone(opened.imported, opened.folder)
        told.tell(lambda left: predict_many(opened, left, workers=workers, device=device, encoders=places))
        return
    table = read_clips(clips or Path())
    with given_features(opened.imported, table, features, bundle) as found:
        predictor = Predictor(bundle, device, places)

        def given_clips(left: "list[Asked]") -> "Iterator[tuple[Asked, Result]]":
            some = replace(table, clips=tuple(table.by_id(clip.name) for clip in left))
            return zip(left, predictor.predict_given(replace(found, table=some)), strict=True)

        told.tell(given_clips)
