"""The page of `emofuse predict --html`: what a bundle says of clips, and over time of recordings in windows."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ensembles.applying.asked import Asked, told_apart
from ensembles.applying.rows import Columns, Row
from ensembles.report import blocks, charts
from ensembles.report.blocks import Block, Cell, Chart, Column, Section, Table, Text
from ensembles.report.render import whole_page
from features.files import write_bytes

_TIMELINES = 50  # recordings that are drawn
_POINTS = 1000  # of one of them
_ROWS = 5000


def write_predicted(rows: Sequence[Row], asked: Sequence[Asked], columns: Columns, bundle: Path, out: Path) -> None:
    """Write the page of the predictions `rows` (see ensembles.applying.rows)."""
    names = told_apart(asked)
    by_clip: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_clip[row["clip_id"]].append(row)
    long = {name: own for name, own in by_clip.items() if len([row for row in own if not columns.failed(row)]) > 1}
    sections = [_timelines(long, names, columns)] if long else []
    if not columns.dimensions:
        sections.append(_table(rows, names, columns))
    if failed := [row for row in rows if columns.failed(row)]:
        sections.append(_failed(failed, names))
    what = "recording" if columns.dimensions else "clip"
    told = f"{len(by_clip)} {what}{'s' * (len(by_clip) != 1)}, {len(rows)} row{'s' * (len(rows) != 1)}"
    write_bytes(out, whole_page(f"Predictions of {bundle.name}", told, sections).encode())


def _timelines(long: dict[str, list[Row]], names: dict[str, str], columns: Columns) -> Section:
    found: list[Block] = []
    for n, (name, rows) in enumerate(list(long.items())[:_TIMELINES]):
        scored = [row for row in rows if not columns.failed(row)]
        shown = scored[:: max(1, len(scored) // _POINTS)]
        found += [blocks.Heading(names.get(name, name)), _timeline(f"time-{n}", names.get(name, name), shown, columns)]
        if unlike := sum(row["unlike"] is not None for row in scored):
            found.append(Text(f"{unlike} of {len(scored)} rows are unlike the clips that it learned from.", "warn"))
    more = f" The first {_TIMELINES} of {len(long)} are drawn." if len(long) > _TIMELINES else ""
    what = "each dimension" if columns.dimensions else "the probability of each class, at the middle of each window"
    return Section("timelines", "Over time", f"What the bundle says over time: {what}.{more}", found)


def _timeline(key: str, name: str, rows: Sequence[Row], columns: Columns) -> Chart:
    values = []
    for row in rows:
        if columns.dimensions:
            at = row["time_s"]
            values += [{"s": at, "what": one, "value": row[one]} for one in columns.dimensions]
        else:
            at = (row["start_s"] + (row["end_s"] if row["end_s"] is not None else row["start_s"])) / 2
            values += [{"s": at, "what": one, "value": row[f"p_{one}"]} for one in columns.classes]
    spec = charts.chart(
        values,
        height=220,
        mark={"type": "line", "strokeWidth": 2},
        encoding={
            "x": charts.x("s", "seconds"),
            "y": charts.x("value", "value" if columns.dimensions else "probability"),
            "color": charts.coloured("what"),
            "tooltip": charts.tip(("what", ""), ("s", "seconds"), ("value", "value")),
        },
    )
    kinds = columns.dimensions or columns.classes
    return Chart(key, spec, f"{name}: {', '.join(kinds)} over {max(v['s'] for v in values):.0f} seconds.")


def _table(rows: Sequence[Row], names: dict[str, str], columns: Columns) -> Section:
    heads = [Column("clip", long=True), Column("from, s", True), Column("to, s", True), Column("label", choices=True)]
    heads += [Column("probability", True), Column("distance", True), Column("remark", wide=True)]
    made = []
    for row in [row for row in rows if not columns.failed(row)][:_ROWS]:
        end, far = row["end_s"], row["distance"]
        remark = f"unlike the clips it learned from ({row['unlike']})" if row["unlike"] else ""
        cells = [
            Cell(_shown(row, names), title=row["clip_id"]),
            Cell(f"{row['start_s']:g}", sort=row["start_s"]),
            Cell("end" if end is None else f"{end:g}", sort=end),
            Cell(row["label"] or "-"),
            Cell(f"{row['probability']:.2f}"),
            Cell("-" if far is None else f"{far:.2f}", sort=far),
            Cell(remark),
        ]
        made.append(blocks.Row(cells))
    says = "Each clip with its most likely class; distance is that from the training clips, in times the limit."
    return Section("clips", "Clip by clip", says, [Table("clips", "Predictions", heads, made, filters=True)])


def _shown(row: Row, names: dict[str, str]) -> str:
    name = str(row["clip_id"])
    return names.get(name, name)


def _failed(rows: Sequence[Row], names: dict[str, str]) -> Section:
    made = [blocks.Row([Cell(_shown(row, names)), Cell(str(row["reason"]))]) for row in rows]
    table = Table("failed", "Clips without a prediction", [Column("clip"), Column("why", wide=True)], made[:_ROWS])
    return Section("failed", "What could not be predicted", f"{len(rows)} clips gave nothing.", [table])
