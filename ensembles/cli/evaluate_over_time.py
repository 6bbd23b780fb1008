"""What `emofuse evaluate` prints of a bundle of continuous emotion."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from features.terminal import Table, console

if TYPE_CHECKING:
    from ensembles.applying.evaluated_over_time import EvaluatedOverTime
    from ensembles.continuous.measures import Measure

_MOST = 20  # recordings that are listed


def print_over_time(done: "EvaluatedOverTime", which: str) -> None:
    """Measures by dimension with intervals, CCC of each recording, and of each group where these hold several."""
    from ensembles.continuous.measures import MEASURES

    groups, shown = done.groups, console()
    shown.print(f"On {which}, {len(groups)} group{'s' * (len(groups) != 1)}, {done.n_labels:,} labels:", soft_wrap=True)
    table = Table("dimension", *MEASURES.values())
    several = len(done.dimensions) > 1
    rows = {**({"mean": done.measured.mean} if several else {}), **done.measured.by_dimension}
    for name, own in rows.items():
        table.add_row(name, *(_told(own[measure]) for measure in MEASURES))
    shown.print(table)
    listed = Table(
        "CCC of each recording", *(["group"] if len(groups) < len(done.recordings) else []), *done.dimensions
    )
    for one in done.recordings[:_MOST]:
        group = [one.clip.group_id] if len(groups) < len(done.recordings) else []
        listed.add_row(one.clip.clip_id, *group, *_concordances(done.measured_of([one])))
    shown.print(listed)
    if len(done.recordings) > _MOST:
        shown.print(f"... and {len(done.recordings) - _MOST} more: -o FILE.html lists all, --json too.", soft_wrap=True)
    if 1 < len(groups) < len(done.recordings):
        by_group = Table("CCC of group", *done.dimensions)
        for name in groups:
            by_group.add_row(name, *_concordances(done.measured_of(done.of_group(name))))
        shown.print(by_group)
    for line in done.remarks:
        shown.print(line, soft_wrap=True)


def _told(one: "Measure") -> str:
    """A value and its interval, so short that three of them fit eighty columns."""
    return f"{one.value:.3f}" + (f" [{one.interval.low:.2f}, {one.interval.high:.2f}]" if one.interval else "")


def _concordances(own: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    return ["-" if one["ccc"] is None else f"{one['ccc']:.3f}" for one in own.values()]
