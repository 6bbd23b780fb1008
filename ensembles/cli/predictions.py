"""The command `emofuse ensemble predictions`."""

from pathlib import Path
from typing import Annotated

import typer

from ensembles.cli.options import Run
from features.errors import WrongUse
from features.progress import say


def predictions(
    run: Run,
    name: Annotated[
        str,
        typer.Argument(help="An ensemble, a member (ENTRY/CONFIG), or a file that `ensemble continuous -o` wrote."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file, for AVEC's forms the folder, to write.")],
    split: Annotated[str, typer.Option(help="test, or validation: the held-out clips.")] = "test",
    form: Annotated[
        str | None,
        typer.Option("--format", help="emotiw, avec2017, avec2019, csv, jsonl or parquet (default: by the suffix)."),
    ] = None,
    searched: Annotated[
        bool, typer.Option("--searched", help="By the members as searched, also where they are refitted.")
    ] = False,
) -> None:
    """Write the stored predictions of an ensemble or a member, as organisers of a challenge want them or as a table.

    Nothing is computed from media: no bundle is needed, and imported features and predictions are as good as others.

    Example: emofuse ensemble predictions runs/first best --split test --format emotiw -o my_team.zip
    """
    from ensembles.continuous.run import continuous_entries
    from ensembles.continuous.traces import traces
    from ensembles.fitting.named import named_predictions
    from ensembles.predictions.organisers import form_of, write_form
    from ensembles.predictions.splits import split_named

    kind = form_of(form, out)
    chosen = split_named(split)
    if chosen not in ("test", "val"):
        raise WrongUse(
            f"Predictions are written of clips that weren't fitted: --split test or validation, not {split}."
        )
    over_time, _ = continuous_entries(run)
    if name.endswith(".json") or name.partition("/")[0] in over_time:
        found = traces(run, name, "test" if chosen == "test" else "held_out", searched)
        write_form(found, kind, out)
        say(f"{len(found.traces)} recordings, {', '.join(found.dimensions)}: {out}")
    else:
        rows = named_predictions(run, name, chosen, searched)
        write_form(rows, kind, out)
        say(f"{len(rows.ids)} clips, {len(rows.classes)} classes: {out}")


__all__ = ["predictions"]
