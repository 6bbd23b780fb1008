"""The fused score over time: whether more configurations still help the ensemble."""

from ensembles.report import charts
from ensembles.report.blocks import Block, Cell, Chart, Column, Row, Section, Table
from ensembles.report.gather import Page
from models.metrics import in_words
from search.run.layout import Layout
from search.watch.fused import fused_over_time

_MOST_POINTS = 400
_STEPS = 10


def section(page: Page) -> Section | None:
    """The nested score of a greedy ensemble of all configurations, as they finished."""
    if not page.plan:
        return None
    curve = fused_over_time(Layout(page.run), list(page.ended))
    if curve is None:
        return None
    metric, count = in_words(curve.metric), len(curve.points)
    rows, alone = [], -float("inf")
    for n, point in enumerate(curve.points, start=1):
        alone = max(alone, point.own)
        if n == count or n % max(1, count // _MOST_POINTS) == 0:
            rows.append({"n": n, "v": round(curve.told(point.fused), 4), "what": "fused, nested"})
            rows.append({"n": n, "v": round(curve.told(alone), 4), "what": "best alone"})
    kinds = {"domain": ["fused, nested", "best alone"]}
    spec = charts.chart(
        rows,
        height=220,
        mark={"type": "line", "strokeWidth": 2, "point": {"filled": True, "size": 25}},
        encoding={
            "x": charts.x("n", "configurations that finished"),
            "y": charts.x("v", metric, scale={"zero": False}),
            "color": charts.coloured("what", None, scale={**kinds, "range": list(charts.PALETTE[:2])}),
            "strokeDash": {
                "field": "what",
                "type": "nominal",
                "legend": None,
                "scale": {**kinds, "range": [[1, 0], [5, 3]]},
            },
            "tooltip": charts.tip(("n", "configurations"), ("what", "of"), ("v", metric)),
        },
    )
    best = count - curve.without_gain
    told = f"the highest is {curve.told(curve.points[best - 1].fused):.3f}, after {best} of {count} configurations"
    steps = sorted({round(count * step / _STEPS) for step in range(1, _STEPS + 1)} - {0})
    table = [
        Row(
            [
                Cell(str(n)),
                Cell(f"{curve.told(max(p.own for p in curve.points[:n])):.3f}"),
                Cell(f"{curve.told(curve.points[n - 1].fused):.3f}"),
            ]
        )
        for n in steps
    ]
    columns = [Column("configurations", True), Column("best alone", True), Column("fused, nested", True)]
    blocks: list[Block] = [
        Chart("fused", spec, f"Fused {metric} over {count} configurations, beside the best alone; {told}.")
    ]
    blocks.append(Table("fused", f"Fused {metric} as configurations finished", columns, table))
    says = f"What a greedy ensemble of all configurations so far is worth on clips that did not choose it: {told}."
    return Section("fused", "Fused score over time", says, blocks)
