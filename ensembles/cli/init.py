"""`emofuse init`: a folder with a clip table, a recipe and the commands that go from there to a bundle."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from features.errors import WrongUse
from features.files import write_bytes
from features.progress import say
from features.terminal import command

init_app = typer.Typer(add_completion=False)

_COMMANDS = "commands.sh"
_SOUND, _FACES = "audio", "start"  # the shipped recipes


@init_app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make: all that follows lies in it.")],
    clips: Annotated[
        Path | None,
        typer.Option(help="Where the clips are: a folder with one folder per class, or a .csv with path and label."),
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="Speaker or film: a column, a folder's level, or a pattern; see clips folder.")
    ] = None,
    stills: Annotated[
        Path | None,
        typer.Option(help="Labelled pictures of other people's faces, one folder per class: then faces count too."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="In place of clips: other tools' predictions, as `ensemble import` reads them."),
    ] = None,
) -> None:
    """Write a clip table, a recipe and the commands to run, in order; asks for what isn't given.

    Example: emofuse init emotions --clips my_clips --groups '(?P<group>\\d+)_'
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WrongUse(f"{folder} exists and holds something: name a new folder.")
    if predictions is not None:
        if clips or groups or stills:
            raise WrongUse("--predictions stands in the place of --clips, --groups and --stills.")
        if not predictions.is_file():
            raise WrongUse(f"--predictions {predictions}: no such file.")
        _finish(folder, _of_predictions(predictions.resolve()))
        return
    if clips is None:
        clips = Path(_ask("Where are the clips (a folder with one folder per class, or a .csv)?", "--clips"))
        groups = groups if groups is not None else _ask("What tells a clip's speaker or film (Enter: nothing)?", "", "")
        answer = "" if stills else _ask("Labelled pictures of faces, for the picture of videos (Enter: none)?", "", "")
        stills = stills or (Path(answer) if answer else None)
    from features.datasets import make_clip_table
    from search.recipe.shipped import shipped_path

    for place in filter(None, (clips, stills)):
        if not place.exists():
            raise WrongUse(f"{place}: no such folder or file.")
    table = make_clip_table("folder", clips.resolve(), folder / "clips.parquet", groups=groups or "")
    if stills is not None:
        adapter = "images" if stills.is_dir() else "fer2013"
        make_clip_table(adapter, stills.resolve(), folder / "stills.parquet")
    recipe = shipped_path(_FACES if stills else _SOUND).read_text(encoding="utf-8")
    # The comments of a shipped recipe name places that this folder hasn't.
    lines = [line for line in recipe.splitlines() if not line.startswith("#")]
    write_bytes(folder / "recipe.yaml", "\n".join([f"# Run by {_COMMANDS} beside it.", *lines, ""]).encode())
    say(f"{folder / 'clips.parquet'}: {len(table)} clips, {len(table.classes)} classes: {', '.join(table.classes)}")
    _finish(folder, _of_clips(stills is not None))


def _ask(question: str, option: str, default: str | None = None) -> str:
    if not sys.stdin.isatty():
        if default is not None:
            return default
        raise WrongUse(f"Nobody is there to be asked where the clips are: give {option}.")
    return str(typer.prompt(question, default=default, show_default=False))


def _of_clips(faces: bool) -> list[tuple[str, str]]:
    sets = ["faces"] if faces else []
    sets = [word for name in (*sets, "functionals", "short_term") for word in ("-s", name)]
    given = ["--clips", "clips.parquet", "--store", "store", *(["--stills", "stills.parquet"] if faces else [])]
    extract = [("Turn the clips into features.", command("features", "extract", "clips.parquet", *sets, "-o", "store"))]
    if faces:
        extract.append(("", command("features", "extract", "stills.parquet", "-s", "faces", "-o", "store")))
    return [
        ("Look for leaks, alike labels and broken files first.", command("clips", "check", "clips.parquet")),
        *extract,
        (
            "Search; the same command goes on after a kill.",
            command("search", "run", "recipe.yaml", *given, "-o", "run"),
        ),
        ("What came of it, on held-out clips.", command("ensemble", "leaderboard", "run")),
        ("Weights, with an honest estimate of their worth.", command("ensemble", "fit", "run", "--name", "best")),
        ("The chosen models once more, on train and val.", command("ensemble", "refit", "run", "best")),
        (
            "A bundle for new clips (--anyway: also where it is no better than its best model).",
            command("ensemble", "export", "run", "best", "--anyway", "-o", "bundle"),
        ),
        ("A page of it all.", command("report", "run", "-o", "report.html")),
        (
            "The final look: the test clips, when nothing will be changed any more.",
            command("evaluate", "bundle", "clips.parquet", "-o", "evaluation.html"),
        ),
    ]


def _of_predictions(file: Path) -> list[tuple[str, str]]:
    return [
        ("Take the predictions in.", command("ensemble", "import", file, "-o", "run")),
        ("Models side by side, on held-out clips.", command("ensemble", "leaderboard", "run")),
        ("Weights, with an honest estimate of their worth.", command("ensemble", "fit", "run", "--name", "best")),
        ("The fused predictions.", command("ensemble", "predictions", "run", "best", "-o", "fused.csv")),
        ("A page of it all.", command("report", "run", "-o", "report.html")),
    ]


def _finish(folder: Path, steps: list[tuple[str, str]]) -> None:
    lines = ["# In this folder, one after another:  sh commands.sh  does them all.", "set -e"]
    for why, line in steps:
        lines += [*(["", f"# {why}"] if why else []), line]
    write_bytes(folder / _COMMANDS, "\n".join([*lines, ""]).encode())
    say(f"Written: {folder / _COMMANDS}, with these commands, in order:")
    print(shlex.join(["cd", str(folder)]))
    for _, line in steps:
        print(line)
