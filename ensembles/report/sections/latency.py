"""What an ensemble is worth when a clip may take so long and no longer."""

from ensembles.fitting.cost import in_ms
from ensembles.report import charts
from ensembles.report.blocks import Block, Cell, Chart, Column, Row, Section, Table
from ensembles.report.gather import Page
from models.metrics import in_words

_MOST_MEMBERS = 200


def section(page: Page) -> Section | None:
    """The nested score of greedy ensembles over their models' time per clip, where it was measured."""
    if page.fast or page.board is None or page.predictions is None:
        return None
    held_out = page.predictions.held_out
    if not 2 <= len(held_out.members) <= _MOST_MEMBERS:
        return None
    from ensembles.fitting.latency import trade_off  # scikit-learn takes longer than a page

    points = trade_off(held_out, page.board.metric)
    if len(points) < 2:
        return None
    metric = in_words(page.board.metric)
    rows = [{"ms": round(1000 * p.seconds, 4), "v": round(p.score, 4), "n": p.members} for p in points]
    spec = charts.chart(
        rows,
        height=220,
        mark={"type": "line", "point": {"filled": True, "size": 60}, "strokeWidth": 2, "color": charts.PALETTE[0]},
        encoding={
            "x": charts.x("ms", "milliseconds per clip, from features to scores", scale={"type": "log"}),
            "y": charts.x("v", f"{metric}, nested", scale={"zero": False}),
            "tooltip": charts.tip(("ms", "ms per clip"), ("n", "models"), ("v", metric)),
        },
    )
    table = [
        Row([Cell(in_ms(p.seconds), sort=p.seconds), Cell(str(p.members)), Cell(f"{p.score:.3f}")]) for p in points
    ]
    columns = [Column("ms per clip", True), Column("models", True), Column(f"{metric}, nested", True)]
    says = (
        "What a greedy ensemble of the best models that fit into a limit is worth on clips that did not choose it; "
        "reading media and extracting features come on top. `ensemble fit --latency-ms` keeps such a limit."
    )
    alt = f"Nested {metric} of {len(points)} ensembles over their models' milliseconds per clip."
    blocks: list[Block] = [Chart("latency", spec, alt), Table("latency", "Worth under a limit of time", columns, table)]
    return Section("latency", "Worth against time", says, blocks)
