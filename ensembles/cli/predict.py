"""`emofuse predict`: label and probabilities for each clip, or values for each step of a recording."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from features.clips import read_clips
from features.errors import EmofuseError, Interrupted, WrongUse
from features.progress import progress, say
from features.terminal import Table, console

if TYPE_CHECKING:
    from ensembles.bundle.predict import ClipPrediction, TracePrediction
    from ensembles.predictions.organisers import Form

    Result = ClipPrediction | TracePrediction

_WIDE = 200  # columns of a table that goes to a file or a pipe

predict_app = typer.Typer(add_completion=False)


@predict_app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="A folder that `emofuse ensemble export` wrote.")],
    media: Annotated[list[Path] | None, typer.Argument(help="Media files, or folders of them.")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the predictions to this file, for AVEC's forms folder.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="With -o: emotiw, avec2017, avec2019, csv, jsonl or parquet (default: by suffix)."
        ),
    ] = None,
    clips: Annotated[Path | None, typer.Option(help="A clip table in their place, whose clips are predicted.")] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(help="Imported sets that it reads: a feature store, or [NAME=]FILE of arrays; repeatable."),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PLACE", help="Weights of an encoder that the bundle doesn't hold; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per clip on stdout.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Classify media files with an exported bundle, or tell arousal and valence over time.

    Example: emofuse predict demo/bundle demo/new/*.mp4

    Example: emofuse predict bundle interview.mp4 --format avec2019 -o interview

    Of continuous emotion a row is printed for each step of each recording. A clip that can't be scored gets its reason
    in place of a label; the exit code is then 1.
    """
    from ensembles.bundle.predict import Predictor, media_files
    from ensembles.bundle.weights import given_places
    from ensembles.predictions.organisers import form_of

    if out is None and form is not None:
        raise WrongUse("--format says how -o FILE is written: give that too.")
    if bool(media) == bool(clips) or (features and not clips):
        raise WrongUse("Give either media files or --clips CLIPS; --features goes with --clips.")
    kind = form_of(form, out) if out is not None else None
    paths = media_files(media or [])
    predictor = Predictor(bundle, device, given_places(encoder or []))
    told = _Told(as_json, out, kind, "recordings" if predictor.bundle.ensemble.over_time else "clips")
    if clips:
        from ensembles.bundle.given import given_features

        table = read_clips(clips)
        with given_features(predictor.bundle.imported, table, features or [], bundle) as given:
            told.tell(predictor.predict_given(given), len(table))
    elif predictor.bundle.ensemble.over_time:
        told.tell(map(predictor.trace, paths), len(paths))
    else:
        told.tell(map(predictor.predict, paths), len(paths))


@dataclass(frozen=True)
class _Told:
    """How the results are told: as JSON, in a file of some form, or as a table; `what` is counted."""

    as_json: bool
    out: Path | None
    kind: "Form | None"
    what: str

    def tell(self, found: "Iterator[Result]", number: int) -> None:
        """Each result as it is ready, then all; exit code 1 where one has none."""
        results: list[Result] = []
        try:
            with progress(self.what, number) as counter:
                for result in found:
                    results.append(result)
                    counter.advance(note=Path(result.path).name)
                    if self.as_json:
                        typer.echo(json.dumps(_as_data(result)))
        except KeyboardInterrupt:
            told = f"interrupted after {len(results)} of {number} clips; the same command begins again."
            raise Interrupted(told) from None
        finally:
            if results and not self.as_json and self.out is None:
                _print(results)
        if self.out is not None and self.kind is not None:
            _write(results, self.kind, self.out)
        if any(result.reason for result in results):
            raise typer.Exit(1)


def _as_data(result: "Result") -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(result).items()}


def _print(results: "Sequence[Result]") -> None:
    from ensembles.bundle.predict import ClipPrediction, TracePrediction

    traces = [result for result in results if isinstance(result, TracePrediction)]
    if not traces:
        _print_table([result for result in results if isinstance(result, ClipPrediction)])
        return
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["recording", "time_s", *map(_no_formula, traces[0].dimensions)])
    for trace in traces:
        name = _no_formula(trace.path)
        for time_s, values in zip(trace.time_s.tolist(), trace.values.tolist(), strict=True):
            rows.writerow([name, f"{time_s:.6g}", *(f"{value:.6f}" for value in values)])
    _tell(traces)


def _no_formula(text: str) -> str:
    import pyarrow as pa

    from features.tables.spreadsheets import quoted

    return str(quoted(pa.table({"text": [text]}))["text"][0])


def _write(results: "Sequence[Result]", kind: "Form", out: Path) -> None:
    from ensembles.bundle.predict import ClipPrediction, TracePrediction
    from ensembles.predictions.organisers import ClassPredictions, TracePredictions, write_form

    scored = [result for result in results if result.reason is None]
    _tell(results)
    if not scored:
        raise EmofuseError(f"{out}: nothing was written, since no file could be scored.")
    stems = [str(Path(result.path).with_suffix("")) for result in scored]
    # A recording's name is the organisers' id; two files of one name keep their endings.
    names = [stem if stems.count(stem) == 1 else result.path for stem, result in zip(stems, scored, strict=True)]
    traces = [result for result in scored if isinstance(result, TracePrediction)]
    if traces:
        found = {name: (own.time_s, own.values) for name, own in zip(names, traces, strict=True)}
        write_form(TracePredictions(traces[0].dimensions, found), kind, out)
    else:
        classes = [result.probabilities for result in scored if isinstance(result, ClipPrediction)]
        columns = tuple(classes[0])
        values = np.array([[own[name] for name in columns] for own in classes])
        write_form(ClassPredictions(tuple(names), columns, values, np.ones(len(names), bool)), kind, out)
    say(f"{len(scored)} of {len(results)} files scored: {out}")


def _tell(results: "Sequence[Result]") -> None:
    """Say which files could not be scored, or not by all members."""
    for result in results:
        if result.reason:
            say(f"{result.path}: {result.reason}")
        elif remark := _remark(result.left_out):
            say(f"{result.path}: {remark}")


def _print_table(results: "list[ClipPrediction]") -> None:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("clip", "label", "probability", "runners-up", "remark"):
        table.add_column(heading, justify="right" if heading == "probability" else "left", overflow="fold")
    for result in results:
        name = Path(result.path).name
        if result.reason:
            table.add_row(name, "-", "", "", result.reason)
            continue
        first, *others = sorted(result.probabilities.items(), key=lambda item: -item[1])
        runners_up = ", ".join(f"{label} {p:.2f}" for label, p in others[:2])
        table.add_row(name, first[0], f"{first[1]:.2f}", runners_up, _remark(result.left_out))
    console(wide=_WIDE).print(table)


def _remark(left_out: dict[str, str]) -> str:
    if not left_out:
        return ""
    reasons = sorted({reason.split(":")[0] for reason in left_out.values()})
    return f"without {len(left_out)} members ({', '.join(reasons)})"
