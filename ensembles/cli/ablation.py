"""The command `emofuse ensemble ablation`."""

from pathlib import Path
from typing import Annotated

import typer

from ensembles.cli.options import Labels, Run, Test, look
from features.progress import progress, say
from features.terminal import Table, console


def ablation(
    run: Run,
    name: Annotated[str, typer.Argument(help="The ensemble, with at most 8 members.")],
    test: Test = False,
    labels: Labels = None,
    csv: Annotated[Path | None, typer.Option(help="Also write all numbers to this CSV file.")] = None,
) -> None:
    """Search weights anew for every subset of an ensemble's members, by its own method: which members does it need?

    Example: emofuse ensemble ablation runs/kahou2015 s1 --csv subsets.csv
    """
    from ensembles.comparison.ablation import ablate, ablation_table, subsets
    from ensembles.predictions.long_format import write_long
    from ensembles.records.ensemble import How, percent
    from ensembles.records.stored import open_ensemble

    ensemble = open_ensemble(run, name)
    found = []
    with progress("search subsets", len(subsets(ensemble))) as counter:
        for one in ablate(run, ensemble, look(test, labels)):
            found.append(one)
            counter.advance()
    if csv is not None:
        write_long(csv, ablation_table(found))
    shown = console()
    shown.print(f"Subsets of {name}, method {ensemble.method}; accuracy in % with 95 % intervals over groups")
    table = Table()
    table.add_column("members", overflow="fold")
    hows: tuple[How, ...] = ("fit", "nested", "test") if test else ("fit", "nested")
    for heading in ("clips that chose its weights", "nested", "test")[: len(hows)]:
        table.add_column(heading, justify="right")
    for one in found:
        own = one.scores["ensemble"]
        cells = [percent(own[how]) if how in own else "-" for how in hows]
        table.add_row(one.name.replace("+", ", "), *cells)
    shown.print(table)
    if csv is not None:
        say(f"Written: {csv}")


__all__ = ["ablation"]
