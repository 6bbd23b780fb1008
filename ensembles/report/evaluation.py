"""The page of `emofuse evaluate`: a bundle on labelled clips."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ensembles.applying.evaluated import Evaluated
from ensembles.evaluation.intervals import accuracy_intervals
from ensembles.evaluation.metrics import recalls
from ensembles.report.blocks import Block, Cell, Code, Column, Row, Section, Table, Text, Tile, Tiles
from ensembles.report.render import whole_page
from ensembles.report.sections.calibration import believed
from ensembles.report.sections.heats import confusion
from features.files import write_bytes
from features.terminal import command

_WRONG = 200  # clips that are listed
_METRICS = {"accuracy": "Accuracy", "unweighted_accuracy": "Unweighted accuracy (UAR)", "macro_f1": "Macro F1"}


def write_evaluation(
    done: Evaluated, bundle: Path, clips: Path, which: str, out: Path, options: Sequence[str] = ()
) -> None:
    """Write the page to `out`; `which` tells the clips in words, `options` are further ones of the command."""
    sections = [
        _headline(done, which),
        _confusion(done),
        _groups(done),
        believed("the bundle", done.P, done.y, "labelled"),
        _wrong(done),
        Section(
            "reproduce",
            "How to get this page again",
            "The command that wrote it.",
            [Code(command("evaluate", bundle, clips, *options, "-o", out))],
        ),
    ]
    write_bytes(out, whole_page(f"{bundle.name} on {clips.name}", which, sections).encode())


def _headline(done: Evaluated, which: str) -> Section:
    scores, intervals, groups = done.scores, done.intervals, len(set(done.groups))
    tiles = []
    for name, words in _METRICS.items():
        one = intervals.get(name)
        note = (
            f"95 % interval over groups {100 * one.low:.1f} to {100 * one.high:.1f} %"
            if one
            else "one group: no interval"
        )
        tiles.append(Tile(words, f"{100 * getattr(scores, name):.1f} %", note, name == "accuracy"))
    blocks: list[Block] = [Tiles(tiles)]
    if unlike := int(done.unlike.sum()):
        like = done.scores_of(~done.unlike)
        rest = f" On the others it is right in {100 * like.accuracy:.1f} %." if like else ""
        blocks.append(Text(f"{unlike} of them are unlike the clips that it learned from.{rest}", "warn"))
    if done.without:
        name, why = next(iter(done.without.items()))
        blocks.append(Text(f"{len(done.without)} clips could not be scored and count nowhere: {name} ({why}).", "warn"))
    says = f"What the bundle reached on {which} of {groups} group{'s' * (groups != 1)} (speakers, subjects or films)."
    return Section("headline", "What it reached", says, blocks)


def _confusion(done: Evaluated) -> Section:
    counts = done.scores.confusion
    columns = [Column("class"), Column("clips", True), Column("recall, %", True)]
    rows = [
        Row([Cell(name), Cell(str(sum(row))), Cell("-" if recall is None else f"{100 * recall:.1f}")])
        for name, row, recall in zip(done.classes, counts, recalls(counts), strict=True)
    ]
    blocks: list[Block] = [
        confusion("The bundle", counts, done.classes),
        Table("recalls", "Recall of each class", columns, rows),
    ]
    says = "Rows are true classes, columns what was predicted; shades are shares of the row."
    return Section("confusion", "What is taken for what", says, blocks)


def _groups(done: Evaluated) -> Section:
    names, right = sorted(set(done.groups)), done.P.argmax(axis=1) == done.y
    of = np.array(done.groups)
    columns = [Column("group"), Column("clips", True), Column("right, %", True), Column("unlike", True)]
    rows = [
        Row(
            [
                Cell(name),
                Cell(str(int((of == name).sum()))),
                Cell(f"{100 * right[of == name].mean():.1f}"),
                Cell(str(int(done.unlike[of == name].sum()))),
            ]
        )
        for name in names
    ]
    (interval,) = accuracy_intervals(right[None].astype(float), done.groups)
    says = "How much groups differ, which is what the intervals are made of."
    if interval is None:
        says = "All clips are of one group, so nothing tells how others would fare."
    return Section("groups", "Speakers, subjects or films", says, [Table("groups", "Accuracy by group", columns, rows)])


def _wrong(done: Evaluated) -> Section:
    predicted, sure = done.P.argmax(axis=1), done.P.max(axis=1)
    wrong = sorted(np.flatnonzero(predicted != done.y), key=lambda n: -sure[n])
    columns = [
        Column("clip", long=True),
        Column("group", choices=True),
        Column("true", choices=True),
        Column("predicted", choices=True),
        Column("sure, %", True),
        Column("distance", True),
    ]
    rows = []
    for n in wrong[:_WRONG]:
        clip, far = done.clips[n], done.results[n].distance
        cells = [clip.clip_id, clip.group_id, str(clip.label), done.classes[predicted[n]], f"{100 * sure[n]:.0f}"]
        rows.append(Row([*map(Cell, cells), Cell("-" if far is None else f"{far:.2f}")]))
    more = f", the {_WRONG} surest of them" if len(wrong) > _WRONG else ""
    says = f"{len(wrong)} of {len(done.y)} clips are named wrong{more}; distance is that from the training clips, "
    says += "in times the limit."
    return Section(
        "wrong", "Clips that it gets wrong", says, [Table("wrong", "Wrong clips", columns, rows, filters=True)]
    )
