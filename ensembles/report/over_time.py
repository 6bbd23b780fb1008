"""What the report shows of continuous emotion, as plain data for the template."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ensembles.continuous.run import ContinuousMember, ContinuousRun, read_continuous_run
from ensembles.fitting.ensemble import Ensemble, How, ccc, readable_ensembles
from ensembles.fitting.leaderboard import short
from ensembles.fitting.tables import HOWS
from ensembles.fitting.tables_over_time import by_worth
from models.concordance import concordance

_MOST_TRACES = 12  # recordings that are drawn
_MOST_MEMBERS = 200  # rows of the leaderboard
_MOST_POINTS = 500  # of one line
_WIDTH, _HEIGHT, _LEFT = 960, 120, 46


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a run's best model says of its held-out recordings: `fused` (T, D), row by row those of `found`."""

    found: ContinuousRun
    name: str
    fused: np.ndarray


def predicted(run: Path, test: bool = False) -> tuple[Predicted, list[Ensemble]]:
    """The best ensemble's nested predictions, or without one the best member's; and the run's ensembles, best first."""
    ensembles = by_worth(readable_ensembles(run))
    found = read_continuous_run(run, ensembles[0].partitions if ensembles else None, test)
    recordings = found.recordings
    if ensembles:
        from ensembles.fitting.fit_over_time import nested_over_time

        return Predicted(found, f"ensemble {ensembles[0].name}", nested_over_time(found, ensembles[0])), ensembles
    m = recordings.members.index(found.members[0].name)
    fused = np.where(recordings.valid[m], recordings.P[m], recordings.Y.mean(axis=0))
    return Predicted(found, found.members[0].name, fused), ensembles


def section(run: Path, test: bool = False) -> dict[str, Any]:
    """All of the page that is of continuous emotion."""
    shown, ensembles = predicted(run, test)
    found = shown.found.recordings
    models, fused = len(shown.found.members), len(ensembles)
    who = f"{models} model{'s' * (models != 1)} and {fused} ensemble{'s' * (fused != 1)}"
    who += f" of {', '.join(found.dimensions)}"
    where = f"{len(set(found.recording))} held-out recordings of {len(set(found.group))} groups"
    return {
        "subtitle": f"{who} on {where}, {', '.join(shown.found.partitions)}",
        "tiles": _tiles(shown, ensembles),
        "verdict": ensembles[0].verdict if ensembles else "",
        "leaderboard": _leaderboard(shown.found, ensembles, test),
        "weights": [_weights(ensemble) for ensemble in ensembles],
        "recordings": _recordings(shown),
        "traces": _traces(shown),
        "windows": _windows(shown.found),
    }


def _tiles(shown: Predicted, ensembles: Sequence[Ensemble]) -> list[dict[str, Any]]:
    best = shown.found.members[0]
    count = len(set(shown.found.recordings.recording))
    tiles = [
        {
            "label": "Best single model, mean CCC",
            "value": f"{best.metrics['ccc']:.3f}",
            "note": f"{best.name}, {count} held-out recordings",
            "main": not ensembles,
        }
    ]
    if not ensembles:
        return tiles
    own = ensembles[0].scores["ensemble"]
    shown_first: tuple[How, ...] = ("test_refit", "test", "nested")
    for how in shown_first:
        if how in own:
            measured = own[how]
            note = f"{measured.n_clips} recordings, " + ", ".join(
                f"{name} {measured.metrics[f'ccc_{name}']:.3f}" for name in ensembles[0].outputs
            )
            label = HOWS[how].replace("clips", "recordings")
            tiles.insert(
                len(tiles) - 1,
                {
                    "label": f"Ensemble, {label}",
                    "value": f"{measured.metrics['ccc']:.3f}",
                    "note": note,
                    "main": len(tiles) == 1,
                },
            )
    return tiles


