"""What the report shows, as plain data for the template."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ensembles.evaluation.metrics import recalls
from ensembles.fitting.ensemble import Ensemble, How, Measured, percent
from ensembles.fitting.leaderboard import Leaderboard, MemberRow
from ensembles.fitting.tables import HOWS, maybe, pct
from models.metrics import in_words, told

_MOST_MEMBERS = 25  # in the plot
MOST_ROWS = 200  # models in the table
_MOST_WEIGHTS = 100  # models in a picture of weights
_MOST_TRIALS = 300  # dots in an entry's strip
_LABEL_WIDTH, _PLOT_WIDTH, _ROW_HEIGHT = 300, 660, 26


def final(ensemble: Ensemble) -> How | None:
    """Which look at the test clips an ensemble has: by refitted members if there is one."""
    known = ensemble.scores["ensemble"]
    return next((how for how in ("test_refit", "test") if how in known), None)


def tiles(board: Leaderboard) -> list[dict[str, Any]]:
    """The figures at the top: the leading ensemble on test and nested, its gain over the best single member."""
    if not board.ensembles:
        best = board.members[0]
        return [_tile("Best single model", f"{100 * best.accuracy:.1f} %", f"{best.name}, held-out clips", main=True)]
    ensemble = board.ensembles[0]
    shown = []
    how = final(ensemble)
    if how:
        measured = ensemble.scores["ensemble"][how]
        shown.append(_tile("Ensemble on test clips", _share(measured), _bounds(measured), main=True))
        single = ensemble.scores.get("best_single", {}).get(how)
        if single:
            gain = 100 * (measured.accuracy - single.accuracy)
            shown.append(_tile("Best single model on test", _share(single), f"the ensemble has {gain:+.1f} points"))
    nested = ensemble.scores["ensemble"].get("nested")
    fit = ensemble.scores["ensemble"]["fit"]
    if nested:
        shown.append(_tile("Estimate without test clips", _share(nested), f"nested; {_bounds(nested)}", not how))
        optimism = 100 * (fit.accuracy - nested.accuracy)
        note = f"{_share(fit)} on the rows that chose the weights"
        shown.append(_tile("Optimism of the fitted score", f"{optimism:.1f} points", note))
    return shown


def dots(board: Leaderboard) -> dict[str, Any]:
    """The dot plot of members and ensembles: accuracies with intervals on one scale."""
    rows = [_ensemble_dots(ensemble) for ensemble in board.ensembles]
    rows += [_member_dots(row) for row in board.members[:_MOST_MEMBERS]]
    values = [value for row in rows for _, value, _ in row["marks"]] + [
        value for row in rows if row["bounds"] for value in row["bounds"]
    ]
    low, high = max(0.0, np.floor(min(values) * 20) / 20), min(1.0, np.ceil(max(values) * 20) / 20)
    high = high if high > low else low + 0.05

    def x(value: float) -> float:
        return round(_LABEL_WIDTH + (value - low) / (high - low) * (_PLOT_WIDTH - 20), 1)

    step = 0.05 if high - low <= 0.45 else 0.1
    drawn = []
    for number, row in enumerate(rows):
        bounds = row["bounds"]
        drawn.append(
            {
                "name": _shortened(row["name"]),
                "ensemble": row["ensemble"],
                "y": 38 + number * _ROW_HEIGHT,
                "low": x(bounds[0]) if bounds else None,
                "high": x(bounds[1]) if bounds else None,
                "marks": [{"kind": kind, "x": x(value), "text": text} for kind, value, text in row["marks"]],
            }
        )
    hidden = len(board.members) - _MOST_MEMBERS
    note = f"Accuracy on {board.n_clips} held-out clips of {board.n_groups} groups."
    if board.metric != "accuracy":
        note += f" Best first by {board.metric}, which was searched for."
    if hidden > 0:
        note += f" The {_MOST_MEMBERS} best models are drawn, {hidden:,} more are not."
    return {
        "rows": drawn,
        "ticks": [{"x": x(t), "text": f"{100 * t:.0f} %"} for t in np.arange(low, high + 1e-9, step)],
        "width": _LABEL_WIDTH + _PLOT_WIDTH,
        "height": 38 + len(rows) * _ROW_HEIGHT,
        "has_test": any(kind == "test" for row in rows for kind, _, _ in row["marks"]),
        "note": note,
    }


def ensemble_section(ensemble: Ensemble, *, leads: bool) -> dict[str, Any]:
    """One ensemble: the weights as a picture, model x class, and its confusion matrices.

    The verdict on the one that `leads` stands at the top of the page.
    """
    how = final(ensemble)
    confusions = []
    for which, title in (("nested", "Confusion on held-out clips"), (how, "Confusion on test clips")):
        measured = ensemble.scores["ensemble"].get(which) if which else None
        if measured:
            confusions.append(
                {
                    "title": title,
                    "note": f"Rows are true classes, shades their shares; {measured.rows}.",
                    "grid": _confusion(measured, ensemble.classes),
                }
            )
    count = f"{len(ensemble.members)} of {ensemble.n_candidates} models"
    note = f"Method {ensemble.chosen_method}, {count}. {ensemble.verdict if not leads else ''}"
    if len(ensemble.members) > _MOST_WEIGHTS:
        note += f" The picture shows the {_MOST_WEIGHTS} of most weight, ensemble.json all."
    return {"name": f"Ensemble {ensemble.name}", "note": note, "weights": _weights(ensemble), "confusions": confusions}


def leaderboard_section(board: Leaderboard) -> dict[str, Any]:
    """The table of ensembles and members; an ensemble's fitted score never stands without its nested estimate."""
    test = any(row.test_accuracy is not None for row in board.members)
    columns = [
        ("model", False),
        ("held-out", True),
        ("unweighted", True),
        ("macro precision", True),
        ("on fit clips", True),
        ("log-loss", True),
        *([("test", True), ("test unweighted", True)] if test else []),
        ("epochs", True),
        ("seconds", True),
    ]
    rows = [{"ensemble": True, "cells": _ensemble_cells(ensemble, test)} for ensemble in board.ensembles]
    rows += [{"ensemble": False, "cells": _member_cells(row, test)} for row in board.members[:MOST_ROWS]]
    hidden = len(board.members) - MOST_ROWS
    more = f" The {MOST_ROWS} best of {len(board.members):,} models are listed: `emofuse ensemble leaderboard` with "
    more += "--top 0 lists all."
    return {
        "columns": [{"name": name, "number": number, "long": False} for name, number in columns]
        + [{"name": "hyperparameters", "number": False, "long": True}],
        "rows": rows,
        "note": "An ensemble's held-out accuracy is the nested estimate, with the score on the rows that chose its "
        "weights in brackets behind it. A model's test accuracy is that of its trials before the refit."
        + (more if hidden > 0 else ""),
    }


