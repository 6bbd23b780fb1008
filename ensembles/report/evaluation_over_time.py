"""The page of `emofuse evaluate` for a bundle of continuous emotion."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ensembles.applying.evaluated_over_time import EvaluatedOverTime
from ensembles.continuous.measures import MEASURES, Measure
from ensembles.report.blocks import Block, Cell, Code, Column, Heading, Row, Section, Table, Text, Tile, Tiles
from ensembles.report.render import whole_page
from ensembles.report.sections.over_time import MOST_TRACES, trace
from features.files import write_bytes
from features.terminal import command

_ROWS = 2000  # recordings that are listed


def write_evaluation_over_time(
    done: EvaluatedOverTime, bundle: Path, clips: Path, which: str, out: Path, options: Sequence[str] = ()
) -> None:
    """Write the page to `out`; `which` tells the recordings in words, `options` are further ones of the command."""
    sections = [_headline(done, which), _measures(done), _traces(done), _recordings(done)]
    if 1 < len(done.groups) < len(done.recordings):
        sections.append(_groups(done))
    again = command("evaluate", bundle, clips, *options, "-o", out)
    says = "The command that wrote it."
    sections.append(Section("reproduce", "How to get this page again", says, [Code(again)]))
    write_bytes(out, whole_page(f"{bundle.name} on {clips.name}", which, sections).encode())


def _headline(done: EvaluatedOverTime, which: str) -> Section:
    rows = done.measured.by_dimension
    tiles = [_tile("CCC, mean of the dimensions", done.measured.mean, True)] if len(rows) > 1 else []
    tiles += [_tile(f"CCC of {name}", own, not tiles) for name, own in rows.items()]
    blocks: list[Block] = [Tiles(tiles), *(Text(line, "warn") for line in done.remarks)]
    groups = len(done.groups)
    says = f"What the bundle reached on {which} of {groups} group{'s' * (groups != 1)}, {done.n_labels:,} labels, by "
    says += "concordance with them (CCC): 1 is agreement in all, 0 is chance."
    return Section("headline", "What it reached", says, blocks)


def _tile(label: str, own: Mapping[str, Measure], main: bool) -> Tile:
    one = own["ccc"]
    note = "one group: no interval"
    if one.interval is not None:
        note = f"95 % interval over groups {one.interval.low:.3f} to {one.interval.high:.3f}"
    return Tile(label, f"{one.value:.3f}", note, main)


def _measures(done: EvaluatedOverTime) -> Section:
    several = len(done.dimensions) > 1
    rows = {**done.measured.by_dimension, **({"mean": done.measured.mean} if several else {})}
    made = [
        Row([Cell(name), *(Cell(own[m].told, sort=own[m].value) for m in MEASURES)], strong=name == "mean" and several)
        for name, own in rows.items()
    ]
    columns = [Column("dimension"), *(Column(name, True) for name in MEASURES.values())]
    says = (
        "All recordings one after the other, with 95 % intervals over groups. The correlation doesn't see a wrong mean "
    )
    says += "or spread, CCC does; RMSE is in the labels' own unit."
    table = Table("measures", "CCC, correlation and error by dimension", columns, made)
    return Section("measures", "By dimension", says, [table])


def _traces(done: EvaluatedOverTime) -> Section:
    blocks: list[Block] = []
    for one in done.recordings[:MOST_TRACES]:
        name = one.clip.clip_id
        blocks.append(Heading(name))
        for d, dimension in enumerate(done.dimensions):
            known = ~np.isnan(one.Y[:, d])
            if known.any():
                blocks.append(trace(name, dimension, one.time_s[known], one.Y[known, d], one.P[known, d]))
    says = "The labels and what the bundle predicts, over time in seconds; drag to move, turn the wheel to zoom."
    if len(done.recordings) > MOST_TRACES:
        says += f" The first {MOST_TRACES} of {len(done.recordings)} recordings are drawn."
    return Section("traces", "Labels and predictions over time", says, blocks)


def _recordings(done: EvaluatedOverTime) -> Section:
    rows = []
    for one in done.recordings[:_ROWS]:
        cells = [Cell(one.clip.clip_id), Cell(one.clip.group_id), Cell(f"{len(one.Y):,}", sort=float(len(one.Y)))]
        rows.append(Row([*cells, *_cells(done.measured_of([one])), Cell(", ".join(one.unlike) or "-")]))
    says = (
        "Recordings by themselves reach less than all of them one after the other, as differences between recordings "
    )
    says += "don't count. Unlike: the feature sets in which a recording is unlike those of training."
    columns = [Column("recording"), Column("group", choices=True), Column("labels", True), *_columns(done)]
    table = Table("recordings", "Each recording", [*columns, Column("unlike", wide=True)], rows, filters=True)
    return Section("recordings", "Each recording", says, [table])


def _groups(done: EvaluatedOverTime) -> Section:
    rows = []
    for name in done.groups:
        own = done.of_group(name)
        rows.append(Row([Cell(name), Cell(str(len(own))), *_cells(done.measured_of(own))]))
    columns = [Column("group"), Column("recordings", True), *_columns(done)]
    says = "How much groups differ, which is what the intervals are made of."
    return Section(
        "groups", "Speakers, subjects or conversations", says, [Table("groups", "Each group", columns, rows)]
    )


def _columns(done: EvaluatedOverTime) -> list[Column]:
    return [Column(f"{name}: {told}", True) for name in done.dimensions for told in ("CCC", "r", "RMSE")]


def _cells(own: Mapping[str, Mapping[str, float | None]]) -> list[Cell]:
    values = [one[name] for one in own.values() for name in MEASURES]
    return [Cell("-") if value is None else Cell(f"{value:.3f}", sort=value) for value in values]