def _leaderboard(found: ContinuousRun, ensembles: Sequence[Ensemble], test: bool) -> dict[str, Any]:
    names = ("", *found.dimensions)
    columns = ["model", *(name or "mean" for name in names), "fitted", "scored"]
    columns += [f"test {name or 'mean'}" for name in names] if test else []
    rows = []
    for ensemble in ensembles:
        own = ensemble.scores["ensemble"]
        nested, final = own.get("nested"), own.get("test_refit", own.get("test"))
        cells = [f"ensemble {ensemble.name}", *(ccc(nested, name) if nested else "-" for name in names)]
        cells += [f"{own['fit'].metrics['ccc']:.3f}" if "fit" in own else "-", ""]
        if test:
            cells += [ccc(final, name) if final else "-" for name in names]
        rows.append({"ensemble": True, "cells": cells, "about": f"{ensemble.method}, {len(ensemble.members)} members"})
    rows += [_member_row(member, names, test) for member in found.members[:_MOST_MEMBERS]]
    hidden = len(found.members) - _MOST_MEMBERS
    note = (
        "CCC over all held-out recordings, one after the other. An ensemble's is the nested estimate with its interval "
        "over groups; `fitted` is its mean CCC on the recordings that chose its weights."
    )
    more = f" The {_MOST_MEMBERS} best of {len(found.members):,} models are listed." if hidden > 0 else ""
    return {"columns": columns, "rows": rows, "note": note + more}


def _member_row(member: ContinuousMember, names: Sequence[str], test: bool) -> dict[str, Any]:
    def cells(metrics: Mapping[str, float]) -> list[str]:
        return [f"{metrics[f'ccc_{name}' if name else 'ccc']:.3f}" if metrics else "-" for name in names]

    own = [member.name, *cells(member.metrics), "", f"{100 * member.coverage:.0f} %"]
    about = short(member.footer.hyperparameters)
    return {"ensemble": False, "cells": own + (cells(member.test) if test else []), "about": about}


def _weights(ensemble: Ensemble) -> dict[str, Any]:
    rows = [
        {"name": member.name, "cells": [{"text": f"{w:.2f}", "share": round(100 * w)} for w in weights]}
        for member, weights in zip(ensemble.members, ensemble.weights.tolist(), strict=True)
    ]
    note = f"Method {ensemble.method}, {len(ensemble.members)} of {ensemble.n_candidates} models."
    return {"name": ensemble.name, "note": note, "grid": {"columns": list(ensemble.outputs), "rows": rows}}


def _recordings(shown: Predicted) -> dict[str, Any]:
    """CCC of each recording and dimension."""
    found = shown.found.recordings
    rows = []
    for name in dict.fromkeys(found.recording.tolist()):
        own = found.recording == name
        values = [concordance(found.Y[own, d], shown.fused[own, d]) for d in range(len(found.dimensions))]
        rows.append([name, str(found.group[own][0]), f"{int(own.sum()):,}", *(f"{value:.3f}" for value in values)])
    note = (
        f"Of {shown.name}, on recordings that had no part in choosing. Recordings by themselves reach less than all of "
        "them one after the other, as differences between recordings don't count."
    )
    return {"columns": ["recording", "group", "labels", *found.dimensions], "rows": rows, "note": note}


def _traces(shown: Predicted) -> dict[str, Any]:
    """The gold and predicted lines of each recording, a picture for each dimension."""
    found = shown.found.recordings
    names = list(dict.fromkeys(found.recording.tolist()))
    pictures = []
    for name in names[:_MOST_TRACES]:
        own = np.flatnonzero(found.recording == name)
        time_s = found.time_s[own] if found.time_s is not None else np.arange(len(own), dtype=float)
        panels = [
            _panel(dimension, time_s, found.Y[own, d], shown.fused[own, d])
            for d, dimension in enumerate(found.dimensions)
        ]
        pictures.append({"name": name, "panels": panels})
    note = f"The labels and what {shown.name} predicts, over time in seconds; each line with a scale of its own."
    if len(names) > _MOST_TRACES:
        note += f" The first {_MOST_TRACES} of {len(names)} recordings are drawn."
    return {
        "pictures": pictures,
        "width": _WIDTH,
        "height": _HEIGHT,
        "note": note.replace("; each line", "; each picture"),
    }


