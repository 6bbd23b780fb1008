"""The partitions against each other: does what is good on one part of the clips do well on the other?"""

from itertools import combinations, islice

import numpy as np

from ensembles.report import charts
from ensembles.report.blocks import Block, Cell, Chart, Column, Row, Section, Table
from ensembles.report.gather import MOST_ROWS, Page

_MOST_PAIRS = 3


def section(page: Page) -> Section | None:
    """Held-out accuracies of each member on two partitions, for the first pairs of partitions."""
    if page.board is None or page.predictions is None or len(page.predictions.partitions) < 2:
        return None
    members = {member.name: member for member in page.predictions.held_out.members}
    chosen = [members[row.name] for row in page.board.members[:MOST_ROWS]]
    partitions = [p for p in page.predictions.partitions if all(p in m.accuracies for m in chosen)]
    if len(partitions) < 2 or len(chosen) < 2:
        return None
    blocks: list[Block] = []
    for first, second in islice(combinations(partitions, 2), _MOST_PAIRS):
        rows = [
            {
                "name": page.called(m.name),
                "entry": m.entry,
                "first": round(100 * m.accuracies[first], 1),
                "second": round(100 * m.accuracies[second], 1),
            }
            for m in chosen
        ]
        blocks.append(_picture(first, second, rows))
    blocks.append(_table(page, partitions))
    says = (
        "Each model's accuracy on the clips that one partition holds out against another's: points far from the "
        "diagonal are luck or a difference between the parts."
    )
    return Section("partitions", "Partitions against each other", says, blocks)


def _picture(first: str, second: str, rows: list[dict[str, object]]) -> Chart:
    both = np.array([[row["first"], row["second"]] for row in rows], float)
    alike = float(np.corrcoef(both.T)[0, 1]) if both.std(axis=0).min() > 0 else float("nan")
    low, high = float(both.min()), float(both.max())
    spec = charts.chart(
        rows,
        height=300,
        layer=[
            {
                "data": {"values": [{"a": low}, {"a": high}]},
                "mark": {"type": "line", "color": charts.SOFT, "strokeDash": [4, 4]},
                "encoding": {"x": charts.x("a", ""), "y": charts.x("a", "")},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60},
                "params": charts.pick("entry"),
                "encoding": {
                    "x": charts.x("first", f"held out by {first}, %", scale={"zero": False}),
                    "y": charts.x("second", f"held out by {second}, %", scale={"zero": False}),
                    "color": charts.coloured("entry"),
                    "shape": charts.coloured("entry"),
                    "opacity": charts.FADED,
                    "tooltip": charts.tip(("name", "model"), ("first", first), ("second", second)),
                },
            },
        ],
    )
    told = "" if np.isnan(alike) else f"; their correlation is {alike:.2f}"
    return Chart(
        f"partitions-{first}-{second}", spec, f"Accuracy of {len(rows)} models on {first} against {second}{told}."
    )


def _table(page: Page, partitions: list[str]) -> Table:
    assert page.predictions is not None
    found = []
    accuracies = np.array(
        [[m.accuracies.get(p, np.nan) for p in partitions] for m in page.predictions.held_out.members]
    )
    for p, name in enumerate(partitions):
        own = accuracies[:, p]
        cells = [Cell(name), Cell(str(int(np.isfinite(own).sum())))]
        cells += [Cell(f"{100 * value:.1f}") for value in (np.nanmin(own), np.nanmedian(own), np.nanmax(own))]
        found.append(Row(cells))
    columns = [
        Column("partition"),
        Column("models", True),
        *(Column(name, True) for name in ("worst, %", "median, %", "best, %")),
    ]
    return Table("partitions", "Held-out accuracy by partition", columns, found)
