"""`emofuse search doctor`: look before a search starts."""

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from search.cli.recipes import RecipeFile


def doctor(
    recipe: RecipeFile,
    clips: Annotated[Path | None, typer.Option(help="The clip table.")] = None,
    features: Annotated[
        Path | None, typer.Option("--store", "--features", help="The feature store of these clips.")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="RUN", help="The run's folder, or s3://bucket/run.")
    ] = None,
    stills: Annotated[Path | None, typer.Option(help="The table of stills that backbones are trained on.")] = None,
    address: Annotated[
        str | None, typer.Option(help="The Ray cluster to look at (auto, or host:port; default: this machine).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check recipe, machines and storage before a search starts; exit code 1 where something would fail.

    Example:  emofuse search doctor recipes/start.yaml --clips clips.parquet --store store -o run --address auto
    """
    from search.cluster.doctor import Patient, examine
    from search.recipe.reading import read_recipe
    from search.run.remote import is_uri

    place = out if out is None or is_uri(out) else str(Path(out).resolve())
    patient = Patient(read_recipe(recipe, features), clips, features, stills, place, address)
    findings = []
    stdout = sys.stdout
    with redirect_stdout(sys.stderr):  # Ray tells of dead nodes on stdout
        for finding in examine(patient):
            findings.append(finding)
            if not as_json:
                print(finding, file=stdout, flush=True)
    problems = sum(finding.level == "problem" for finding in findings)
    if as_json:
        print(json.dumps({"problems": problems, "findings": [asdict(finding) for finding in findings]}, indent=2))
    if problems:
        raise typer.Exit(1)
