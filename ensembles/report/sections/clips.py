"""The clips themselves: what everybody gets wrong, what the ensemble alone gets right, and all of them in a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensembles.predictions.sets import HeldOut
from ensembles.report.blocks import Beside, Block, Cell, Column, Details, Heading, Image, Row, Section, Table, Text
from ensembles.report.gather import Page
from ensembles.report.media import Media
from ensembles.report.sections.calibration import subject
from ensembles.report.sections.heats import heat

_MOST_ROWS = 2_000
_MOST_PICTURES = 12  # of each kind


@dataclass(frozen=True, eq=False)
class _Judged:
    """Who is right on each held-out clip: the one shown (N,), and each of the M members of `places` (M, N)."""

    name: str
    P: np.ndarray
    places: Sequence[int]
    right: np.ndarray
    members_right: np.ndarray


def section(page: Page) -> Section | None:
    """Held-out clips, whose labels may be shown; those of test clips are sealed."""
    who = subject(page)
    if who is None or page.predictions is None:
        return None
    held_out = page.predictions.held_out
    judged = _judge(page, held_out, *who)
    nobody = np.flatnonzero(~judged.members_right.any(axis=0))
    alone = np.flatnonzero(judged.right & ~judged.members_right.any(axis=0)) if page.lead else np.zeros(0, int)
    wrong = nobody[np.argsort(-judged.P[nobody].max(axis=1), kind="stable")]
    media = Media(page.media if page.pictures or page.sounds else None)
    count = f"{len(judged.places)} models"
    blocks: list[Block] = [Heading(f"Every model is wrong: {len(nobody)} of {len(held_out.y)} clips")]
    blocks += _shown(page, held_out, judged, wrong.tolist(), media, "No clip is wrong for every model.")
    if page.lead is not None:
        blocks.append(Heading(f"The ensemble alone is right: {len(alone)} clips"))
        blocks += _shown(
            page, held_out, judged, alone.tolist(), media, f"On no clip is it right where none of its {count} is."
        )
    blocks.append(_table(held_out, judged))
    says = (
        f"Held-out clips as {judged.name} and its {count} see them; a clip opens for the probabilities of each model."
    )
    return Section("clips", "Clips", says, blocks)


def _judge(page: Page, held_out: HeldOut, name: str, P: np.ndarray) -> _Judged:
    lead = {member.name for member in page.lead.members} if page.lead else {row.name for row in page.shown}
    places = [m for m, member in enumerate(held_out.members) if member.name in lead]
    members_right = held_out.P[places].argmax(axis=2) == held_out.y
    return _Judged(name, P, places, P.argmax(axis=1) == held_out.y, members_right & held_out.valid[places])


def _shown(
    page: Page, held_out: HeldOut, judged: _Judged, clips: Sequence[int], media: Media, none: str
) -> list[Block]:
    if not clips:
        return [Text(none)]
    shown: list[Sequence[Block]] = []
    for n in clips[:_MOST_PICTURES]:
        clip_id, true = held_out.ids[n], held_out.classes[held_out.y[n]]
        said, sure = held_out.classes[int(judged.P[n].argmax())], float(judged.P[n].max())
        text = f"{clip_id}: {true}, taken for {said} ({100 * sure:.0f} %)"
        if said == true:
            text = f"{clip_id}: {true}, right with {100 * sure:.0f} %"
        own: list[Block] = []
        uri = media.thumbnail(clip_id) if page.pictures else None
        sound = media.sound(clip_id) if page.sounds else None
        if uri or sound:
            own.append(Image(uri or "", f"A frame of clip {clip_id}, labelled {true}", sound=sound or ""))
        own.append(Details(text, [_probabilities(page, held_out, judged, n)]))
        shown.append(own)
    more = len(clips) - _MOST_PICTURES
    blocks: list[Block] = [Beside(shown, small=True)]
    if more > 0:
        blocks.append(Text(f"{more} more stand in the table below."))
    return blocks


def _probabilities(page: Page, held_out: HeldOut, judged: _Judged, n: int) -> Block:
    names = [judged.name, *(page.called(held_out.members[m].name) for m in judged.places[:20])]
    values = np.array([judged.P[n], *(held_out.P[m, n] for m in judged.places[:20])])
    return heat("Probabilities in percent", "model", names, held_out.classes, 100 * values, values, "{:.0f}")


def _table(held_out: HeldOut, judged: _Judged) -> Table:
    order = np.lexsort((judged.P[np.arange(len(held_out.y)), held_out.y], judged.members_right.sum(axis=0)))
    rows = []
    for n in order[:_MOST_ROWS].tolist():
        p = judged.P[n]
        right = int(judged.members_right[:, n].sum())
        cells = [Cell(held_out.ids[n]), Cell(held_out.groups[n]), Cell(held_out.classes[held_out.y[n]])]
        cells += [Cell(held_out.classes[int(p.argmax())]), Cell("right" if judged.right[n] else "wrong")]
        cells += [Cell(f"{100 * p[held_out.y[n]]:.0f}"), Cell(f"{100 * p.max():.0f}")]
        rows.append(Row([*cells, Cell(f"{right} of {len(judged.places)}", sort=right)]))
    columns = [Column("clip"), Column("group"), Column("true", choices=True), Column("predicted", choices=True)]
    columns += [
        Column("verdict", choices=True),
        Column("true class, %", True),
        Column("sure, %", True),
        Column("models right", True),
    ]
    caption = f"Held-out clips as {judged.name} sees them, the hardest first"
    if len(order) > _MOST_ROWS:
        caption += f"; the first {_MOST_ROWS:,} of {len(order):,}"
    return Table("clips", caption, columns, rows, filters=True)
