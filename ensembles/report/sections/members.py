"""A part for each member: its hyperparameters, learning curves, confusion, recalls and calibration."""

from collections.abc import Mapping, Sequence

from ensembles.comparison.leaderboard import MemberRow
from ensembles.evaluation.metrics import score
from ensembles.predictions.sets import HeldOut
from ensembles.records.ensemble import with_interval
from ensembles.report.blocks import Beside, Block, Cell, Column, Details, Drawing, Row, Section, Table, Text
from ensembles.report.calibrated import expected_error, reliability
from ensembles.report.gather import MOST_ROWS, Page
from ensembles.report.names import anchor
from ensembles.report.sections.bins import bins_table
from ensembles.report.sections.heats import confusion
from search.run.predictions import Footer

_MOST_EPOCHS = 120  # points of a curve
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 360, 150, 44, 22


def section(page: Page) -> Section | None:
    """The members of the leaderboard."""
    if page.board is None or page.predictions is None:
        return None
    says = (
        "Open a model for its hyperparameters, learning curves with the epoch that was kept, confusion in counts and "
        "row percent, recall of each class, and calibration, all on held-out clips."
    )
    blocks = [_member(page, row) for row in page.board.members[:MOST_ROWS]]
    return Section("members", "Each model", says, blocks)


def _member(page: Page, row: MemberRow) -> Details:
    assert page.predictions is not None
    held_out, m = page.predictions.held_out, page.places[row.name]
    member = held_out.members[m]
    own = score(held_out.y, held_out.P[m])
    told = "Solid: accuracy on held-out clips; dashed: on the clips of the fit; upright: the kept epoch."
    left: list[Block] = [
        facts(row.name, row.family, member.trials),
        *curves(page.called(row.name), member.trials, told),
    ]
    right: list[Block] = [
        confusion("Confusion on held-out clips: counts and row percent", own.confusion, held_out.classes)
    ]
    right.append(_calibration(held_out, m))
    value = f"{page.called(row.name)}, held-out {with_interval(row.accuracy, row.interval)} %"
    return Details(value, [Beside([left, right])], anchor(row.name))


def facts(name: str, family: str, trials: Mapping[str, Footer]) -> Table:
    """A member's hyperparameters, and how its trials went, by partition."""
    footer = next(iter(trials.values()))
    pairs = [
        ("key", name),
        ("family", family),
        *((k, _brief(v)) for k, v in sorted(footer.hyperparameters.items())),
    ]
    pairs += [("trained on", f"{footer.device}, {footer.cpu:g} threads")]
    for partition, trial in trials.items():
        reached = trial.metrics.get(trial.searched)
        told = f"{trial.epochs} epochs, kept {trial.best_epoch}, {trial.wall_s:.0f} s"
        told += f", {trial.searched.replace('_', ' ')} {reached:.3f}" if reached is not None else ""
        pairs.append((f"on {partition}", f"{told} (trial {trial.trial_key[:8]})"))
    rows = [Row([Cell(key), Cell(value)]) for key, value in pairs]
    return Table("", "Hyperparameters and trials", [Column("name"), Column("value", wide=True)], rows)


def _brief(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def curves(called: str, trials: Mapping[str, Footer], told: str) -> list[Block]:
    """The learning curves of a member's trials by partition; `told` says what their lines are."""
    drawn: list[Block] = [
        curve(f"{called} on {name}", footer.curve, footer.best_epoch)
        for name, footer in trials.items()
        if len(footer.curve) > 1
    ]
    if not drawn:
        return [Text("It is not trained in epochs, so it has no learning curve.")]
    return [*drawn, Text(told)]


def curve(name: str, rows: Sequence[Mapping[str, float]], kept: int | None, of: int | None = None) -> Drawing:
    """A learning curve: held-out and fitted accuracy (or the loss, where there is no accuracy) over the epochs."""
    step = max(1, len(rows) // _MOST_EPOCHS)
    points = [*rows[::step], *([rows[-1]] if (len(rows) - 1) % step else [])]
    names = [("held", "accuracy"), ("fit", "fit_accuracy")]
    if not any("accuracy" in row for row in points):
        names = [("held", "ccc" if any("ccc" in row for row in points) else "loss")]
    values = [row[metric] for _, metric in names for row in points if row.get(metric) is not None]
    last = max(of or 0, float(points[-1]["epoch"]), 1.0)
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low < 1e-6:
        low, high = low - 0.05, high + 0.05

    def at(epoch: float, value: float) -> tuple[float, float]:
        x = _LEFT + epoch / last * (_WIDTH - _LEFT - 8)
        return round(x, 1), round(8 + (high - value) / (high - low) * (_HEIGHT - _BOTTOM - 12), 1)

    lines = []
    for kind, metric in names:
        told = [at(row["epoch"], row[metric]) for row in points if row.get(metric) is not None]
        lines.append((kind, " ".join(f"{x},{y}" for x, y in told)))
    measure = names[0][1]
    scale = 100 if measure == "accuracy" else 1
    unit = " %" if measure == "accuracy" else ""
    ticks = [(0.0, at(0, v)[1] + 4, f"{scale * v:.3g}{unit}", "start") for v in (high, low)]
    ticks += [(at(e, low)[0], float(_HEIGHT - 5), f"{e:g}", anchor_) for e, anchor_ in ((0, "middle"), (last, "end"))]
    marks = [(at(kept, low)[0], f"kept: epoch {kept}")] if kept else []
    end = points[-1].get(measure)
    alt = f"Learning curve of {name}: {measure} by epoch"
    alt += f", last {scale * end:.3g}{unit}" if end is not None else ""
    alt += f", epoch {kept} of {len(rows)} was kept." if kept else "."
    return Drawing(alt, lines, marks, ticks, _WIDTH, _HEIGHT)


def _calibration(held_out: HeldOut, m: int) -> Table:
    bins, error = reliability(held_out.P[m], held_out.y, 5), expected_error(held_out.P[m], held_out.y)
    return bins_table(bins, "", f"Calibration: expected error {100 * error:.1f} points")
