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
) -> None:
    """Write a run's report: models and ensembles side by side, weights, confusion matrices, the search.

    Example: emofuse report runs/first -o report.html
    """
    from ensembles.report import write_report

    typer.echo(f"The report lies in {write_report(run, out, test=look(test, labels))}")
