"""Which classes are taken for which: two confusions side by side, and the recall of each class."""

from ensembles.comparison.tables import HOWS, maybe
from ensembles.evaluation.metrics import recalls, score
from ensembles.records.ensemble import Ensemble
from ensembles.report.blocks import Block, Cell, Chooser, Column, Row, Section, Table
from ensembles.report.gather import MOST_SHOWN, Page
from ensembles.report.sections.heats import confusion


def section(page: Page) -> Section | None:
    """Confusions of ensembles and of the best models, and recalls."""
    if page.board is None or page.predictions is None:
        return None
    held_out, options = page.predictions.held_out, []
    for ensemble in page.board.ensembles[:5]:
        options += [(f"ensemble {ensemble.name}, {HOWS[how]}", how, ensemble) for how in ensemble.scores["ensemble"]]
    options.sort(key=lambda option: ("nested", "test_refit", "test", "fit", "train").index(option[1]))
    blocks: list[tuple[str, Block]] = [(name, _of_ensemble(name, how, one)) for name, how, one in options]
    members = []
    for row in page.shown[:MOST_SHOWN]:
        own = score(held_out.y, held_out.P[page.places[row.name]])
        name = f"{page.called(row.name)}, held-out clips"
        members.append((name, confusion(name, own.confusion, held_out.classes)))
    # The first two are what is shown without a choice: the honest ensemble beside the best model.
    blocks = [*blocks[:1], *members[:1], *blocks[1:], *members[1:]]
    says = (
        "Rows are true classes, columns what was predicted; shades are shares of the row. Any two of the ensembles and "
        "best models can be chosen."
    )
    both: list[Block] = [Chooser("confusions", "confusion matrix", blocks), _recalls(page)]
    return Section("confusions", "What is taken for what", says, both)


def _of_ensemble(name: str, how: str, ensemble: Ensemble) -> Block:
    measured = ensemble.scores["ensemble"][how]  # type: ignore[index]
    return confusion(f"{name}: {measured.rows}", measured.confusion, ensemble.classes)


def _recalls(page: Page) -> Table:
    assert page.board is not None
    classes = list(page.board.members[0].recalls or ())
    rows = [
        Row(
            [
                Cell(f"ensemble {ensemble.name}"),
                Cell(HOWS[how]),
                *(Cell(maybe(r)) for r in recalls(measured.confusion)),
            ],
            strong=True,
        )
        for ensemble in page.board.ensembles
        for how, measured in ensemble.scores["ensemble"].items()
        if how != "fit"
    ]
    for row in page.shown:
        for where, by_class in (("held-out clips", row.recalls), ("test clips", row.test_recalls)):
            if by_class is not None:
                cells = [Cell(page.called(row.name), title=row.name), Cell(where)]
                rows.append(Row([*cells, *(Cell(maybe(by_class[name])) for name in classes)]))
    columns = [Column("model"), Column("measured on", choices=True), *(Column(name, True) for name in classes)]
    return Table(
        "recalls", "Recall of each class: the share of its clips that are named right, in percent", columns, rows
    )
