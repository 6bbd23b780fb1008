"""`emofuse reproduce PAPER`: from the corpus to the paper's tables beside ours, by commands that a user would type."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ensembles.cli.roads import LAYOUTS, ROADS, STILLS, Road
from ensembles.cli.steps import run_command, show_title
from ensembles.papers.published import NAMES, Paper, load_paper
from features.errors import WrongUse
from features.names import unknown_name
from features.progress import say
from features.terminal import console

reproduce_app = typer.Typer(add_completion=False)


@reproduce_app.command()
def reproduce(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help=f"One of {', '.join(NAMES)}.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder for all that is made; the run is DIR/run.")],
    data: Annotated[Path | None, typer.Option(help="The corpus: AFEW, SEWA (AVEC 2017) or CHEAVD, unpacked.")] = None,
    stills: Annotated[Path | None, typer.Option(help="fer2013.csv; for chao2016 the folder of SFEW.")] = None,
    people: Annotated[Path | None, typer.Option(help="chao2016: faces in a folder per person.")] = None,
    weights: Annotated[
        list[str] | None, typer.Option(metavar="ENTRY=FILE", help="Pretrained weights, as vgg16=vgg_face.pth.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Labels of test clips that came later: CSV with clip_id, label; SEWA: AVEC files."),
    ] = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster to work on (auto, or host:port).")] = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="CPUs of this machine to use (default: all).")] = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="One trial after another, without Ray.")] = False,
    smoke: Annotated[
        bool,
        typer.Option("--smoke", help="All of it on made-up data in the corpus' layout, at tiny sizes, in minutes."),
    ] = False,
) -> None:
    """Do a paper's experiment from the corpus to its tables, and print them beside what was reached here.

    Stopped in the middle, the same command goes on. Every step is an ordinary command, printed before it runs.

    Example: emofuse reproduce kahou2015 --data AFEW --stills fer2013.csv -o kahou

    To see whether it works at all: emofuse reproduce kahou2015 --smoke -o try
    """
    if paper not in ROADS:
        raise unknown_name("paper", paper, ROADS)
    started = time.monotonic()
    given = {"data": data, "stills": stills, "people": people, "labels": labels}
    _check(paper, given, bool(weights), smoke)
    out.mkdir(parents=True, exist_ok=True)
    if smoke:
        given |= _made_up(paper, out, cpus)
    source = given["data"]
    assert source is not None  # checked, or made up
    in_process = in_process or (smoke and address is None)
    train = (["--address", address] if address else []) + (["--in-process"] if in_process else [])
    train += [] if cpus is None or in_process else ["--cpus", str(cpus)]
    extract = (["--address", address] if address else []) + ([] if cpus is None else ["--workers", str(cpus)])
    road = Road(
        paper,
        source,
        out,
        given["stills"],
        given["people"],
        tuple(weights or ()),
        given["labels"],
        tuple(train),
        tuple(extract),
        smoke,
    )
    ROADS[paper](road)
    _end(load_paper(paper), road, time.monotonic() - started)


def _check(paper: str, given: dict[str, Path | None], weights: bool, smoke: bool) -> None:
    """Refuse what is absent or doesn't belong to the paper, before anything is made."""
    if smoke:
        if wrong := [f"--{name}" for name, value in given.items() if value] + ["--weights"] * weights:
            raise WrongUse(f"--smoke makes its own data: leave out {' and '.join(wrong)}.")
        return
    if given["data"] is None:
        raise WrongUse("A reproduction needs --data, the unpacked corpus; to try it on made-up data give --smoke.")
    if given["people"] and paper != "chao2016":
        raise WrongUse("--people belongs to chao2016, whose network tells people apart first.")
    if given["stills"] and paper not in STILLS:
        raise WrongUse(f"{paper} trains on no stills: leave out --stills.")
    if paper in STILLS and given["stills"] is None and not (paper == "zheng" and weights):
        raise WrongUse(f"{paper} needs --stills, {STILLS[paper]}.")


def _made_up(paper: str, out: Path, cpus: int | None) -> dict[str, Path | None]:
    from features.datasets.synthetic.layouts import make_layout

    made = out / "made_up"
    found: dict[str, Path | None] = {
        option: make_layout(layout, made, workers=cpus) for option, layout in LAYOUTS[paper].items()
    }
    later = made / "labels.csv"
    return found | ({"labels": later} if later.exists() else {})


def _end(paper: Paper, road: Road, seconds: float) -> None:
    """The paper's tables beside ours, what could not be reproduced, and where everything lies."""
    from ensembles.cli.options import look
    from ensembles.papers.beside import beside_table, printed, reasons, tables_beside
    from ensembles.papers.kept import keep_notes
    from ensembles.predictions.long_format import write_long

    seen = look(bool(road.test_words()), road.labels)
    notes = [
        *paper.notes,
        *road.notes,
        *(["The data were made up, at tiny sizes: no number here says anything."] * road.smoke),
    ]
    keep_notes(road.run, notes)
    show_title("The report")
    run_command("report", road.run, "-o", road.out / "report.html", *road.test_words())
    tables = tables_beside(paper, road.run, seen)
    shown = console()
    shown.print(f"\n{paper.title}\n{paper.corpus}", style="bold", soft_wrap=True)
    for table in tables:
        shown.print(printed(table))
    shown.print("\nWhat is not as in the paper, or could not be had here:", style="bold")
    for note in [*notes, *reasons(tables)]:
        shown.print(f"- {note}", soft_wrap=True)
    write_long(road.out / "tables.csv", beside_table(paper, tables))
    say(f"\nIt took {seconds / 60:.1f} minutes. The tables: {road.out / 'tables.csv'}, the run: {road.run}")
