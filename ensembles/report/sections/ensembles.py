"""Each ensemble: weights by model and class, what it chose among, what each member adds, and its subsets."""

from dataclasses import replace
from itertools import combinations

import numpy as np

from ensembles.evaluation.intervals import Interval, accuracy_intervals, compare_right
from ensembles.fusion.option import MENU, PLAIN
from ensembles.predictions.sets import HeldOut
from ensembles.records.ensemble import Ensemble, with_interval
from ensembles.records.places import find_places
from ensembles.report import charts
from ensembles.report.blocks import Block, Cell, Chart, Column, Details, Heading, Row, Section, Table, Text
from ensembles.report.gather import Page
from ensembles.report.sections.heats import heat

MOST_ENSEMBLES = 30
MOST_WEIGHTS = 100  # models in a picture of weights
_MOST_SUBSET_MEMBERS = 10
_SUBSETS_OF_EACH_SIZE = 6


def section(page: Page) -> Section | None:
    """All ensembles of classes."""
    if page.board is None or not page.board.ensembles:
        return None
    lead, *others = page.board.ensembles
    blocks: list[Block] = [*_parts(page, lead)]
    rest = others[: MOST_ENSEMBLES - 1]
    blocks += [Details(f"Ensemble {other.name}", _parts(page, other), f"e-{other.name}") for other in rest]
    says = (
        "How much each model counts for each class, what is lost without it, and what fewer models would reach, on "
        "held-out clips."
    )
    return Section("ensemble", f"Ensemble {lead.name}", says, blocks)


def _parts(page: Page, ensemble: Ensemble) -> list[Block]:
    count = f"{len(ensemble.members)} of {ensemble.n_candidates} models"
    note = f"Method {ensemble.chosen_method}, {count}, fitted on {', '.join(ensemble.partitions)}."
    if ensemble is not page.lead and ensemble.verdict:
        note += f" {ensemble.verdict}"
    if len(ensemble.members) > MOST_WEIGHTS:
        note += f" The picture shows the {MOST_WEIGHTS} of most weight, ensemble.json all."
    blocks: list[Block] = [Text(note), weights(page, ensemble)]
    if ensemble.choice:
        blocks.append(_choice(ensemble))
    if page.predictions is not None:
        held_out = page.predictions.held_out
        places, absent = find_places(ensemble, held_out.members)
        if not absent and set(ensemble.partitions) == set(page.predictions.partitions):
            blocks += _additions(page, ensemble, held_out.of_members(places))
            if 2 <= len(places) <= _MOST_SUBSET_MEMBERS:
                blocks.append(_subsets(page, ensemble, held_out.of_members(places)))
    return blocks


def weights(page: Page, ensemble: Ensemble) -> Block:
    """The weights as shades, model x class."""
    shown = np.sort(np.argsort(-ensemble.weights.sum(axis=1), kind="stable")[:MOST_WEIGHTS])
    names = [page.called(ensemble.members[m].name) for m in shown]
    values = ensemble.weights[shown]
    return heat(
        "Weights, model by class",
        "model",
        names,
        ensemble.classes,
        values,
        values / max(ensemble.weights.max(), 1e-9),
        "{:.2f}",
    )


def _choice(ensemble: Ensemble) -> Table:
    metric = ensemble.choice[0].metric
    scale, digits = (100, 1) if metric != "log_loss" else (1, 3)
    rows = []
    for option in ensemble.choice:
        bounds = option.interval
        between = f" [{scale * bounds.low:.{digits}f}, {scale * bounds.high:.{digits}f}]" if bounds else ""
        gain = f"{scale * option.gain:+.{digits}f} ± {scale * option.error:.{digits}f}" if option.name != PLAIN else "-"
        texts = [MENU[option.name], f"{scale * option.value:.{digits}f}{between}", gain, option.setting]
        cells = [Cell(text) for text in texts]
        rows.append(Row([*cells, Cell("chosen" if option.chosen else "")], strong=option.chosen))
    named = metric.replace("_", " ")
    columns = [
        Column("fusion"),
        Column(f"{named}, inner folds", True),
        Column("gain over the average", True),
        Column("set to"),
        Column("choice"),
    ]
    return Table(f"choice-{ensemble.name}", "What auto chose among, from safe to flexible", columns, rows)


