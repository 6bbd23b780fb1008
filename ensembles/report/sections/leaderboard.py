"""Models and ensembles side by side: a picture of the best, and a table of all that sorts and filters."""

from ensembles.comparison.leaderboard import MemberRow
from ensembles.comparison.tables import HOWS, maybe, pct
from ensembles.fitting.cost import in_ms
from ensembles.records.ensemble import Ensemble, How, percent, with_interval
from ensembles.report import charts
from ensembles.report.blocks import Cell, Chart, Column, Row, Section, Table
from ensembles.report.gather import MOST_ROWS, Page
from ensembles.report.names import anchor
from ensembles.report.sections.ensembles import MOST_ENSEMBLES


def section(page: Page) -> Section | None:
    """The leaderboard; an ensemble's fitted score never stands without its nested estimate."""
    if page.board is None:
        return None
    board = page.board
    says = (
        f"All models by their {board.metric.replace('_', ' ')} on {board.n_clips} held-out clips of {board.n_groups} "
        "groups, with 95 % intervals over groups; an ensemble's is its nested estimate, its score on the rows that "
        "chose its weights stands in brackets."
    )
    hidden = len(board.members) - MOST_ROWS
    if hidden > 0:
        says += f" The {MOST_ROWS} best of {len(board.members):,} models are listed: `emofuse ensemble leaderboard` "
        says += "with --top 0 lists all."
    return Section("leaderboard", "Models and ensembles", says, [_picture(page), _table(page)])


def final(ensemble: Ensemble) -> How | None:
    """Which look at the test clips an ensemble has: by refitted members if there is one."""
    known = ensemble.scores["ensemble"]
    return next((how for how in ("test_refit", "test") if how in known), None)


def _picture(page: Page) -> Chart:
    assert page.board is not None
    rows, order = [], []
    for ensemble in page.board.ensembles[:5]:
        own, name = ensemble.scores["ensemble"], f"ensemble {ensemble.name}"
        order.append(name)
        hows: tuple[How | None, ...] = ("nested", "fit", final(ensemble))
        shown: list[How] = [how for how in hows if how is not None and how in own]
        for how in shown:
            bounds = own[how].interval if how != "fit" else None
            what = {"nested": "held-out clips", "fit": "clips that chose it"}.get(how, "test clips")
            rows.append(_mark(name, what, own[how].accuracy, bounds))
    shown_members = page.shown
    for row in shown_members:
        name = page.called(row.name)
        order.append(name)
        rows.append(_mark(name, "held-out clips", row.accuracy, row.interval))
        if row.test_accuracy is not None:
            rows.append(_mark(name, "test clips", row.test_accuracy, row.test_interval))
    kinds = ["held-out clips", "clips that chose it", "test clips"]
    y = charts.x("name", "", "nominal", sort=order, axis={"labelLimit": 260, "title": None})
    offset = {"field": "what", "type": "nominal", "sort": kinds}
    colour = charts.coloured("what", None, scale={"domain": kinds, "range": ["#0072b2", "#5d6678", "#d55e00"]})
    x = charts.x("value", "accuracy, %", scale={"zero": False, "nice": True})
    spec = charts.chart(
        rows,
        height=charts.rows_high(len(order), 28),
        layer=[
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {
                    "y": y,
                    "yOffset": offset,
                    "x": charts.x("low", "accuracy, %"),
                    "x2": {"field": "high"},
                    "color": colour,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {
                    "y": y,
                    "yOffset": offset,
                    "x": x,
                    "color": colour,
                    "shape": {
                        "field": "what",
                        "type": "nominal",
                        "title": None,
                        "scale": {"domain": kinds, "range": ["circle", "diamond", "square"]},
                    },
                    "tooltip": charts.tip(("name", "model"), ("what", "on"), ("told", "accuracy")),
                },
            },
        ],
    )
    best = order[0] if order else ""
    alt = f"Accuracy with intervals of {len(order)} models and ensembles; the first is {best}."
    alt += " The table below has the numbers."
    return Chart("board", spec, alt)


