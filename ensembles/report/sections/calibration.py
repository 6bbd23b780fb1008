"""How sure the ensemble is and how often it is right; what is gained by passing unsure clips to a person."""

import numpy as np

from ensembles.report import charts
from ensembles.report.blocks import Block, Cell, Chart, Column, Row, Section, Table
from ensembles.report.calibrated import expected_error, kept_accuracy, reliability
from ensembles.report.gather import Page
from ensembles.report.sections.bins import bins_table

_PASSED = (0, 10, 20, 30, 40, 50)
_MOST_POINTS = 200


def section(page: Page) -> Section | None:
    """Reliability and risk over coverage, of the ensemble or of the best model."""
    who = subject(page)
    if who is None or page.predictions is None:
        return None
    name, shown = who
    return believed(name, shown, page.predictions.held_out.y, "held-out")


def believed(name: str, shown: np.ndarray, y: np.ndarray, where: str) -> Section:
    """Reliability and risk over coverage of the probabilities `shown` (N, C) of clips with the classes `y` (N,)."""
    bins, error = reliability(shown, y), expected_error(shown, y)
    says = f"Whether {name} is right as often as it is sure: its expected calibration error is {100 * error:.1f} points"
    says += f" on {len(y)} {where} clips; and what accuracy is left if the least certain clips go to a person."
    blocks: list[Block] = [
        _reliability(name, bins),
        bins_table(bins, "bins", "Clips by how sure the prediction is"),
        _coverage(name, kept_accuracy(shown, y)),
    ]
    blocks.append(_passed(kept_accuracy(shown, y), shown))
    return Section("calibration", "How far it can be believed", says, blocks)


def subject(page: Page) -> tuple[str, np.ndarray] | None:
    """Whose probabilities of held-out clips are shown: the lead's, or the best model's."""
    if page.board is None or page.predictions is None:
        return None
    if page.fused is not None and page.lead is not None:
        how = "by nested weights" if page.fused.nested else "by its fitted weights"
        return f"ensemble {page.lead.name} ({how})", page.fused.P
    best = page.board.members[0].name
    return page.called(best), page.predictions.held_out.P[page.places[best]]


def _reliability(name: str, bins: list) -> Chart:  # type: ignore[type-arg]
    rows = [
        {
            "said": round(100 * b.said, 1),
            "right": round(100 * b.right, 1),
            "n": b.n,
            "told": f"{100 * b.right:.1f} % of {b.n} clips",
        }
        for b in bins
    ]
    scale = {"domain": [0, 100]}
    ideal = {
        "mark": {"type": "line", "color": charts.SOFT, "strokeDash": [4, 4]},
        "data": {"values": [{"a": 0}, {"a": 100}]},
    }
    spec = charts.chart(
        rows,
        height=260,
        layer=[
            {
                **ideal,
                "encoding": {"x": charts.x("a", "sure, %", scale=scale), "y": charts.x("a", "right, %", scale=scale)},
            },
            {
                "mark": {
                    "type": "line",
                    "color": charts.PALETTE[0],
                    "point": {"filled": True, "size": 60, "color": charts.PALETTE[0]},
                },
                "encoding": {
                    "x": charts.x("said", "sure, %", scale=scale),
                    "y": charts.x("right", "right, %", scale=scale),
                    "tooltip": charts.tip(("said", "sure, %"), ("told", "right")),
                },
            },
        ],
    )
    return Chart(
        "reliability",
        spec,
        f"Reliability diagram of {name}: share right over how sure it is; dashed where both are equal.",
    )


def _coverage(name: str, kept: np.ndarray) -> Chart:
    N = len(kept)
    chosen = np.unique(np.linspace(0, N - 1, min(N, _MOST_POINTS)).astype(int))
    rows = [{"coverage": round(100 * (n + 1) / N, 1), "right": round(100 * float(kept[n]), 1)} for n in chosen.tolist()]
    spec = charts.chart(
        rows,
        height=220,
        mark={"type": "line", "color": charts.PALETTE[0], "strokeWidth": 2},
        encoding={
            "x": charts.x("coverage", "clips that it answers, %"),
            "y": charts.x("right", "right among them, %", scale={"zero": False}),
            "tooltip": charts.tip(("coverage", "answers, %"), ("right", "right, %")),
        },
    )
    return Chart("coverage", spec, f"Accuracy of {name} over the share of clips that it answers, the surest first.")


def _passed(kept: np.ndarray, P: np.ndarray) -> Table:
    N, rows = len(kept), []
    sure = np.sort(P.max(axis=1))[::-1]
    for percent in _PASSED:
        n = max(1, round(N * (100 - percent) / 100))
        cells = [
            Cell(f"{percent} %"),
            Cell(str(n)),
            Cell(f"{100 * kept[n - 1]:.1f}"),
            Cell(f"{100 * float(sure[n - 1]):.0f}"),
        ]
        rows.append(Row(cells))
    columns = [
        Column("passed to a person"),
        Column("clips left", True),
        Column("right, %", True),
        Column("sure at least, %", True),
    ]
    return Table("passed", "What accuracy is left if the least certain clips are passed to a person", columns, rows)
