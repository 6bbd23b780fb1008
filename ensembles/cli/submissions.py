"""The command `emofuse ensemble submissions`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ensembles.cli.options import AsJson, Labels, Run, Test, look
from features.terminal import Table, console
from features.workers.ray_access import AllowOpen


def submissions(
    run: Run,
    test: Test = False,
    labels: Labels = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster to train on (auto, or host:port).")] = None,
    allow_open: AllowOpen = False,
    cpus: Annotated[int | None, typer.Option(help="CPUs of this machine to use (default: all).")] = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="Train one by one, without Ray.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build the submissions that a run's recipe names: each exactly of its members, refitted where it says so.

    Only refits that are missing are trained. Each is kept as an ensemble of its name.

    Example: emofuse ensemble submissions runs/kahou2015 --test --labels labels.csv
    """
    from ensembles.bundle.submissions import make_submissions
    from ensembles.records.ensemble import ccc, percent
    from ensembles.records.stored import ensemble_json
    from search.cluster.workers import Workers
    from search.run.folder import RunFolder

    workers = Workers(address, cpus, in_process, allow_open=allow_open)
    made = make_submissions(RunFolder.open(Path(run)), workers, test=look(test, labels))
    if as_json:
        typer.echo(json.dumps([ensemble_json(ensemble) for ensemble in made]))
        return
    over_time = all(ensemble.over_time is not None for ensemble in made)
    table = Table(title=f"Submissions, {'mean CCC' if over_time else 'accuracy in %'}")
    for column in ("submission", "members", "partition", "method"):
        table.add_column(column, overflow="fold")
    what = "recordings" if over_time else "clips"
    for column in (f"{what} its members learnt", f"{what} that chose its weights", "nested", "test"):
        table.add_column(column, justify="right")
    for ensemble in made:
        own = ensemble.scores["ensemble"]
        refitted = len(ensemble.refits) == len(ensemble.members)
        shown: tuple[str, ...] = ("test_refit",) if refitted else ("train", "fit", "nested", "test")
        if ensemble.note and "fit" in own and refitted:
            shown = ("fit", "test_refit")
        text = ccc if ensemble.over_time is not None else percent
        cells = {how: text(own[how]) for how in own if how in shown}
        names = ", ".join(member.entry for member in ensemble.members)
        table.add_row(
            ensemble.name,
            f"{names} (refitted)" if refitted else names,
            ", ".join(ensemble.partitions),
            ensemble.method,
            cells.get("train", "-"),
            cells.get("fit", "-"),
            cells.get("nested", "-"),
            cells.get("test", cells.get("test_refit", "-")),
        )
    console().print(table)


__all__ = ["submissions"]