def _mark(name: str, what: str, value: float, interval: object) -> dict[str, object]:
    low, high = (interval.low, interval.high) if interval else (value, value)  # type: ignore[attr-defined]
    told = with_interval(value, interval)  # type: ignore[arg-type]
    return {
        "name": name,
        "what": what,
        "value": round(100 * value, 2),
        "low": round(100 * low, 2),
        "high": round(100 * high, 2),
        "told": told,
    }


def _table(page: Page) -> Table:
    assert page.board is not None
    board = page.board
    test = any(row.test_accuracy is not None for row in board.members)
    columns = [
        Column("model"),
        Column("entry", choices=True),
        Column("family", choices=True),
        Column("partitions", choices=True),
        Column("held-out", True),
        Column("unweighted", True),
        Column("macro precision", True),
        Column("on fit clips", True),
        Column("log-loss", True),
        *([Column("test", True), Column("test unweighted", True)] if test else []),
        Column("epochs", True),
        Column("ms per clip", True),
        Column("training", True),
        Column("GPU", True),
        Column("hyperparameters", long=True),
    ]
    rows = [Row(_ensemble_cells(page, ensemble, test), strong=True) for ensemble in board.ensembles[:MOST_ENSEMBLES]]
    rows += [Row(_member_cells(page, row, test)) for row in board.members[:MOST_ROWS]]
    return Table(
        "leaderboard", "Leaderboard: shares in percent, training and GPU in seconds", columns, rows, filters=True
    )


def _ensemble_cells(page: Page, ensemble: Ensemble, test: bool) -> list[Cell]:
    own = ensemble.scores["ensemble"]
    nested, how = own.get("nested"), final(ensemble)
    best, fitted = nested or own["fit"], own["fit"]
    held_out = f"{percent(nested)} (fitted {100 * fitted.accuracy:.1f})" if nested else f"fitted {percent(fitted)}"
    cells = [
        Cell(f"ensemble {ensemble.name}", anchor="s-ensemble" if ensemble is page.lead else f"e-{ensemble.name}"),
        Cell("ensemble"),
        Cell(ensemble.chosen_method),
        Cell(", ".join(ensemble.partitions)),
        Cell(held_out, sort=best.accuracy),
        Cell(f"{100 * best.metrics['unweighted_accuracy']:.1f}"),
        Cell(f"{100 * best.metrics['macro_average_precision']:.1f}"),
        Cell(maybe(own["train"].accuracy if "train" in own else None)),
        Cell(f"{best.metrics['log_loss']:.3f}"),
    ]
    if test and how:
        cells += [Cell(percent(own[how]), title=HOWS[how], sort=own[how].accuracy)]
        cells += [Cell(pct(own[how].metrics["unweighted_accuracy"]))]
    elif test:
        cells += [Cell("-"), Cell("-")]
    return [*cells, *[Cell("")] * 4, Cell(f"{ensemble.chosen_method}, {len(ensemble.members)} members")]


def _member_cells(page: Page, row: MemberRow, test: bool) -> list[Cell]:
    trials = page.predictions.held_out.members[page.places[row.name]].trials if page.predictions else {}
    gpu_s = sum(footer.gpu_s for footer in trials.values())
    cells = [
        Cell(page.called(row.name), title=row.name, anchor=anchor(row.name), sort=page.called(row.name)),
        Cell(row.entry),
        Cell(row.family),
        Cell(", ".join(trials)),
        Cell(with_interval(row.accuracy, row.interval), sort=row.accuracy),
        Cell(pct(row.unweighted_accuracy)),
        Cell(pct(row.macro_average_precision)),
        Cell(maybe(row.fit_accuracy)),
        Cell(f"{row.log_loss:.3f}"),
    ]
    if test:
        value = row.test_accuracy
        cells += [Cell("-" if value is None else with_interval(value, row.test_interval), sort=value)]
        cells += [Cell(maybe(row.test_unweighted_accuracy))]
    return [
        *cells,
        Cell(f"{row.epochs:.0f}"),
        Cell(in_ms(row.predict_s), sort=row.predict_s),
        Cell(f"{row.wall_s:.0f}"),
        Cell(f"{gpu_s:.0f}"),
        Cell(row.hyperparameters, title=row.hyperparameters),
    ]
