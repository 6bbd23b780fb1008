"""How the search stands: what runs now, the queue and its estimated end, nodes and GPUs."""

import time
from collections import defaultdict

from ensembles.report.blocks import Beside, Block, Cell, Column, Heading, Row, Section, Table, Text, Tile, Tiles
from ensembles.report.gather import Page
from ensembles.report.sections.members import curve
from features.progress import duration
from models.metrics import DEFAULT_METRICS, in_words, search_value, told
from search.run.ended import Ended
from search.trial.heartbeats import Heartbeat
from search.watch.status import Status

_MOST_RUNNING = 24  # with a curve
_LATEST = 12


def section(page: Page) -> Section | None:
    """The state of a search, also of one that is over or was stopped."""
    status = page.status
    if status is None:
        return None
    blocks: list[Block] = [Tiles(_tiles(status)), Text(_sentence(status), "plain")]
    if status.now:
        blocks += [Heading("Running now"), *_running(status)]
    latest = sorted((t for t in page.ended if t.at_s), key=lambda t: -t.at_s)[:_LATEST]
    if latest and status.running:
        blocks.append(_latest(latest))
    blocks.append(_entries(status))
    if nodes := _nodes(status):
        blocks.append(nodes)
    says = "How many trials have ended and how, what runs now and where, and when the rest will be done."
    return Section("now", "How the search stands", says, blocks)


def _tiles(status: Status) -> list[Tile]:
    finished, pruned, failed = (
        sum(getattr(e, name) for e in status.entries) for name in ("finished", "pruned", "failed")
    )
    tiles = [
        Tile(
            "Trials that ended",
            f"{status.total - status.left:,} of {status.total:,}",
            f"{finished:,} finished, {pruned:,} stopped by ASHA, {failed:,} failed",
            True,
        )
    ]
    tiles.append(Tile("Running", str(len(status.now)), f"{max(0, status.left - len(status.now)):,} in the queue"))
    if status.pace is not None:
        pace = f"{status.pace.per_hour:,.0f} trials per hour"
        left = "unknown" if status.pace.left_s is None else duration(status.pace.left_s)
        tiles.append(Tile("To go", left, pace + status.pace.until))
    return tiles


def _sentence(status: Status) -> str:
    if status.running:
        search = status.search
        where = f" The driver is process {search.pid} on {search.host}." if search else ""
        return f"A search works on this run; {status.left:,} trials have not ended.{where}"
    if status.left:
        return f"No search works on this run; {status.left:,} trials are left: the same `emofuse search run` goes on."
    return "The search is over; nothing is left."


def _running(status: Status) -> list[Block]:
    rows = []
    for beat in status.now:
        last = beat.curve[-1] if beat.curve else {}
        value = search_value(last, beat.metric)
        reached = "-" if value is None else f"{told(beat.metric, value):.3f}"
        loss = f"{last['loss']:.3f}" if "loss" in last else "-"
        cells = [Cell(f"{beat.entry} {beat.trial_key[:8]}", title=beat.trial_key), Cell(beat.partition)]
        cells += [
            Cell(f"{beat.epoch}{f' of {beat.max_epochs}' if beat.max_epochs else ''}", sort=float(beat.epoch)),
            Cell(loss),
        ]
        cells += [Cell(reached), Cell(duration(time.time() - beat.started_s), sort=time.time() - beat.started_s)]
        cells += [Cell(f"{beat.usage.memory_mb / 1000:.1f} GB"), Cell(_gpu(beat)), Cell(f"{beat.host}:{beat.pid}")]
        rows.append(Row(cells))
    columns = [
        Column("trial"),
        Column("partition"),
        Column("epoch", True),
        Column("loss", True),
        Column("held out", True),
    ]
    columns += [Column("for", True), Column("memory", True), Column("GPU"), Column("where")]
    blocks: list[Block] = [Table("running", "Trials that run now", columns, rows)]
    drawn = [_curve(beat) for beat in status.now[:_MOST_RUNNING] if len(beat.curve) > 1]
    if drawn:
        blocks.append(Beside(drawn, small=True))
    return blocks


def _curve(beat: Heartbeat) -> list[Block]:
    name = f"{beat.entry} {beat.trial_key[:8]} on {beat.partition}"
    return [Text(name), curve(name, beat.curve, None, beat.max_epochs)]


def _gpu(beat: Heartbeat) -> str:
    use = beat.usage
    if not use.gpu:
        return "-"
    busy = "" if use.gpu_busy is None else f", busy {use.gpu_busy:.0%}"
    return f"{use.gpu}: {use.gpu_own_mb / 1000:.1f} of {use.gpu_total_mb / 1000:.1f} GB{busy}"


def _latest(trials: list[Ended]) -> Table:
    rows = []
    for t in trials:
        value = "-" if t.value is None else f"{abs(t.value):.3f}"
        at = time.strftime("%H:%M:%S", time.localtime(t.at_s))
        cells = [
            Cell(f"{t.entry} {t.trial_key[:8]}", title=t.trial_key),
            Cell(t.partition),
            Cell(t.status),
            Cell(value),
        ]
        rows.append(Row([*cells, Cell(f"{t.wall_s:.0f}"), Cell(at, sort=t.at_s)]))
    columns = [
        Column("trial"),
        Column("partition"),
        Column("ended as"),
        Column("held out", True),
        Column("seconds", True),
        Column("at", True),
    ]
    return Table("latest", "The trials that ended last", columns, rows)


def _entries(status: Status) -> Table:
    named = any(entry.metric not in DEFAULT_METRICS for entry in status.entries)
    columns = [Column("entry"), Column("stage"), Column("family"), *([Column("metric")] if named else [])]
    several = any(entry.earlier for entry in status.entries)
    numbers = ("trials", "finished", "running", "pruned", "failed", "left", *(("earlier",) if several else ()))
    columns += [Column(name, True) for name in (*numbers, "best held out")]
    rows = []
    for e in status.entries:
        cells = [Cell(e.entry), Cell(e.stage), Cell(e.family), *([Cell(in_words(e.metric))] if named else [])]
        cells += [Cell(f"{getattr(e, name):,}", sort=float(getattr(e, name))) for name in numbers]
        rows.append(Row([*cells, Cell("-" if e.best is None else f"{e.best:.3f}")]))
    return Table(
        "entries",
        "Entries of the recipe" + ("; earlier: trials that it doesn't ask for any more" if several else ""),
        columns,
        rows,
    )


def _nodes(status: Status) -> Table | None:
    """The machines that trials run on, as the trials tell it."""
    by_host: dict[str, list[Heartbeat]] = defaultdict(list)
    for beat in status.now:
        by_host[beat.host].append(beat)
    if not by_host:
        return None
    rows = []
    for host, beats in sorted(by_host.items()):
        gpus = [gpu for gpu in status.gpus if gpu.host == host]
        used = "; ".join(
            f"{g.gpu}: {g.used_mb / 1000:.1f} of {g.total_mb / 1000:.1f} GB"
            + ("" if g.busy is None else f", busy {g.busy:.0%}")
            for g in gpus
        )
        memory = sum(beat.usage.memory_mb for beat in beats) / 1000
        driver = "driver" if status.search and status.search.host == host else ""
        rows.append(Row([Cell(host), Cell(str(len(beats))), Cell(f"{memory:.1f} GB"), Cell(used or "-"), Cell(driver)]))
    columns = [
        Column("node"),
        Column("trials", True),
        Column("memory of trials", True),
        Column("GPUs", wide=True),
        Column("role"),
    ]
    return Table("nodes", "Nodes that trials run on", columns, rows)
