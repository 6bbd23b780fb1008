"""A reliability diagram in numbers."""

from collections.abc import Sequence

from ensembles.report.blocks import Cell, Column, Row, Table
from ensembles.report.calibrated import Bin


def bins_table(bins: Sequence[Bin], name: str, title: str) -> Table:
    """How sure predictions are, how many clips have such ones, and how often they are right."""
    columns = [Column("how sure"), Column("clips", True), Column("sure, %", True), Column("right, %", True)]
    rows = [
        Row(
            [
                Cell(f"{100 * one.low:.0f} to {100 * one.high:.0f} %"),
                Cell(str(one.n)),
                Cell(f"{100 * one.said:.1f}"),
                Cell(f"{100 * one.right:.1f}"),
            ]
        )
        for one in bins
    ]
    return Table(name, title, columns, rows)
