"""The search over time: every trial that ended, the best so far, and what ASHA stopped."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ensembles.report import charts
from ensembles.report.blocks import Block, Cell, Chart, Column, Row, Section, Table
from ensembles.report.gather import Page
from models.metrics import in_words, told
from search.run.ended import Ended

_MOST_TRIALS = 1_500  # points in the picture
_SHARES = {"accuracy", "unweighted_accuracy", "macro_f1", "macro_average_precision"}
_WORDS = {"finished": "finished", "pruned": "stopped by ASHA", "failed": "failed"}


def section(page: Page) -> Section | None:
    """History and counts by entry; refits are no part of the search, and predictions of other tools had none."""
    trials = [t for t in page.ended if not (t.status == "finished" and t.partition == "full")]
    if not trials or page.imported:
        return None
    blocks: list[Block] = []
    trials = _dated(page, trials)
    valued = [t for t in trials if t.value is not None and t.at_s]
    if valued:
        blocks.append(_picture(page, valued))
    blocks.append(_table(page, trials))
    says = "How the trials of each entry ended; none of them reached a value yet."
    if valued:
        says = "Every trial when it ended and what it reached, with the best so far as a line; crosses were stopped by "
        says += "ASHA."
    if len(valued) > _MOST_TRIALS:
        says += (
            f" Of {len(valued):,} trials {_MOST_TRIALS:,} are drawn, evenly over time, and all that were a best so far."
        )
    return Section("history", "The search", says, blocks)


def _dated(page: Page, trials: Sequence[Ended]) -> list[Ended]:
    """The trials with the time at which they say they ended: that of their file changes when a run is copied."""
    members = page.predictions.held_out.members if page.predictions else ()
    said = {f.trial_key: f.started_s + f.wall_s for m in members for f in m.trials.values() if f.started_s}
    return [t._replace(at_s=said[t.trial_key]) if t.trial_key in said else t for t in trials]


def _metrics(page: Page) -> Mapping[str, str]:
    return {planned.entry: planned.searched for planned in page.plan}


def points(
    trials: Sequence[Ended], metrics: Mapping[str, str], start_s: float, unit_s: float, scale: float
) -> list[dict[str, Any]]:
    """A row for each trial that is drawn; `best` where it was the best of its entry so far, and at the end."""
    rows: list[dict[str, Any]] = []
    best: dict[str, float] = {}
    drawn = set(np.linspace(0, len(trials) - 1, min(len(trials), _MOST_TRIALS)).astype(int).tolist())
    when = 0.0
    for n, t in enumerate(sorted(trials, key=lambda t: t.at_s)):
        metric = metrics.get(t.entry, "accuracy")
        reached, sign = round(scale * float(told(metric, t.value or 0.0)), 4), -1 if metric == "log_loss" else 1
        better = t.status == "finished" and (t.entry not in best or sign * reached > sign * best[t.entry])
        if better or n in drawn:
            when = round((t.at_s - start_s) / unit_s, 3)
            rows.append({"t": when, "v": reached, "entry": t.entry, "how": _WORDS[t.status], "part": t.partition})
        if better:
            rows[-1]["best"] = best[t.entry] = reached
    return rows + [{"t": when, "entry": entry, "best": value} for entry, value in best.items()]


def _picture(page: Page, trials: Sequence[Ended]) -> Chart:
    metrics, start_s = _metrics(page), min(t.at_s - t.wall_s for t in trials)
    percent = {metrics.get(t.entry, "accuracy") for t in trials} <= _SHARES
    unit, unit_s = ("hours", 3600.0) if max(t.at_s for t in trials) - start_s > 3 * 3600 else ("minutes", 60.0)
    shown = points(trials, metrics, start_s, unit_s, 100 if percent else 1)
    entries = len({t.entry for t in trials})
    words = {in_words(m) for m in metrics.values()} or {"accuracy"}
    name = (words.pop() if len(words) == 1 else "value") + (", %" if percent else "")
    x = charts.x("t", f"{unit} since the first trial began")
    spec = charts.chart(
        shown,
        height=320,
        layer=[
            {
                "transform": [{"filter": "isValid(datum.v)"}],
                "mark": {"type": "point", "filled": True, "size": 45},
                "params": [*charts.pick("entry"), *charts.ZOOM],
                "encoding": {
                    "x": x,
                    "y": charts.x("v", f"held-out {name}", scale={"zero": False}),
                    "color": charts.coloured("entry"),
                    "shape": charts.coloured(
                        "how",
                        None,
                        scale={"domain": list(_WORDS.values()), "range": ["circle", "cross", "triangle-down"]},
                    ),
                    "opacity": charts.FADED,
                    "tooltip": charts.tip(("entry", "entry"), ("part", "partition"), ("v", name), ("how", "end")),
                },
            },
            {
                "transform": [{"filter": "isValid(datum.best)"}],
                "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
                "encoding": {
                    "x": x,
                    "y": charts.x("best", f"held-out {name}"),
                    "color": charts.coloured("entry"),
                    "opacity": charts.FADED,
                },
            },
        ],
    )
    alt = f"Held-out {name} of {len(trials):,} trials of {entries} entries over time, with the best so far; the table "
    alt += "below counts them."
    return Chart("history", spec, alt)


def _table(page: Page, trials: Sequence[Ended]) -> Table:
    metrics = _metrics(page)
    rows = []
    by_entry: dict[str, list[Ended]] = defaultdict(list)
    for trial in trials:
        by_entry[trial.entry].append(trial)
    for entry, own in sorted(by_entry.items()):
        values = sorted(t.value for t in own if t.status == "finished" and t.value is not None)
        metric = metrics.get(entry, "accuracy")
        counts = [sum(t.status == status for t in own) for status in _WORDS]
        told_values = [told(metric, v) for v in (values[-1], values[len(values) // 2], values[0])] if values else []
        cells = [Cell(entry), Cell(in_words(metric)), *(Cell(f"{n:,}") for n in counts)]
        cells += [Cell(f"{value:.3f}") for value in told_values] or [Cell("-")] * 3
        rows.append(Row([*cells, Cell(f"{sum(t.wall_s for t in own) / 60:.1f}")]))
    columns = [Column("entry"), Column("metric", choices=True), *(Column(word, True) for word in _WORDS.values())]
    columns += [Column(name, True) for name in ("best", "median", "worst", "minutes")]
    return Table("history", "Trials of each entry, and the held-out metric of those that finished", columns, rows)
