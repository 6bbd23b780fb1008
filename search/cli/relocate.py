"""`emofuse search relocate`: a run whose clips or features were moved."""

from pathlib import Path
from typing import Annotated

import typer

from search.run.remote import run_path


def relocate(
    run: Annotated[Path, typer.Argument(parser=run_path, metavar="RUN", help="The run's folder or URI.")],
    clips: Annotated[Path | None, typer.Option(help="Where the clip table lies now.")] = None,
    features: Annotated[
        Path | None, typer.Option("--store", "--features", help="Where the feature store lies now.")
    ] = None,
    stills: Annotated[Path | None, typer.Option(help="Where the table of stills lies now.")] = None,
) -> None:
    """Tell a run where its clips, features and stills were moved to; refit, replay and export look there from then on.

    The tables must hold the same clips. `emofuse search run` with the new paths does the same.

    Example:  emofuse search relocate run --clips /data/clips.parquet --store /data/store
    """
    from features.errors import WrongUse
    from search.run.folder import RunFolder
    from search.run.lease import exclusive

    if clips is None and features is None and stills is None:
        raise WrongUse("Nothing was said to have moved: give --clips, --store or --stills.")
    folder = RunFolder.open(run)
    with exclusive(folder.path):
        moved = folder.relocate(clips, features, stills)
    print(f"clips: {moved.clips}\nfeatures: {moved.store}" + (f"\nstills: {moved.stills}" if moved.stills else ""))
