"""`emofuse search export`: a run's trials for other tools that track experiments."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from search.run.remote import run_path, shown


class Tool(StrEnum):
    """Where trials can go."""

    csv = "csv"
    mlflow = "mlflow"
    wandb = "wandb"


def export(
    run: Annotated[Path, typer.Argument(parser=run_path, metavar="RUN", help="The run's folder or URI.")],
    to: Annotated[Tool, typer.Option(help="Which tool's form.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A folder for csv, wandb or a local MLflow.")] = None,
    uri: Annotated[
        str | None, typer.Option(help="MLflow's tracking URI (default: MLFLOW_TRACKING_URI, or mlflow.db in --out).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the run is called there (default: its folder's name).")] = None,
    project: Annotated[str, typer.Option(help="W&B's project.")] = "emofuse",
    online: Annotated[bool, typer.Option("--online", help="Send to W&B at once; else `wandb sync` does it.")] = False,
) -> None:
    """Bring a run's trials with their curves to a CSV, MLflow or W&B: one parent, a child for each trial that ended.

    A run is known there by its name, a trial by its key: the same command again adds what is new, also while the search
    goes on. Test clips have no part in it. MLflow and W&B need the extra `tracking`.

    Example:  emofuse search export run --to mlflow -o tracking
    """
    from features.errors import WrongUse
    from features.progress import counted
    from search.run.layout import Layout
    from search.watch.tracked_trials import tracked_trials

    uri = uri or (os.environ.get("MLFLOW_TRACKING_URI") if out is None else None)
    if out is None and (to is not Tool.mlflow or uri is None):
        raise WrongUse(f"--to {to} needs a folder to write to: give -o." + (" Or --uri." if to is Tool.mlflow else ""))
    if uri is not None and to is not Tool.mlflow:
        raise WrongUse(f"--uri is MLflow's, but --to is {to}: leave it out.")
    trials = list(tracked_trials(Layout(run.resolve()).path))
    if not trials:
        raise WrongUse(f"{shown(run)}: expected trials that ended, but there is none.")
    called = name or run.resolve().name
    if to is Tool.csv and out is not None:
        from search.watch.tracked_csv import write_csv_files

        write_csv_files(trials, out)
        print(f"{counted(len(trials), 'trial')}: {out / 'trials.csv'}, {out / 'curves.csv'}")
    elif to is Tool.mlflow:
        from search.watch.tracked_mlflow import write_mlflow

        if uri is None and out is not None:
            out.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{out.resolve() / 'mlflow.db'}"
        new = write_mlflow(trials, called, str(uri))
        print(f"{counted(len(trials), 'trial')}, {new:,} of them new, in experiment emofuse as {called}")
    elif out is not None:
        from search.watch.tracked_wandb import write_wandb

        new = write_wandb(trials, called, out, project, online)
        following = "" if online else f"; to send them: wandb sync {out / 'wandb'}/offline-run-*"
        print(f"{counted(len(trials), 'trial')}, {new:,} of them new, in group {called}{following}")
