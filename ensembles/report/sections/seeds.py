"""Members that were trained with several seeds: mean and spread of each."""

from collections.abc import Mapping, Sequence

from ensembles.continuous.run import ContinuousRun
from ensembles.evaluation.spread import Spread
from ensembles.report.blocks import Cell, Column, Row, Section, Table
from ensembles.report.gather import MOST_ROWS, Page

_SAYS = (
    "Mean and standard deviation over trainings that differ in their seed alone. An ensemble takes the first seed's "
    "models, of which the other numbers of this page are."
)


def section(page: Page) -> Section | None:
    """Of members that tell classes apart, in percent; None where each was trained once."""
    rows = [row for row in page.board.members[:MOST_ROWS] if row.over_seeds] if page.board is not None else []
    names = {"accuracy": "accuracy", "unweighted_accuracy": "unweighted"}
    return _table("seeds", [(page.called(r.name), r.over_seeds, r.test_over_seeds) for r in rows], names, 100.0, 1)


def over_time(found: ContinuousRun) -> list[Section]:
    """Of members of continuous emotion, their CCC."""
    rows = [(m.name, m.over_seeds, m.test_over_seeds) for m in found.members[:MOST_ROWS] if m.over_seeds]
    names = {"ccc": "mean CCC", **{f"ccc_{name}": name for name in found.dimensions}}
    section = _table("seeds-over-time", rows, names, 1.0, 3)
    return [section] if section is not None else []


def _table(
    key: str,
    rows: Sequence[tuple[str, Mapping[str, Spread], Mapping[str, Spread]]],
    names: Mapping[str, str],
    scale: float,
    digits: int,
) -> Section | None:
    if not rows:
        return None
    test = any(on_test for _, _, on_test in rows)
    columns = [Column("model"), Column("seeds", True), *(Column(told, True) for told in names.values())]
    columns += [Column(f"test {told}", True) for told in names.values()] if test else []

    def cells(spreads: Mapping[str, Spread]) -> list[Cell]:
        found = [spreads.get(name) for name in names]
        return [Cell("-") if one is None else Cell(one.told(scale, digits), sort=one.mean) for one in found]

    lines = [
        Row(
            [
                Cell(name),
                Cell(str(max(spread.n for spread in held_out.values()))),
                *cells(held_out),
                *(cells(on_test) if test else []),
            ]
        )
        for name, held_out, on_test in rows
    ]
    title = "Over several seeds"
    return Section(key, title, _SAYS, [Table(key, f"{title}: mean ± standard deviation", columns, lines)])
