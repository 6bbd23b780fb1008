"""`emofuse demo`: the whole job on generated clips, as the commands that a user would type."""

import sys
import time
from pathlib import Path
from shutil import which
from typing import Annotated

import typer
from rich.panel import Panel
from rich.text import Text

from ensembles.cli.steps import run_command as _run
from ensembles.cli.steps import show_command as _command
from ensembles.cli.steps import show_title
from ensembles.predictions.sets import read_refits
from ensembles.records.ensemble import Ensemble, How, Measured
from ensembles.records.stored import open_ensemble
from features.errors import EmofuseError
from features.files import read_json, write_json
from features.terminal import Table, command, console

demo_app = typer.Typer(add_completion=False)

NAME = "demo"
FACES = "faces:fps=12"
SETS = (FACES, "functionals", "short_term")


@demo_app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder for all that the demo makes.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Another seed makes other actors, clips and trials.")] = 1,
    cpus: Annotated[int | None, typer.Option(min=1, help="CPUs to use (default: all).")] = None,
) -> None:
    """Do the whole job on generated clips: features, search, fusion, refit, export, prediction, report.

    Example: emofuse demo -o demo

    Stopped in the middle, the same command goes on. Every step is an ordinary command, printed before it runs.
    """
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    recipe = _recipe(out, seed)
    folders = {name: out / name for name in ("clips", "stills", "new", "store", "run", "bundle")}
    tables = {name: out / f"{name}.parquet" for name in ("clips", "stills")}
    use = [] if cpus is None else ["--cpus", str(cpus)]
    workers = [] if cpus is None else ["--workers", str(cpus)]

    _title(1, "Make a small corpus: acted clips, and stills of other people for the face CNN")
    for name, adapter in (("clips", "synthetic"), ("stills", "synthetic_stills")):
        if not tables[name].exists():
            _run("clips", adapter, folders[name], "-o", tables[name], "--seed", seed)
    truth = _new_clips(folders["new"], out / "new.json", seed)

    _title(2, "Turn clips into features; a clip that fails is a row with a reason")
    sets = [word for spec in SETS for word in ("-s", spec)]
    _run("features", "extract", tables["clips"], *sets, "-o", folders["store"], *workers)
    _run("features", "extract", tables["stills"], "-s", FACES, "-o", folders["store"], *workers)

    _title(3, "Search hyperparameters of every family, on both partitions of train and val")
    _run(
        "search",
        "run",
        recipe,
        "--clips",
        tables["clips"],
        "--store",
        folders["store"],
        "--stills",
        tables["stills"],
        "-o",
        folders["run"],
        *use,
    )

    _title(4, "Fuse them: the plain average, or what is clearly better on clips that had no part in choosing it")
    _run("ensemble", "fit", folders["run"], "--name", NAME, "--replace")

    _title(5, "Train the chosen models again on train and val, and look at the test clips: once")
    _run("ensemble", "refit", folders["run"], NAME, "--test", *use)

    _title(6, "Export a bundle, and classify clips that nobody has seen")
    _run("ensemble", "export", folders["run"], NAME, "--anyway", "-o", folders["bundle"])
    right = _predict(folders["bundle"], truth)

    _title(7, "Write the report")
    _run("report", folders["run"], "-o", out / "report.html", "--test")
    _summary(out, folders["run"], right, len(truth), time.monotonic() - started)


def _recipe(out: Path, seed: int) -> Path:
    """The demo's recipe at this seed, written beside the run."""
    from importlib.resources import files

    text = (files("ensembles.cli") / "demo_recipe.yaml").read_text(encoding="utf-8")
    path = out / "recipe.yaml"
    text = text.replace("seed: 1", f"seed: {seed}")
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise EmofuseError(f"{out} holds a demo with another seed or recipe; choose another folder with -o.")
    path.write_text(text, encoding="utf-8")
    return path


def _new_clips(folder: Path, truth: Path, seed: int) -> dict[Path, str]:
    from features.datasets.synthetic import make_new_clips

    if not truth.exists():
        made = make_new_clips(folder, seed=seed)
        write_json(truth, {str(path.relative_to(folder)): emotion for path, emotion in made.items()})
    return {folder / name: emotion for name, emotion in read_json(truth, "the demo's new clips").items()}


