"""`emofuse predict`: label and probabilities for each clip."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import Interrupted
from features.progress import progress
from features.terminal import Table, console

if TYPE_CHECKING:
    from ensembles.bundle.predict import ClipPrediction

_WIDE = 200  # columns of a table that goes to a file or a pipe

predict_app = typer.Typer(add_completion=False)


@predict_app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="A folder that `emofuse ensemble export` wrote.")],
    clips: Annotated[list[Path], typer.Argument(help="Media files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per clip on stdout.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Classify media files with an exported bundle.

    Example: emofuse predict demo/bundle demo/new/*.mp4

    A clip that can't be scored gets its reason in place of a label; the exit code is then 1.
    """
    from ensembles.bundle.predict import ClipPrediction, Predictor, media_files

    paths = media_files(clips)
    predictor = Predictor(bundle, device)
    results: list[ClipPrediction] = []
    try:
        with progress("clips", len(paths)) as counter:
            for path in paths:
                result = predictor.predict(path)
                results.append(result)
                counter.advance(note=path.name)
                if as_json:
                    typer.echo(json.dumps(asdict(result)))
    except KeyboardInterrupt:
        told = f"interrupted after {len(results)} of {len(paths)} clips; the same command begins again."
        raise Interrupted(told) from None
    finally:
        if results and not as_json:
            _print_table(results)
    if any(result.reason for result in results):
        raise typer.Exit(1)


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
