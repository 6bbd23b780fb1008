"""Continuous emotion: models and ensembles by concordance, labels and predictions over time, CCC of each recording."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ensembles.comparison.tables_over_time import by_worth
from ensembles.continuous.later import LookOverTime, seen_over_time
from ensembles.continuous.run import ContinuousMember, ContinuousRun, read_continuous_run
from ensembles.predictions.later_annotations import TestAnnotations
from ensembles.records.ensemble import Ensemble
from ensembles.records.stored import readable_ensembles
from ensembles.report import charts
from ensembles.report.blocks import Beside, Block, Cell, Chart, Column, Heading, Row, Section, Table, Text
from ensembles.report.gather import Page
from ensembles.report.sections import seeds
from ensembles.report.sections.heats import heat
from ensembles.report.sections.over_time_headline import headline
from ensembles.report.sections.over_time_members import each, leaderboard, names_over_time
from models.concordance import concordance
from search.run.planned import read_asked

MOST_TRACES = 8  # recordings that are drawn
MOST_POINTS = 400  # of one line
_LABELS, _PREDICTIONS = "labels", "predictions"


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a run's best model says of its held-out recordings: `fused` (T, D), row by row those of `found`."""

    found: ContinuousRun
    name: str
    fused: np.ndarray


def predicted(run: Path, test: LookOverTime = False) -> tuple[Predicted, list[Ensemble]]:
    """The best ensemble's nested predictions, or without one the best member's; and the run's ensembles, best first."""
    ensembles = by_worth(readable_ensembles(run))
    if isinstance(test, TestAnnotations):
        from ensembles.fitting.fit_over_time import score_later

        ensembles = [score_later(run, ensemble, test) for ensemble in ensembles]
    found = read_continuous_run(run, ensembles[0].partitions if ensembles else None, test)
    recordings = found.recordings
    if ensembles:
        from ensembles.fitting.kept_nested import kept_nested_over_time

        fused = kept_nested_over_time(run, found, ensembles[0])
        return Predicted(found, f"ensemble {ensembles[0].name}", fused), ensembles
    m = recordings.members.index(found.members[0].name)
    fused = np.where(recordings.valid[m], recordings.P[m], recordings.Y.mean(axis=0))
    return Predicted(found, found.members[0].name, fused), ensembles


def sections(page: Page) -> list[Section]:
    """All of the page that is of continuous emotion; labels of clips that came later are not for these."""
    if not page.over_time:
        return []
    alone = page.board is None or isinstance(page.look, TestAnnotations)
    test = seen_over_time(page.look) if alone else bool(page.look)
    shown, ensembles = predicted(page.run, test)
    run = shown.found
    names = names_over_time(run, read_asked(page.run))
    shown = replace(shown, name=names.get(shown.name, shown.name))
    found = [headline(run, ensembles, names), leaderboard(run, ensembles, names, bool(test))]
    found += [traces(shown), recordings(shown)]
    found += [
        *seeds.over_time(run),
        *windows(run),
        *([_weights(ensembles, names)] if ensembles else []),
        each(run, names),
    ]
    return found


def recordings(shown: Predicted) -> Section:
    """CCC of each recording and dimension."""
    found = shown.found.recordings
    rows = []
    for name in dict.fromkeys(found.recording.tolist()):
        own = found.recording == name
        values = [concordance(found.Y[own, d], shown.fused[own, d]) for d in range(len(found.dimensions))]
        texts = [str(name), str(found.group[own][0]), f"{int(own.sum()):,}", *(f"{value:.3f}" for value in values)]
        rows.append(Row(list(map(Cell, texts))))
    says = (
        f"Of {shown.name}, on recordings that had no part in choosing. Recordings by themselves reach less than all of "
        "them one after the other, as differences between recordings don't count."
    )
    columns = [Column("recording"), Column("group", choices=True), Column("labels", True)]
    columns += [Column(name, True) for name in found.dimensions]
    return Section(
        "recordings", "CCC of each recording", says, [Table("recordings", "CCC of each recording", columns, rows)]
    )


def traces(shown: Predicted) -> Section:
    """The gold and predicted lines of each recording, a picture for each dimension, with zoom."""
    found = shown.found.recordings
    names = list(dict.fromkeys(found.recording.tolist()))
    blocks: list[Block] = []
    for name in names[:MOST_TRACES]:
        own = np.flatnonzero(found.recording == name)
        time_s = found.time_s[own] if found.time_s is not None else np.arange(len(own), dtype=float)
        blocks.append(Heading(str(name)))
        for d, dimension in enumerate(found.dimensions):
            blocks.append(trace(str(name), dimension, time_s, found.Y[own, d], shown.fused[own, d]))
    says = f"The labels and what {shown.name} predicts, over time in seconds; drag to move, turn the wheel to zoom."
    if len(names) > MOST_TRACES:
        says += f" The first {MOST_TRACES} of {len(names)} recordings are drawn."
    return Section("traces", "Labels and predictions over time", says, blocks)


