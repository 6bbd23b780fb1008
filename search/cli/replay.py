"""`emofuse search replay`: train one trial again, compare, rebuild what was dropped."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from search.run.remote import run_path


def replay(
    run: Annotated[Path, typer.Argument(parser=run_path, metavar="RUN", help="The run's folder or URI.")],
    key: Annotated[str, typer.Argument(help="The trial's key, or its beginning.")],
    write: Annotated[bool, typer.Option("--write", help="Put back what was dropped: model, predictions.")] = False,
    tolerance: Annotated[float, typer.Option(min=0.0, help="The largest difference of a probability.")] = 1e-3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train one trial again and compare its predictions with the stored ones; exit code 1 when they differ.

    Example:  emofuse search replay run 3f9c21ab --write
    """
    from search.run.folder import RunFolder
    from search.study.replays import replay as again

    found = again(RunFolder.open(run), key, write=write, tolerance=tolerance)
    if as_json:
        print(json.dumps(asdict(found), indent=2))
    else:
        print(f"{found.trial}: {found.told()}")
        for place in found.written:
            print(f"written: {place}")
    found.check(tolerance)
