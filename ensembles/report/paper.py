"""The report's section on a paper whose system the run is: its tables beside what was reached."""

from pathlib import Path
from typing import Any

from ensembles.papers.beside import Beside, reasons, tables_beside, texts
from ensembles.papers.kept import kept_notes
from ensembles.papers.published import paper_of
from ensembles.predictions.sealed_scores import Look


def paper_section(run: Path, recipe: str, look: Look) -> dict[str, Any] | None:
    """Title, tables and what is not there, for the template; None where the recipe is no paper's."""
    paper = paper_of(recipe)
    if paper is None:
        return None
    tables = tables_beside(paper, run, look)
    notes = kept_notes(run) or list(paper.notes)
    return {
        "title": paper.title,
        "corpus": f"The paper's corpus: {paper.corpus}.",
        "tables": [_shown(table) for table in tables if table.columns],
        "notes": [*notes, *reasons(tables)],
    }


def _shown(table: Beside) -> dict[str, Any]:
    columns = list(table.columns)
    if not table.confusion:
        columns = [name for column in table.columns for name in (column, "ours")]
    rows = []
    for row in table.rows:
        pairs = [texts(cell, table.digits, table.confusion) for cell in row]
        cells = [" / ".join(pair) for pair in pairs] if table.confusion else [text for pair in pairs for text in pair]
        rows.append({"name": row[0].row, "cells": cells})
    told = "paper / ours, row percent" if table.confusion else "ours with 95 % interval over groups, and the difference"
    return {"name": f"{table.name}: {table.title}", "note": told, "columns": columns, "rows": rows}