def _predict(bundle: Path, truth: dict[Path, str]) -> int:
    """Classify the new clips and show what the actors played beside it; returns how many are right."""
    from ensembles.bundle.predict import Predictor

    _command("predict", bundle, bundle.parent / "new")
    predictor = Predictor(bundle)
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("new clip", "predicted", "probability", "the actor played"):
        table.add_column(heading)
    right = 0
    for path, emotion in truth.items():
        result = predictor.predict(path)
        right += result.label == emotion
        probability = f"{result.probabilities[result.label]:.2f}" if result.label else ""
        table.add_row(path.name, result.label or f"- ({result.reason})", probability, emotion)
    console(stderr=True, wide=None).print(table)
    return right


def _title(number: int, text: str) -> None:
    show_title(f"{number} of 7  {text}")


def _summary(out: Path, run: Path, right: int, new: int, seconds: float) -> None:
    ensemble = open_ensemble(run, NAME)
    refits = read_refits(run, ensemble.refits)
    singles = [
        (f"{member.entry} {member.config_key[:6]}", refits.test.score(refits.test.P[m]).accuracy)
        for m, member in enumerate(refits.test.members)
    ]
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading, side in (("on untouched test clips", "left"), ("accuracy", "right"), ("", "left")):
        table.add_column(heading, justify=side)
    for entry, accuracy in sorted(singles, key=lambda row: -row[1]):
        table.add_row(entry, f"{100 * accuracy:.1f} %", "")
    how: How = "test_refit"
    average = ensemble.scores["uniform_average"][how]
    table.add_row("plain average of them", f"{100 * average.accuracy:.1f} %", "")
    own = ensemble.scores["ensemble"][how]
    table.add_row(Text("the ensemble", style="bold"), Text(f"{100 * own.accuracy:.1f} %", style="bold"), _interval(own))
    shown = console(wide=None)
    shown.print()
    shown.print(Panel(table, title="What it reached", title_align="left", expand=False))
    for line in _before_the_test(ensemble):
        shown.print(line, soft_wrap=True)
    shown.print(f"Of {new} new clips by unseen actors it named {right} right.")
    shown.print(f"\nThe whole job took {seconds / 60:.1f} minutes. Here lie")
    for what, path in (("the bundle", "bundle"), ("the report", "report.html"), ("every trial", "run")):
        shown.print(f"  {what:<12}{out / path}", soft_wrap=True)
    for line in _following(out):
        shown.print(line, soft_wrap=True)


def _following(out: Path) -> list[str]:
    """What to do next, and how to call the command from here."""
    lines = [
        "",
        "Next, with clips of your own (this bundle knows drawn faces and synthetic voices: real ones it calls unlike):",
        "  emofuse init mine        asks where they are, and writes a clip table, a recipe and the commands to run",
        f"  {command('predict', out / 'bundle', out / 'new', '--details')}        to see what a prediction says",
    ]
    if which("emofuse") is None:
        lines.append(f"There `emofuse` is {Path(sys.executable).parent / 'emofuse'}; to call it by its name:")
        lines.append(f"  source {Path(sys.executable).parent / 'activate'}")
    return lines


def _before_the_test(ensemble: Ensemble) -> list[str]:
    own, average = ensemble.scores["ensemble"], ensemble.scores["uniform_average"]
    if "nested" not in own or "nested" not in average:
        return []
    return [
        f"Before the test clips were looked at, its honest estimate was {100 * own['nested'].accuracy:.1f} %",
        f"(on the clips that chose its weights: {100 * own['fit'].accuracy:.1f} %), "
        f"that of the plain average {100 * average['nested'].accuracy:.1f} %.",
    ]


def _interval(measured: Measured) -> str:
    if measured.interval is None:
        return ""
    low, high = 100 * measured.interval.low, 100 * measured.interval.high
    return f"95 % interval {low:.0f} to {high:.0f} %, {measured.n_clips} clips"
