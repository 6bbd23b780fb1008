"""Continuous emotion: models and ensembles by concordance, labels and predictions over time, CCC of each recording."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensembles.continuous.later import LookOverTime, seen_over_time
from ensembles.continuous.run import ContinuousMember, ContinuousRun, read_continuous_run
from ensembles.fitting.ensemble import Ensemble, How, ccc, readable_ensembles
from ensembles.fitting.leaderboard import short
from ensembles.fitting.tables import HOWS
from ensembles.fitting.tables_over_time import by_worth
from ensembles.predictions.later_annotations import TestAnnotations
from ensembles.report import charts
from ensembles.report.blocks import Beside, Block, Cell, Chart, Column, Heading, Row, Section, Table, Text, Tile, Tiles
from ensembles.report.gather import Page
from ensembles.report.sections import seeds
from ensembles.report.sections.heats import heat
from models.concordance import concordance

MOST_TRACES = 8  # recordings that are drawn
_MOST_MEMBERS = 200  # rows of the leaderboard
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
    found = [
        headline(shown, ensembles),
        _leaderboard(shown.found, ensembles, bool(test)),
        traces(shown),
        recordings(shown),
    ]
    found += [*seeds.over_time(shown.found), *windows(shown.found), *([_weights(ensembles)] if ensembles else [])]
    return found


def headline(shown: Predicted, ensembles: Sequence[Ensemble]) -> Section:
    """The best ensemble and the best single model, by concordance."""
    blocks: list[Block] = [Tiles(_tiles(shown, ensembles))]
    if ensembles and ensembles[0].verdict:
        wrong = "does not" in ensembles[0].verdict
        blocks.append(Text(ensembles[0].verdict, "warn" if wrong else "good"))
    found = shown.found.recordings
    models, where = (
        len(shown.found.members),
        f"{len(set(found.recording))} held-out recordings of {len(set(found.group))} groups",
    )
    says = f"{models} model{'s' * (models != 1)} and {len(ensembles)} ensemble{'s' * (len(ensembles) != 1)} of "
    says += f"{', '.join(found.dimensions)} on {where}, by their concordance with the labels (CCC)."
    return Section("continuous", "Continuous emotion: what came out", says, blocks)


def _tiles(shown: Predicted, ensembles: Sequence[Ensemble]) -> list[Tile]:
    best = shown.found.members[0]
    count = len(set(shown.found.recordings.recording))
    note = f"{best.name}, {count} held-out recordings, by which it was chosen"
    tiles = [Tile("Best single model, mean CCC", f"{best.metrics['ccc']:.3f}", note, not ensembles)]
    if not ensembles:
        return tiles
    own = ensembles[0].scores["ensemble"]
    hows: tuple[How, ...] = ("test_refit", "test", "nested")
    first: list[Tile] = []
    for how in hows:
        if how in own:
            measured = own[how]
            each = ", ".join(f"{name} {measured.metrics[f'ccc_{name}']:.3f}" for name in ensembles[0].outputs)
            label = f"Ensemble, {HOWS[how].replace('clips', 'recordings')}"
            first.append(
                Tile(label, ccc(measured).partition(" ")[0], f"{measured.n_clips} recordings, {each}", not first)
            )
    return [*first, *tiles]


def _leaderboard(found: ContinuousRun, ensembles: Sequence[Ensemble], test: bool) -> Section:
    names = ("", *found.dimensions)
    columns = [
        Column("model"),
        *(Column(name or "mean", True) for name in names),
        Column("fitted", True),
        Column("scored", True),
    ]
    columns += [Column(f"test {name or 'mean'}", True) for name in names] if test else []
    rows = []
    for ensemble in ensembles:
        own = ensemble.scores["ensemble"]
        nested, final = own.get("nested"), own.get("test_refit", own.get("test"))
        cells = [f"ensemble {ensemble.name}", *(ccc(nested, name) if nested else "-" for name in names)]
        cells += [f"{own['fit'].metrics['ccc']:.3f}" if "fit" in own else "-", ""]
        if test:
            cells += [ccc(final, name) if final else "-" for name in names]
        rows.append(Row([*map(Cell, cells), Cell(f"{ensemble.method}, {len(ensemble.members)} members")], strong=True))
    rows += [_member_row(member, names, test) for member in found.members[:_MOST_MEMBERS]]
    says = (
        "CCC over all held-out recordings, one after the other. An ensemble's is the nested estimate with its interval "
        "over groups; `fitted` is its mean CCC on the recordings that chose its weights."
    )
    if len(found.members) > _MOST_MEMBERS:
        says += f" The {_MOST_MEMBERS} best of {len(found.members):,} models are listed."
    table = Table(
        "over-time", "Models and ensembles by CCC", [*columns, Column("hyperparameters", long=True)], rows, True
    )
    return Section("over-time", "Continuous emotion: models and ensembles", says, [table])


def _member_row(member: ContinuousMember, names: Sequence[str], test: bool) -> Row:
    def cells(metrics: Mapping[str, float]) -> list[str]:
        return [f"{metrics[f'ccc_{name}' if name else 'ccc']:.3f}" if metrics else "-" for name in names]

    texts = [member.name, *cells(member.metrics), "", f"{100 * member.coverage:.0f} %"]
    texts += cells(member.test) if test else []
    return Row([*map(Cell, texts), Cell(short(member.footer.hyperparameters))])


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


def _weights(ensembles: Sequence[Ensemble]) -> Section:
    blocks: list[Block] = []
    for ensemble in ensembles:
        names, values = [member.name for member in ensemble.members], ensemble.weights
        blocks.append(
            Text(f"Ensemble {ensemble.name}: method {ensemble.method}, {len(names)} of {ensemble.n_candidates} models.")
        )
        caption = f"Weights of {ensemble.name}, model by dimension"
        blocks.append(heat(caption, "model", names, ensemble.outputs, values, np.clip(values, 0, 1), "{:.2f}"))
    return Section(
        "over-time-weights", "Weights over dimensions", "How much each model counts for each dimension.", blocks
    )