def _panel(dimension: str, time_s: np.ndarray, gold: np.ndarray, fused: np.ndarray) -> dict[str, Any]:
    chosen = np.unique(np.linspace(0, len(time_s) - 1, min(len(time_s), _MOST_POINTS)).round().astype(int))
    low, high = float(min(gold.min(), fused.min())), float(max(gold.max(), fused.max()))
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    first, last = float(time_s[0]), float(max(time_s[-1], time_s[0] + 1e-9))

    def line(values: np.ndarray) -> str:
        x = _LEFT + (time_s[chosen] - first) / (last - first) * (_WIDTH - _LEFT - 8)
        y = 8 + (high - values[chosen]) / (high - low) * (_HEIGHT - 32)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

    ticks = [
        {"x": _LEFT + share * (_WIDTH - _LEFT - 8), "text": f"{first + share * (last - first):.0f} s"}
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    return {
        "dimension": dimension,
        "score": f"CCC {concordance(gold, fused):.3f}",
        "gold": line(gold),
        "fused": line(fused),
        "top": f"{high:.2f}",
        "bottom": f"{low:.2f}",
        "ticks": ticks,
    }


def _windows(found: ContinuousRun) -> list[dict[str, Any]]:
    """CCC over the length of the window that labels are averaged over, by entry (Huang 2018, figure 4)."""
    from ensembles.continuous.trials import step_of

    step_s = step_of([trial for trials in found.trials.values() for trial in trials])
    by_entry: dict[str, list[ContinuousMember]] = defaultdict(list)
    for member in found.members:
        if isinstance(member.footer.hyperparameters.get("window"), int) and member.metrics:
            by_entry[member.footer.entry].append(member)
    lines = {
        entry: own
        for entry, own in sorted(by_entry.items())
        if len({member.footer.hyperparameters["window"] for member in own}) > 1
    }
    return [_window_plot(dimension, lines, step_s) for dimension in found.dimensions] if lines else []


def _window_plot(dimension: str, lines: Mapping[str, Sequence[ContinuousMember]], step_s: float) -> dict[str, Any]:
    points: dict[str, dict[float, float]] = {}
    for entry, own in lines.items():
        best: dict[float, float] = {}
        for member in own:  # of several configurations with one window the best
            window = float(member.footer.hyperparameters["window"]) * step_s
            best[window] = max(best.get(window, -1.0), member.metrics[f"ccc_{dimension}"])
        points[entry] = dict(sorted(best.items()))
    seconds = sorted({window for reached in points.values() for window in reached})
    values = [value for reached in points.values() for value in reached.values()]
    low, high = float(np.floor(min(values) * 20) / 20), float(np.ceil(max(values) * 20) / 20)
    high = high if high > low else low + 0.05
    width, height, left = 460, 220, 46

    def x(value: float) -> float:
        return round(left + 12 + (value - seconds[0]) / (seconds[-1] - seconds[0]) * (width - left - 36), 1)

    def y(value: float) -> float:
        return round(10 + (high - value) / (high - low) * (height - 44), 1)

    drawn = [
        {
            "entry": entry,
            "kind": number % 6,
            "points": " ".join(f"{x(a)},{y(b)}" for a, b in reached.items()),
            "dots": [{"x": x(a), "y": y(b), "text": f"{entry}, {a:.2g} s: {b:.3f}"} for a, b in reached.items()],
        }
        for number, (entry, reached) in enumerate(points.items())
    ]
    return {
        "dimension": dimension,
        "lines": drawn,
        "x": [{"x": x(value), "text": f"{value:.2g} s"} for value in seconds],
        "y": [{"y": y(value), "text": f"{value:.2f}"} for value in np.linspace(low, high, 4)],
        "width": width,
        "height": height,
        "left": left,
    }
