"""`emofuse report`: one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from ensembles.cli.options import Labels, look
from search.run.remote import run_path

report_app = typer.Typer(add_completion=False)


@report_app.command()
def report(
    run: Annotated[Path, typer.Argument(parser=run_path, metavar="RUN", help="A run folder with predictions.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")] = Path("report.html"),
    test: Annotated[bool, typer.Option("--test", help="Also score on the test clips: a final look.")] = False,
    labels: Labels = None,
    no_media: Annotated[bool, typer.Option("--no-media", help="Show no frames of single clips.")] = False,
    sound: Annotated[bool, typer.Option("--sound", help="Let the clips that are shown be heard too.")] = False,
    static: Annotated[bool, typer.Option("--static", help="Leave out the scripts: the page says the same.")] = False,
) -> None:
    """Write a run's report, also while its search goes on: one HTML file that asks nothing of any network.

    What came out in one sentence, models and ensembles side by side, confusions, the search, single clips.

    Example: emofuse report runs/first -o report.html
    """
    from ensembles.report import write_report

    written = write_report(run, out, test=look(test, labels), pictures=not no_media, sounds=sound, static=static)
    typer.echo(f"The report lies in {written}")
