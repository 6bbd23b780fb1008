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
        typer.Argument(help="An ensemble, or a member (ENTRY/CONFIG)."),
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
    from ensembles.predictions.organisers import form_of, write_form
    from ensembles.predictions.splits import split_named
    from ensembles.records.named import named_predictions, named_traces

    kind = form_of(form, out)
    chosen = split_named(split)
    if chosen not in ("test", "val"):
        raise WrongUse(
            f"Predictions are written of clips that weren't fitted: --split test or validation, not {split}."
        )
    if _over_time(run, name):
        found = named_traces(run, name, chosen, searched)
        write_form(found, kind, out)
        say(f"{len(found.traces)} recordings, {', '.join(found.dimensions)}: {out}")
    else:
        rows = named_predictions(run, name, chosen, searched)
        write_form(rows, kind, out)
        say(f"{len(rows.ids)} clips, {len(rows.classes)} classes: {out}")


def _over_time(run: Path, name: str) -> bool:
    from ensembles.continuous.trials import continuous_entries
    from ensembles.records.stored import ensemble_names, open_ensemble

    if name in ensemble_names(run):
        return open_ensemble(run, name).over_time is not None
    over_time, others = continuous_entries(run)
    return name.endswith(".json") or name.partition("/")[0] in over_time or (bool(over_time) and not others)


__all__ = ["predictions"]
