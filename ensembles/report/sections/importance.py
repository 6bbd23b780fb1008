"""Which hyperparameters matter, and which values do well together."""

import math
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ensembles.predictions.sets import Member
from ensembles.report import charts
from ensembles.report.blocks import Beside, Block, Cell, Chart, Column, Row, Section, Table
from ensembles.report.gather import Page

_FEWEST = 4  # configurations below which nothing can be said
_MOST_LINES = 150
_MOST_ENTRIES = 12
_LOG_FROM = 50.0  # a range of so many times is looked at by its logarithm


def section(page: Page) -> Section | None:
    """PED-ANOVA and parallel coordinates of each entry that tried enough configurations."""
    if page.predictions is None:
        return None
    by_entry: dict[str, list[Member]] = defaultdict(list)
    for member in page.predictions.held_out.members:
        if member.accuracies:
            by_entry[member.entry].append(member)
    blocks: list[Block] = []
    importances: list[Row] = []
    for entry, own in sorted(by_entry.items())[:_MOST_ENTRIES]:
        names = varied(own)
        if len(own) < _FEWEST or not names:
            continue
        found = importance(own, names)
        importances += [
            Row([Cell(entry), Cell(name), Cell(f"{100 * share:.0f} %", sort=share), Cell(_range(own, name))])
            for name, share in sorted(found.items(), key=lambda pair: -pair[1])
        ]
        blocks.append(_parallel(page, entry, own, names))
    if not importances:
        return None
    columns = [
        Column("entry", choices=True),
        Column("hyperparameter"),
        Column("importance", True),
        Column("tried", wide=True),
    ]
    caption = "Importance of hyperparameters for being among the better configurations (Optuna's PED-ANOVA)"
    says = (
        "How much of what tells the better configurations from the others lies in one hyperparameter, and every "
        "configuration as a line through its values; of few configurations it is a hint, no more."
    )
    table = Table("importance", caption, columns, importances)
    pairs = [Beside([[block] for block in blocks[n : n + 2]]) for n in range(0, len(blocks), 2)]
    return Section("importance", "Which hyperparameters matter", says, [table, *pairs])


def varied(members: Sequence[Member]) -> list[str]:
    """The hyperparameters of which several values were tried."""
    names = {name for m in members for name in m.footer.hyperparameters}
    return sorted(name for name in names if len({repr(m.footer.hyperparameters.get(name)) for m in members}) > 1)


def importance(members: Sequence[Member], names: Sequence[str]) -> Mapping[str, float]:
    """The share of each hyperparameter, by Optuna's PED-ANOVA on the members' mean held-out accuracies."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction="maximize")
        kinds = {name: _distribution([m.footer.hyperparameters.get(name) for m in members]) for name in names}
        for member in members:
            values = {name: _plain(member.footer.hyperparameters.get(name), kinds[name]) for name in names}
            value = sum(member.accuracies.values()) / len(member.accuracies)
            study.add_trial(optuna.trial.create_trial(params=values, distributions=kinds, value=value))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    except (ValueError, RuntimeError):
        return dict.fromkeys(names, 0.0)  # all configurations are equally good
    finally:
        optuna.logging.set_verbosity(before)
    return {name: 0.0 if math.isnan(share) else float(share) for name, share in found.items()}


def _distribution(values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        return IntDistribution(min(values), max(values), log=min(values) > 0 and max(values) / min(values) >= _LOG_FROM)
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        numbers = [float(v) for v in values]
        return FloatDistribution(
            min(numbers), max(numbers), log=min(numbers) > 0 and max(numbers) / min(numbers) >= _LOG_FROM
        )
    return CategoricalDistribution(sorted({repr(v) for v in values}))


def _plain(value: Any, kind: Any) -> Any:
    return repr(value) if type(kind).__name__ == "CategoricalDistribution" else value


def _range(members: Sequence[Member], name: str) -> str:
    values = [m.footer.hyperparameters.get(name) for m in members]
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return f"{min(values):.3g} to {max(values):.3g}"  # type: ignore[type-var]
    return ", ".join(sorted({str(v) for v in values}))


def _place(value: Any, kind: Any) -> float:
    """Where a value stands on its axis, from 0 to 1."""
    if type(kind).__name__ == "CategoricalDistribution":
        return kind.choices.index(repr(value)) / max(len(kind.choices) - 1, 1)
    low, high, at = (math.log(v) if kind.log else v for v in (kind.low, kind.high, value))
    return (at - low) / (high - low) if high > low else 0.5


def _parallel(page: Page, entry: str, members: Sequence[Member], names: Sequence[str]) -> Chart:
    kinds = {name: _distribution([m.footer.hyperparameters.get(name) for m in members]) for name in names}
    ranked = sorted(members, key=lambda m: sum(m.accuracies.values()) / len(m.accuracies))
    step = max(1, -(-len(ranked) // _MOST_LINES))
    rows = []
    values = [100 * sum(m.accuracies.values()) / len(m.accuracies) for m in ranked]
    low, high = min(values), max(values)
    for member, value in list(zip(ranked, values, strict=True))[::-1][::step]:
        name = page.called(member.name)
        points = {
            n: (_place(member.footer.hyperparameters.get(n), kinds[n]), member.footer.hyperparameters.get(n))
            for n in names
        }
        points["accuracy"] = ((value - low) / (high - low) if high > low else 0.5, f"{value:.1f} %")
        for axis, (place, text) in points.items():
            told = f"{text:.3g}" if isinstance(text, float) else str(text)
            rows.append({"name": name, "axis": axis, "at": round(place, 3), "text": told, "v": round(value, 1)})
    order = [*names, "accuracy"]
    spec = charts.chart(
        rows,
        height=240,
        mark={"type": "line", "point": {"filled": True, "size": 30}, "strokeWidth": 1.4, "opacity": 0.75},
        encoding={
            "x": charts.x("axis", "", "nominal", sort=order, axis={"labelAngle": -25, "title": None}),
            "y": charts.x("at", "low to high", axis={"labels": False, "ticks": False, "grid": False}),
            "detail": {"field": "name"},
            "color": charts.x(
                "v",
                "held-out accuracy, %",
                scale={"range": list(charts.RAMP)},
                legend={"gradientLength": 160, "direction": "horizontal"},
            ),
            "tooltip": charts.tip(("name", "model"), ("axis", "of"), ("text", "value"), ("v", "held-out accuracy, %")),
        },
    )
    alt = f"Parallel coordinates of {len(ranked[::step])} configurations of {entry} over {', '.join(order)}; the "
    alt += "leaderboard lists the values."
    return Chart(f"parallel-{entry}", {**spec, "title": entry}, alt)
