"""How to make it again: the very commands, versions, seeds and the recipe."""

from importlib.metadata import version

from ensembles.report.blocks import Block, Code, Details, Section, Text
from ensembles.report.gather import Page
from features.files import read_json
from features.terminal import command
from search.run.planned import REMEDY, WHAT
from search.run.remote import shown


def section(page: Page) -> Section:
    """Commands first, as they can be pasted."""
    blocks: list[Block] = [Code("\n".join(commands(page)))]
    if page.seed is not None:
        blocks.append(
            Text(f"The recipe's seed is {page.seed}; every training has one of its own, made from it.", "plain")
        )
    if page.lead is not None:
        blocks.append(
            Text(f"The ensemble's seed is {page.lead.seed}, its nested folds are {page.lead.folds}.", "plain")
        )
    blocks.append(Details("Recipe", [Code(page.recipe)], open=True))
    if page.facts:
        blocks.append(Details("Versions and fingerprints", [Code(page.facts)], open=True))
    says = f"The commands that make this run again with emofuse {version('emofuse')}, its seeds, recipe and versions."
    return Section("reproduce", "How to make it again", says, blocks)


def commands(page: Page) -> list[str]:
    """From the search to this page; what was imported can't be searched again."""
    run, found = shown(page.run), []
    if (page.run / "run.json").is_file():
        stored = read_json(page.run / "run.json", WHAT, damaged=REMEDY)
        stills = ["--stills", stored["stills"]] if stored.get("stills") else []
        given = ["--clips", stored["clips"], "--features", stored["store"], *stills]
        found.append(command("search", "run", f"{run}/recipe.yaml", *given, "-o", run))
    for ensemble in page.board.ensembles if page.board else ():
        metric = [] if ensemble.metric in ("accuracy", "ccc") else ["--metric", str(ensemble.metric)]
        parts = [word for name in ensemble.partitions for word in ("--partition", name)]
        seed = ["--seed", str(ensemble.seed)] if ensemble.seed else []
        found.append(
            command(
                "ensemble", "fit", run, "--method", ensemble.method, "--name", ensemble.name, *parts, *metric, *seed
            )
        )
        if ensemble.refitted:
            found.append(command("ensemble", "refit", run, ensemble.name))
    found.append(command("report", run, "-o", "report.html", *(["--test"] if page.look else [])))
    return found
