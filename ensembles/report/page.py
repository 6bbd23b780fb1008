"""Gather a run's facts and render the page."""

import json
from collections.abc import Sized
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from ensembles.continuous.run import continuous_entries
from ensembles.fitting.ensemble import readable_ensembles
from ensembles.fitting.leaderboard import Leaderboard, leaderboard
from ensembles.predictions.scan import without_collector
from ensembles.predictions.sealed_scores import Look
from ensembles.report import parts
from ensembles.report.paper import paper_section
from features.errors import EmofuseError
from features.files import read_json, write_bytes
from search.recipe.copies import changed_copy
from search.run.ended import read_ended
from search.run.planned import REMEDY, WHAT, read_plan
from search.run.predictions import last_prediction_file, read_footer


@without_collector()
def write_report(run: Path, out: Path, *, test: Look = False) -> Path:
    """Write a run's report as one HTML file; `test` also scores the members on the test clips (a final look).

    Errors: a run without predictions.
    """
    import jinja2
    import markupsafe

    over_time, others = continuous_entries(run)
    here = files("ensembles.report")

    def text(file: str) -> str:
        return (here / file).read_text(encoding="utf-8")

    board = leaderboard(run, _partitions(run), test=test, details=parts.MOST_ROWS) if others or not over_time else None
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, loader=jinja2.FunctionLoader(text)
    )
    name, recipe, facts = _provenance(run)
    continuous = _over_time(run, test, alone=board is None) if over_time else None
    page = environment.get_template("page.html.j2").render(
        css=markupsafe.Markup(text("style.css")),  # ours, and quotes mean something in it
        title=name,
        subtitle=_subtitle(board) if board is not None else continuous["subtitle"] if continuous else "",
        classes=board is not None,
        over_time=continuous,
        **(_of_classes(board) if board is not None else {}),
        paper=paper_section(run, name, test),
        search=parts.search_section(_search_rows(run)),
        provenance={"note": f"Run folder {run.resolve().name}.", "recipe": recipe, "versions": facts},
        version=version("emofuse"),
    )
    write_bytes(out, page.encode())
    return out


def _of_classes(board: Leaderboard) -> dict[str, Any]:
    lead = board.ensembles[0] if board.ensembles else None
    return {
        "tiles": parts.tiles(board),
        "verdict": {"text": lead.verdict, "warn": "does not" in lead.verdict} if lead and lead.verdict else None,
        "dots": parts.dots(board),
        "ensembles": [parts.ensemble_section(ensemble, leads=ensemble is lead) for ensemble in board.ensembles],
        "leaderboard": parts.leaderboard_section(board),
        "recall": parts.recall_section(board),
    }


def _over_time(run: Path, test: Look, *, alone: bool) -> dict[str, Any]:
    """The sections of continuous emotion; labels of clips that came later are not for these."""
    from ensembles.fitting.store import seen_over_time
    from ensembles.report.over_time import section

    return section(run, seen_over_time(test) if alone else bool(test))


def _subtitle(board: Leaderboard) -> str:
    who = f"{_count(board.members, 'model')} and {_count(board.ensembles, 'ensemble')}"
    where = f"{_count(board.partitions, 'partition')}: {', '.join(board.partitions)}"
    return f"{who} on {board.n_clips} held-out clips of {board.n_groups} groups, {where}"


def _count(things: Sized, what: str) -> str:
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"


def _partitions(run: Path) -> tuple[str, ...] | None:
    """The partitions of the first ensemble, so that models and ensembles are scored on the same rows."""
    found = [ensemble for ensemble in readable_ensembles(run) if ensemble.over_time is None]
    return (found[0].partitions or None) if found else None


def _search_rows(run: Path) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}

    def row(entry: str) -> dict[str, Any]:
        empty = {"entry": entry, "metric": metrics.get(entry, "accuracy"), "finished": 0, "pruned": 0, "failed": 0}
        return rows.setdefault(entry, {**empty, "best": None, "seconds": 0.0, "values": []})

    over_time, _ = continuous_entries(run)
    planned = read_plan(run)[0] if (run / "run.json").is_file() else ()
    metrics = {one.entry: one.searched for one in planned}
    for trial in read_ended(run):
        if trial.status == "finished" and trial.partition == "full":
            continue
        entry = row(trial.entry)
        entry[trial.status] += 1
        if trial.status == "finished":
            entry["seconds"] += trial.wall_s
            if trial.value is not None:
                # A CCC may lie below 0, where the picture begins.
                entry["values"].append(max(trial.value, 0.0) if trial.entry in over_time else trial.value)
                entry["best"] = trial.value if entry["best"] is None else max(entry["best"], trial.value)
    return [rows[entry] for entry in sorted(rows)]


def _provenance(run: Path) -> tuple[str, str, str]:
    """The run's name, its recipe and its versions; a run that was only imported has no recipe."""
    last = last_prediction_file(run)
    if last is None:
        raise EmofuseError(f"{run}: there are no predictions to report on; run a search or import predictions first.")
    footer = read_footer(last)
    recipe, description = run / "recipe.yaml", run / "run.json"
    name = run.resolve().name
    if description.is_file():
        name = read_json(description, WHAT, damaged=REMEDY)["recipe"]["name"]
    facts = {
        "clips fingerprint": footer.clips_fingerprint,
        "classes": list(footer.classes),
        "git revision": footer.git_revision,
        "versions": dict(footer.versions),
    }
    text = "No recipe: the predictions were imported."
    if recipe.is_file():
        text = recipe.read_text(encoding="utf-8", errors="replace")
    if (told := changed_copy(recipe)) is not None:
        text = f"# {told}\n{text}"
    return name, text, json.dumps(facts, indent=2)
