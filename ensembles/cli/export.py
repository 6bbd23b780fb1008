"""The commands `emofuse ensemble refit` and `export`."""

from pathlib import Path
from typing import Annotated

import typer

from features.progress import say
from features.ray_access import AllowOpen
from search.run.remote import run_path


def refit(
    run: Annotated[Path, typer.Argument(parser=run_path, metavar="RUN", help="The run folder.")],
    name: Annotated[str, typer.Argument(help="The ensemble's name.")],
    address: Annotated[str | None, typer.Option(help="A Ray cluster to train on (auto, or host:port).")] = None,
    allow_open: AllowOpen = False,
    cpus: Annotated[int | None, typer.Option(help="CPUs of this machine to use (default: all).")] = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="Train one by one, without Ray.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Also score the test clips: a final look.")] = False,
) -> None:
    """Train every member once more on train plus val, with its hyperparameters, epochs and weights kept.

    Example: emofuse ensemble refit runs/first best --test
    """
    from ensembles.bundle.refit import refit as refit_members
    from ensembles.bundle.refit import score_refits
    from ensembles.fitting.ensemble import ensemble_path, open_ensemble, percent, write_ensemble
    from search.cluster.workers import Workers
    from search.run.folder import RunFolder

    ensemble = open_ensemble(run, name)
    refitted = refit_members(RunFolder.open(run), ensemble, Workers(address, cpus, in_process, allow_open=allow_open))
    if test:
        refitted = score_refits(run, refitted)
        say(f"On the test clips: {percent(refitted.scores['ensemble']['test_refit'])} %")
    write_ensemble(refitted, ensemble_path(run, name))
    say(f"{len(refitted.members)} members refitted. Next: emofuse ensemble export {run} {name} -o bundle")


def export(
    run: Annotated[Path, typer.Argument(parser=run_path, metavar="RUN", help="The run folder.")],
    name: Annotated[str, typer.Argument(help="A refitted ensemble's name.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The bundle's folder.")],
) -> None:
    """Write a refitted ensemble as a bundle that `emofuse predict` reads, on any machine.

    Example: emofuse ensemble export runs/first best -o bundle
    """
    from ensembles.bundle.bundle import export_bundle
    from ensembles.fitting.ensemble import open_ensemble
    from search.run.folder import RunFolder

    folder = export_bundle(RunFolder.open(run), open_ensemble(run, name), out)
    say(f"Written: {folder}. Next: emofuse predict {folder} CLIP...")


__all__ = ["export", "refit"]
