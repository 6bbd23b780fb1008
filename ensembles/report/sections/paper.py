"""The paper whose system the run is: its tables beside what was reached."""

import base64

from ensembles.papers.beside import Beside as Compared
from ensembles.papers.beside import reasons, tables_beside, texts
from ensembles.papers.kept import kept_notes
from ensembles.papers.published import paper_of
from ensembles.report.blocks import Block, Cell, Column, Heading, Image, Listing, Row, Section, Table, Text
from ensembles.report.gather import Page
from ensembles.report.paper_figures import PaperFigure, paper_figures


def section(page: Page) -> Section | None:
    """Tables and what is not there; None where the recipe is no paper's."""
    paper = paper_of(page.title)
    if paper is None or page.footer is None:
        return None
    tables = tables_beside(paper, page.run, page.look)
    blocks: list[Block] = [Text(f"The paper's corpus: {paper.corpus}.")]
    blocks += [_table(table, n) for n, table in enumerate(tables) if table.columns]
    if not page.fast:
        figures = paper_figures(page.run, page.title, bool(page.look))
        blocks += [block for figure in figures for block in _figure(figure)]
    notes = [*(kept_notes(page.run) or list(paper.notes)), *reasons(tables)]
    if notes:
        blocks += [Heading("Not as in the paper, or not to be had here"), Listing(notes)]
    return Section(
        "paper", "Beside the paper", f"{paper.title}: its tables, each number beside what this run reached.", blocks
    )


def _figure(figure: PaperFigure) -> list[Block]:
    # As a picture and not as an element of the page: an SVG's ids then are its own.
    uri = f"data:image/svg+xml;base64,{base64.b64encode(figure.svg.encode()).decode()}"
    return [Heading(figure.title), Text(figure.note), Image(uri, figure.note)]


def _table(table: Compared, number: int) -> Table:
    names = list(table.columns)
    if not table.confusion:
        names = [name for column in table.columns for name in (column, "ours")]
    rows = []
    for row in table.rows:
        pairs = [texts(cell, table.digits, table.confusion) for cell in row]
        cells = [" / ".join(pair) for pair in pairs] if table.confusion else [text for pair in pairs for text in pair]
        rows.append(Row([Cell(row[0].row), *map(Cell, cells)]))
    told = "paper / ours, row percent" if table.confusion else "ours with 95 % interval over groups, and the difference"
    columns = [Column("row"), *(Column(name, True) for name in names)]
    return Table(f"paper-{number}", f"{table.name}: {table.title} ({told})", columns, rows)
