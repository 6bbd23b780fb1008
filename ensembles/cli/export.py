"""The commands `emofuse ensemble refit` and `export`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ensembles.cli.options import Labels, look
from features.errors import WrongUse
from features.progress import counted, say
from features.terminal import command
from features.workers.ray_access import AllowOpen
from search.run.remote import run_path, shown


def refit(
    run: Annotated[Path, typer.Argument(parser=run_path, metavar="RUN", help="The run folder.")],
    name: Annotated[str, typer.Argument(help="The ensemble's name.")],
    address: Annotated[str | None, typer.Option(help="A Ray cluster to train on (auto, or host:port).")] = None,
    allow_open: AllowOpen = False,
    cpus: Annotated[int | None, typer.Option(help="CPUs of this machine to use (default: all).")] = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="Train one by one, without Ray.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Also score the test clips: a final look.")] = False,
    labels: Labels = None,
) -> None:
    """Train every member once more on train plus val, with its hyperparameters, epochs and weights kept.

    Example: emofuse ensemble refit runs/first best --test
    """
    from ensembles.bundle.refit import refit_and_store
    from ensembles.fitting.advice import advice, alone
    from ensembles.fitting.cost import costs_of, told_costs
    from ensembles.records.ensemble import percent, reached
    from ensembles.records.stored import open_ensemble
    from search.cluster.workers import Workers

    workers = Workers(address, cpus, in_process, allow_open=allow_open)
    refitted = refit_and_store(run, open_ensemble(run, name), workers, test=look(test, labels))
    if test:
        score = refitted.scores["ensemble"]["test_refit"]
        over_time = refitted.over_time is not None
        say(f"On the test {'recordings: ' + reached(score, 'ccc') if over_time else f'clips: {percent(score)} %'}")
    done = f"{counted(len(refitted.members), 'member')} refitted."
    told = " ".join(filter(None, [done, told_costs(costs_of(run, refitted))]))
    anyway = ["--anyway"] if refitted.no_better and not alone(refitted) else []
    told += f" Next: {command('ensemble', 'export', shown(run), name, *anyway, '-o', 'bundle')}"
    say(told)
    if todo := advice(refitted, shown(run)):
        say(f"{refitted.verdict} {todo}")


def export(
    run: Annotated[Path, typer.Argument(parser=run_path, metavar="RUN", help="The run folder.")],
    name: Annotated[str, typer.Argument(help="A refitted ensemble's name.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The bundle's folder.")] = None,
    onnx: Annotated[
        Path | None, typer.Option(help="A folder for its networks and its fusion as ONNX graphs, with a runner.")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also where it is no better than its best single member.")
    ] = False,
    single: Annotated[bool, typer.Option("--single", help="Its best single member alone.")] = False,
    with_encoders: Annotated[
        bool, typer.Option("--with-encoders", help="Put the weights of the encoders that it reads into the bundle.")
    ] = False,
) -> None:
    """Write a refitted ensemble as a bundle that `emofuse predict` reads, on any machine.

    Weights of encoders are named by their digest, and asked for by `predict`, unless you say --with-encoders.
    An ensemble that is no better than its best single member is refused, unless you say --single or --anyway.

    Example: emofuse ensemble export runs/first best -o bundle

    Example: emofuse ensemble export runs/first best --onnx graphs
    """
    from ensembles.bundle.bundle import open_bundle
    from ensembles.bundle.export import export_bundle
    from ensembles.bundle.refit import refuse_imported
    from ensembles.fitting.advice import checked
    from ensembles.records.stored import open_ensemble
    from search.run.folder import RunFolder

    if out is None and onnx is None:
        raise WrongUse("Say where to: -o BUNDLE, --onnx FOLDER, or both.")
    chosen = checked(open_ensemble(run, name), shown(run), anyway=anyway, single=single)
    refuse_imported(run, chosen)
    with tempfile.TemporaryDirectory() as scratch:
        place = out or Path(scratch) / "bundle"
        folder = export_bundle(RunFolder.open(run), chosen, place, with_encoders=with_encoders, onnx=onnx)
        bundle = open_bundle(folder)
    if onnx is not None:
        say(f"Written: {onnx}. It holds its own description and run.py, which needs numpy and onnxruntime.")
    if out is None:
        return
    wanted = "".join(f" --encoder {name}=PLACE" for name, one in bundle.weights.items() if not one.files)
    clips = "--clips CLIPS --features STORE" if bundle.imported else "CLIP..."
    say(f"Written: {folder}. Next: {command('predict', folder)} {clips}{wanted}")


__all__ = ["export", "refit"]
