"""What the search took: hours, hours of GPUs, and failures, by stage and entry."""

from collections import defaultdict

from ensembles.report import charts
from ensembles.report.blocks import Block, Cell, Chart, Column, Row, Section, Table
from ensembles.report.gather import Page


def section(page: Page) -> Section | None:
    """Time by stage and entry; refits are counted apart, and other tools tell none."""
    if not page.ended or page.imported:
        return None
    stages = {planned.entry: planned.stage for planned in page.plan}
    gpu_s = _gpu_seconds(page)
    total_s = sum(t.wall_s for t in page.ended)
    unit, unit_s = ("hours", 3600.0) if total_s >= 7200 else ("minutes", 60.0)
    groups = defaultdict(list)
    for trial in page.ended:
        stage = "refit" if trial.partition == "full" else stages.get(trial.entry, "imported")
        groups[stage, trial.entry].append(trial)
    rows, bars = [], []
    for (stage, entry), trials in sorted(groups.items()):
        took_s = sum(t.wall_s for t in trials)
        failed = sum(t.status == "failed" for t in trials)
        gpu = gpu_s.get(entry)
        cells = [Cell(entry), Cell(stage), Cell(str(len(trials))), Cell(f"{took_s / unit_s:.2f}")]
        cells += [Cell("-" if gpu is None or stage == "refit" else f"{gpu / unit_s:.2f}")]
        cells += [Cell(f"{took_s / len(trials):.1f}"), Cell(str(failed))]
        rows.append(Row(cells))
        bars.append(
            {
                "entry": entry,
                "stage": stage,
                "took": round(took_s / unit_s, 4),
                "told": f"{took_s / unit_s:.2f} {unit}, {len(trials)} trials",
            }
        )
    failed = sum(t.status == "failed" for t in page.ended)
    numbers = [
        f"{total_s / unit_s:.2f}",
        f"{sum(gpu_s.values()) / unit_s:.2f}",
        f"{total_s / len(page.ended):.1f}",
        str(failed),
    ]
    rows.append(Row([Cell("all"), Cell(""), Cell(str(len(page.ended))), *map(Cell, numbers)], strong=True))
    columns = [Column("entry"), Column("stage", choices=True)]
    columns += [Column(name, True) for name in ("trials", unit, f"GPU-{unit}", "seconds per trial", "failed")]
    spec = charts.chart(
        bars,
        height=charts.rows_high(len({bar["entry"] for bar in bars}), 24),
        mark={"type": "bar", "cornerRadiusEnd": 3},
        encoding={
            "y": charts.x("entry", "", "nominal", sort="-x", axis={"title": None}),
            "x": charts.x("took", f"{unit} of training"),
            "color": charts.coloured("stage"),
            "tooltip": charts.tip(("entry", "entry"), ("stage", "stage"), ("told", "took")),
        },
    )
    says = (
        f"{total_s / unit_s:.2f} {unit} of training in {len(page.ended):,} trials, {failed} of which failed; time on "
        "GPUs is that of finished models."
    )
    alt = f"The {unit} of training of {len(bars)} entries; the table below has the numbers."
    blocks: list[Block] = [Chart("cost", spec, alt), Table("cost", "Cost by stage and entry", columns, rows)]
    return Section("cost", "What it cost", says, blocks)


def _gpu_seconds(page: Page) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for member in page.predictions.held_out.members if page.predictions else ():
        found[member.entry] += sum(footer.gpu_s for footer in member.trials.values())
    return found