def _additions(page: Page, ensemble: Ensemble, own: HeldOut) -> list[Block]:
    """Each member left out in turn, its weight going to the others."""
    if len(own.members) < 2 or len(own.members) > MOST_WEIGHTS:
        return []
    whole = ensemble.predict_proba(own.P, own.valid).argmax(axis=1) == own.y
    shared = replace(ensemble, missing="share")
    gains = []
    for m, member in enumerate(own.members):
        without = own.valid.copy()
        without[m] = False
        rest = shared.predict_proba(own.P, without).argmax(axis=1) == own.y
        gains.append((member, compare_right(whole, rest, own.groups)))
    gains.sort(key=lambda pair: -pair[1].difference)
    rows, marks = [], []
    for member, gain in gains:
        bounds = gain.interval or Interval(gain.difference, gain.difference)
        name, (low, value, high) = (
            page.called(member.name),
            (100 * v for v in (bounds.low, gain.difference, bounds.high)),
        )
        told = f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
        cells = [Cell(name, title=member.name), Cell(told, sort=gain.difference)]
        rows.append(Row([*cells, Cell(str(gain.only_first)), Cell(str(gain.only_second))]))
        marks.append({"name": name, "gain": value, "low": low, "high": high, "told": told})
    columns = [Column("model")]
    columns += [Column(name, True) for name in ("adds, points", "right only with it", "right only without it")]
    caption = (
        "What each member adds: accuracy on held-out clips with it minus without it, its weight going to the others"
    )
    table = Table(f"adds-{ensemble.name}", caption, columns, rows)
    return [Heading("What each member adds"), _additions_picture(ensemble, marks), table]


def _additions_picture(ensemble: Ensemble, marks: list[dict[str, object]]) -> Chart:
    order = [mark["name"] for mark in marks]
    spec = charts.chart(
        marks,
        height=charts.rows_high(len(marks), 22),
        encoding={"y": charts.x("name", "", "nominal", sort=order, axis={"title": None})},
        layer=[
            {
                "mark": {"type": "rule", "strokeWidth": 2, "color": charts.SOFT},
                "encoding": {"x": charts.x("low", "points added"), "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 70, "color": charts.PALETTE[0], "opacity": 1},
                "encoding": {
                    "x": charts.x("gain", "points added"),
                    "tooltip": charts.tip(("name", "model"), ("told", "adds, points")),
                },
            },
        ],
    )
    alt = f"What each of {len(marks)} members adds to ensemble {ensemble.name}, with 95 % intervals; the table below "
    return Chart(f"adds-{ensemble.name}", spec, f"{alt}has the numbers.")


def _subsets(page: Page, ensemble: Ensemble, own: HeldOut) -> Details:
    """The plain average of subsets: the best of each size."""
    M = len(own.members)
    P = np.where(own.valid[:, :, None], own.P, 1 / own.P.shape[2]).astype(np.float64)
    found = []
    for size in range(1, M + 1):
        right = {chosen: P[list(chosen)].sum(axis=0).argmax(axis=1) == own.y for chosen in combinations(range(M), size)}
        best = sorted(right, key=lambda chosen: -right[chosen].sum())[:_SUBSETS_OF_EACH_SIZE]
        found += [(chosen, right[chosen]) for chosen in best]
    bounds = accuracy_intervals(np.array([right for _, right in found], float), own.groups)
    rows = []
    for (chosen, right), interval in zip(found, bounds, strict=True):
        names = ", ".join(page.called(own.members[m].name) for m in chosen)
        value = float(right.mean())
        rows.append(Row([Cell(names), Cell(str(len(chosen))), Cell(with_interval(value, interval), sort=value)]))
    columns = [Column("members", wide=True), Column("size", True), Column("held-out accuracy, %", True)]
    caption = f"The plain average of the {_SUBSETS_OF_EACH_SIZE} best subsets of each size, chosen by these clips"
    note = "`emofuse ensemble ablation` searches weights for every subset, with a nested estimate of each."
    table = Table(f"subsets-{ensemble.name}", caption, columns, rows)
    return Details(f"Subsets of its {M} members", [Text(note), table])
