"""How to make it again: the very commands, versions, seeds and the recipe."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from ensembles.records.ensemble import Ensemble
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
    submitted: set[str] = set()
    if (page.run / "run.json").is_file():
        stored = read_json(page.run / "run.json", WHAT, damaged=REMEDY)
        stills = ["--stills", stored["stills"]] if stored.get("stills") else []
        given = ["--clips", stored["clips"], "--store", stored["store"], *stills]
        found.append(command("search", "run", f"{run}/recipe.yaml", *given, "-o", run))
        submitted = {one["name"] for one in stored["recipe"].get("submissions", ())}
    made = page.board.ensembles if page.board else ()
    if any(ensemble.name in submitted for ensemble in made):
        found.append(command("ensemble", "submissions", run))
    for ensemble in (one for one in made if one.name not in submitted):
        found.append(command("ensemble", "fit", run, *fit_words(ensemble)))
        if ensemble.refitted:
            found.append(command("ensemble", "refit", run, ensemble.name))
    found.append(command("report", run, "-o", "report.html", *(["--test"] if page.look else [])))
    return found


def fit_words(ensemble: Ensemble) -> list[str]:
    """The options of `ensemble fit` that make this ensemble."""
    words = ["--method", ensemble.method, "--name", ensemble.name]
    words += [word for name, value in ensemble.params.items() for word in ("--param", f"{name}={json.dumps(value)}")]
    words += [word for name in ensemble.partitions for word in ("--partition", name)]
    words += _selection_words(ensemble.selection)
    given: list[tuple[str, object, object]] = [
        ("--folds", ensemble.folds, 5),
        ("--repeats", ensemble.repeats, 1),
        ("--seed", ensemble.seed, 0),
        ("--fit-split", ensemble.fit_split, None),
        ("--metric", ensemble.metric, "accuracy"),
    ]
    return [*words, *(str(word) for name, value, usual in given if value != usual for word in (name, value))]


def _selection_words(selection: Mapping[str, Any]) -> list[str]:
    if selection.get("members"):
        return [word for name in selection["members"] for word in ("--member", name)]
    words = [word for name in selection.get("entries") or () for word in ("--entry", name)]
    bounds = [selection.get(name) for name in ("duplicate", "per_entry", "top")]
    if not selection.get("majority", True) and bounds == [None] * 3:
        words.append("--all")
    else:
        given = (("--top", bounds[2], 20), ("--per-entry", bounds[1], 3))
        words += [str(word) for name, value, usual in given if value != usual for word in (name, value or 0)]
    if selection.get("latency_ms") is not None:
        words += ["--latency-ms", str(selection["latency_ms"])]
    return words