def trace(name: str, dimension: str, time_s: np.ndarray, gold: np.ndarray, fused: np.ndarray) -> Chart:
    """One picture; a long recording is drawn by few points, spread evenly."""
    chosen = np.unique(np.linspace(0, len(time_s) - 1, min(len(time_s), MOST_POINTS)).round().astype(int))
    rows = [
        {"t": round(float(time_s[n]), 2), "v": round(float(values[n]), 4), "what": what}
        for what, values in ((_LABELS, gold), (_PREDICTIONS, fused))
        for n in chosen.tolist()
    ]
    told = f"CCC {concordance(gold, fused):.3f}"
    colours = {"domain": [_LABELS, _PREDICTIONS], "range": [charts.PALETTE[1], charts.PALETTE[0]]}
    spec = charts.chart(
        rows,
        height=130,
        params=charts.ZOOM,
        mark={"type": "line", "strokeWidth": 1.6},
        encoding={
            "x": charts.x("t", "seconds"),
            "y": charts.x("v", dimension, scale={"zero": False}),
            "color": charts.coloured("what", None, scale=colours),
            "strokeDash": {
                "field": "what",
                "type": "nominal",
                "legend": None,
                "scale": {"domain": [_LABELS, _PREDICTIONS], "range": [[5, 3], [1, 0]]},
            },
            "tooltip": charts.tip(("what", "of"), ("t", "seconds"), ("v", dimension)),
        },
    )
    alt = f"{dimension} of {name} over time: labels dashed, predictions solid; {told}."
    return Chart(
        f"trace-{name}-{dimension}", {**spec, "title": {"text": f"{dimension}, {told}", "anchor": "start"}}, alt
    )


def windows(found: ContinuousRun) -> list[Section]:
    """CCC over the length of the window that labels are averaged over, by entry (Huang 2018, figure 4)."""
    from ensembles.continuous.trials import step_of

    step_s = step_of([trial for trials in found.trials.values() for trial in trials])
    by_entry: dict[str, list[ContinuousMember]] = defaultdict(list)
    for member in found.members:
        if isinstance(member.footer.hyperparameters.get("window"), int) and member.metrics:
            by_entry[member.footer.entry].append(member)
    several = {
        e: own for e, own in sorted(by_entry.items()) if len({m.footer.hyperparameters["window"] for m in own}) > 1
    }
    if not several:
        return []
    rows = window_rows(several, found.dimensions, step_s)
    columns = [[_window_chart(name, [row for row in rows if row["dimension"] == name])] for name in found.dimensions]
    says = (
        "The length of the windows over which frames and labels are averaged, and the CCC on held-out recordings; a "
        "line for each entry that tried several, of configurations with one window the best."
    )
    return [Section("windows", "CCC over window length", says, [Beside(columns)])]


def window_rows(
    lines: Mapping[str, Sequence[ContinuousMember]], dimensions: Sequence[str], step_s: float
) -> list[dict[str, object]]:
    """A row for each entry, dimension and window: of several configurations with one window the best."""
    rows: list[dict[str, object]] = []
    for entry, own in lines.items():
        for dimension in dimensions:
            best: dict[float, float] = {}
            for member in own:
                window = float(member.footer.hyperparameters["window"]) * step_s
                spread = member.over_seeds.get(f"ccc_{dimension}")
                value = member.metrics[f"ccc_{dimension}"] if spread is None else spread.mean
                best[window] = max(best.get(window, -1.0), value)
            rows += [
                {"entry": entry, "dimension": dimension, "window": round(window, 4), "ccc": round(value, 3)}
                for window, value in sorted(best.items())
            ]
    return rows


def _window_chart(dimension: str, rows: Sequence[Mapping[str, object]]) -> Chart:
    spec = charts.chart(
        rows,
        height=220,
        mark={"type": "line", "point": {"filled": True, "size": 50}},
        encoding={
            "x": charts.x("window", "window, seconds"),
            "y": charts.x("ccc", f"CCC of {dimension}", scale={"zero": False}),
            "color": charts.coloured("entry"),
            "tooltip": charts.tip(("entry", "entry"), ("window", "seconds"), ("ccc", "CCC")),
        },
    )
    told = "; ".join(f"{row['entry']}, {row['window']} s: {row['ccc']}" for row in rows[:12])
    return Chart(
        f"windows-{dimension}", {**spec, "title": dimension}, f"CCC of {dimension} over window length. {told}."
    )


def _weights(ensembles: Sequence[Ensemble], called: Mapping[str, str]) -> Section:
    blocks: list[Block] = []
    for ensemble in ensembles:
        names, values = [called.get(m.name, m.name) for m in ensemble.members], ensemble.weights
        blocks.append(
            Text(f"Ensemble {ensemble.name}: method {ensemble.method}, {len(names)} of {ensemble.n_candidates} models.")
        )
        caption = f"Weights of {ensemble.name}, model by dimension"
        blocks.append(heat(caption, "model", names, ensemble.outputs, values, np.clip(values, 0, 1), "{:.2f}"))
    return Section(
        "over-time-weights", "Weights over dimensions", "How much each model counts for each dimension.", blocks
    )