def recall_section(board: Leaderboard) -> dict[str, Any]:
    """The recall of each class: of the ensembles, and of the models that the plot shows."""
    classes = list(board.members[0].recalls or ())
    rows = [
        {"ensemble": True, "cells": [f"ensemble {ensemble.name}", HOWS[how], *map(maybe, recalls(measured.confusion))]}
        for ensemble in board.ensembles
        for how, measured in ensemble.scores["ensemble"].items()
        if how != "fit"
    ]
    for row in board.members[:_MOST_MEMBERS]:
        for where, by_class in (("held-out clips", row.recalls), ("test clips", row.test_recalls)):
            if by_class is not None:
                cells = [row.name, where, *(maybe(by_class[name]) for name in classes)]
                rows.append({"ensemble": False, "cells": cells})
    note = "Share of the clips of each class that are named right, in percent."
    return {"columns": ["model", "measured on", *classes], "rows": rows, "note": note}


def search_section(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries of the search with a strip of their trials from 0 to 1; of the log-loss what it is the log of."""

    def places(row: Mapping[str, Any]) -> Sequence[float]:
        values = _thinned(row["values"])
        return np.exp(values).tolist() if row["metric"] == "log_loss" else values

    shown = [
        {
            **row,
            "best": "-" if row["best"] is None else f"{told(row['metric'], row['best']):.3f}",
            "minutes": f"{row['seconds'] / 60:.1f}",
            "strip": [round(4 + 312 * value, 1) for value in places(row)],
        }
        for row in rows
    ]
    metrics = {in_words(row["metric"]) for row in rows}
    note = "Each dot is a trial; the line runs from 0 to 100 %."
    if "log_loss" in metrics:
        note += " Of the log_loss a dot stands at the geometric mean of the true classes' probabilities."
    if any(len(row["values"]) > _MOST_TRIALS for row in rows):
        note += f" Of an entry with more than {_MOST_TRIALS} trials so many are drawn, evenly from worst to best."
    return {"rows": shown, "note": note, "metric": metrics.pop() if len(metrics) == 1 else "metric"}


def _thinned(values: Sequence[float]) -> Sequence[float]:
    if len(values) <= _MOST_TRIALS:
        return values
    return np.sort(values)[np.linspace(0, len(values) - 1, _MOST_TRIALS).astype(int)].tolist()


def _tile(label: str, value: str, note: str, main: bool = False) -> dict[str, Any]:
    return {"label": label, "value": value, "note": note, "main": main}


def _share(measured: Measured) -> str:
    return f"{100 * measured.accuracy:.1f} %"


def _bounds(measured: Measured) -> str:
    clips = f"{measured.n_clips} clips of {measured.n_groups} groups"
    if measured.interval is None:
        return clips
    return f"95 % interval {100 * measured.interval.low:.0f} to {100 * measured.interval.high:.0f} %, {clips}"


def _ensemble_dots(ensemble: Ensemble) -> dict[str, Any]:
    own = ensemble.scores["ensemble"]
    marks = [("fitted", own["fit"].accuracy, f"{percent(own['fit'])} on the rows that chose the weights")]
    nested, how = own.get("nested"), final(ensemble)
    if nested:
        marks.append(("held", nested.accuracy, f"{percent(nested)} nested by group"))
    if how:
        marks.append(("test", own[how].accuracy, f"{percent(own[how])} on test clips"))
    interval = nested.interval if nested else None
    bounds = (interval.low, interval.high) if interval else None
    return {"name": f"ensemble {ensemble.name}", "ensemble": True, "marks": marks, "bounds": bounds}


def _member_dots(row: MemberRow) -> dict[str, Any]:
    marks = [("held", row.accuracy, f"{100 * row.accuracy:.1f} % on held-out clips")]
    if row.test_accuracy is not None:
        marks.append(("test", row.test_accuracy, f"{100 * row.test_accuracy:.1f} % on test clips"))
    return {"name": row.name, "ensemble": False, "marks": marks, "bounds": None}


def _weights(ensemble: Ensemble) -> dict[str, Any]:
    shown = np.sort(np.argsort(-ensemble.weights.sum(axis=1), kind="stable")[:_MOST_WEIGHTS])
    names, weights = [ensemble.members[m].name for m in shown], ensemble.weights[shown]
    return _grid(names, ensemble.classes, weights, weights / ensemble.weights.max(), "{:.2f}")


def _confusion(measured: Measured, classes: Sequence[str]) -> dict[str, Any]:
    counts = np.array(measured.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return _grid(classes, classes, counts, shares, "{:d}")


def _grid(
    names: Sequence[str], columns: Sequence[str], values: np.ndarray, shares: np.ndarray, text: str
) -> dict[str, Any]:
    def cells(line: Sequence[float], share_of: Sequence[float]) -> list[dict[str, Any]]:
        return [{"text": text.format(v), "share": round(100 * s)} for v, s in zip(line, share_of, strict=True)]

    lines = zip(names, values.tolist(), shares.tolist(), strict=True)
    return {"columns": list(columns), "rows": [{"name": name, "cells": cells(line, of)} for name, line, of in lines]}


def _ensemble_cells(ensemble: Ensemble, test: bool) -> list[str]:
    own = ensemble.scores["ensemble"]
    nested, how = own.get("nested"), final(ensemble)
    best = nested or own["fit"]
    fitted = own["fit"]
    held_out = f"{percent(nested)} (fitted {100 * fitted.accuracy:.1f})" if nested else f"fitted {percent(fitted)}"
    cells = [
        f"ensemble {ensemble.name}",
        held_out,
        f"{100 * best.metrics['unweighted_accuracy']:.1f}",
        f"{100 * best.metrics['macro_average_precision']:.1f}",
        maybe(own["train"].accuracy if "train" in own else None),
        f"{best.metrics['log_loss']:.3f}",
    ]
    if test:
        cells += [percent(own[how]), pct(own[how].metrics["unweighted_accuracy"])] if how else ["-", "-"]
    return [*cells, "", "", f"{ensemble.chosen_method}, {len(ensemble.members)} members"]


def _member_cells(row: MemberRow, test: bool) -> list[str]:
    cells = [row.name, pct(row.accuracy), pct(row.unweighted_accuracy), pct(row.macro_average_precision)]
    cells += [maybe(row.fit_accuracy), f"{row.log_loss:.3f}"]
    if test:
        cells += [maybe(row.test_accuracy), maybe(row.test_unweighted_accuracy)]
    return [*cells, f"{row.epochs:.0f}", f"{row.wall_s:.0f}", row.hyperparameters]


def _shortened(name: str) -> str:
    return name if len(name) <= 42 else f"{name[:41]}…"
