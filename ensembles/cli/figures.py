"""The commands `emofuse ensemble filters`, `windows` and `traces`: figures as the papers have them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ensembles.cli.options import Run, Test
from features.errors import WrongUse
from features.progress import say

Picture = Annotated[Path | None, typer.Option(help="Draw it to this file, .svg or .png.")]
Csv = Annotated[Path | None, typer.Option(help="Write the numbers to this CSV file.")]


def filters(
    run: Run,
    name: Annotated[str, typer.Argument(help="A member of family activity_svm: ENTRY, ENTRY/CONFIG or ENTRY/TRIAL.")],
    picture: Annotated[Path, typer.Option(help="Where to draw it, .svg or .png.")],
    most: Annotated[int, typer.Option(min=1, help="Show so many filters, the strongest first.")] = 24,
) -> None:
    """Draw the filters of motion that a synchrony autoencoder learnt, five frames of each (Kahou 2015, figure 2).

    Of a refitted member those of its refit, else of the best trial whose model the run keeps.

    Example: emofuse ensemble filters runs/kahou2015 activity_svm --picture figure2.svg
    """
    from ensembles.comparison.motion_filters import filters_of
    from ensembles.report.paper_pictures import filters_figure, save_picture
    from ensembles.report.pictures import check_picture

    check_picture(picture)
    save_picture(filters_figure(filters_of(run, name), most), picture)
    say(f"Written: {picture}")


def windows(run: Run, test: Test = False, picture: Picture = None, csv: Csv = None) -> None:
    """Draw CCC over the length of the window, for each entry that tried several (Huang 2018, figure 4).

    Of held-out recordings, or of the test recordings.

    Example: emofuse ensemble windows runs/huang2018 --picture figure4.svg
    """
    from ensembles.continuous.figures import windows_of, windows_table
    from ensembles.continuous.run import read_continuous_run
    from ensembles.predictions.long_format import write_long
    from ensembles.report.paper_pictures import save_picture, windows_figure

    _check(picture, csv)
    lines = windows_of(read_continuous_run(run, test=test), test)
    if not lines:
        raise WrongUse(f"{run}: no entry has configurations with several windows, so there is no line to draw.")
    if csv is not None:
        write_long(csv, windows_table(lines))
    if picture is not None:
        save_picture(windows_figure(lines), picture)
    _written(picture, csv)


def traces(
    run: Run,
    names: Annotated[list[str], typer.Argument(help="Members or ensembles, as ENTRY/CONFIG or an ensemble's name.")],
    recording: Annotated[str, typer.Option(help="The recording's clip_id.")],
    dimension: Annotated[str | None, typer.Option(help="This dimension alone (default: all).")] = None,
    test: Test = False,
    searched: Annotated[bool, typer.Option("--searched", help="The members as searched, where refits exist.")] = False,
    picture: Picture = None,
    csv: Csv = None,
) -> None:
    """Draw a recording's labels and what models predict of it, over time (Huang 2018, figure 5).

    Example: emofuse ensemble traces runs/huang2018 conv3d_max convlstm_max --recording Devel_01 --dimension arousal \
--test --picture figure5.svg
    """
    from ensembles.continuous.figures import traced, traces_table
    from ensembles.predictions.long_format import write_long
    from ensembles.records.named import named_traces
    from ensembles.report.paper_pictures import save_picture, traces_figure

    _check(picture, csv)
    predicted = {name: named_traces(run, name, "test" if test else "val", searched) for name in names}
    found = traced(run, predicted, recording, dimension)
    if csv is not None:
        write_long(csv, traces_table(found))
    if picture is not None:
        save_picture(traces_figure(found), picture)
    _written(picture, csv)


def _check(picture: Path | None, csv: Path | None) -> None:
    from ensembles.report.pictures import check_picture

    if picture is None and csv is None:
        raise WrongUse("Say where it goes: --picture FILE.svg, --csv FILE.csv, or both.")
    if picture is not None:
        check_picture(picture)


def _written(*paths: Path | None) -> None:
    named: Sequence[Path] = [path for path in paths if path is not None]
    say(f"Written: {' and '.join(map(str, named))}")


__all__ = ["filters", "traces", "windows"]
