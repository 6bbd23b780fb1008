"""How ensembles and their scores are shown: on a terminal, and the words for it."""

from collections.abc import Mapping, Sequence

from ensembles.comparison.leaderboard import Leaderboard
from ensembles.evaluation.metrics import recalls
from ensembles.evaluation.spread import Spread
from ensembles.fusion.option import MENU, PLAIN
from ensembles.records.ensemble import Ensemble, How, Who, percent, reached
from features.progress import counted
from features.terminal import Table
from models.metrics import in_words


def weights_table(ensemble: Ensemble) -> Table:
    """A row per member, a column per class or dimension."""
    title = f"Weights of {ensemble.name}: {counted(len(ensemble.members), 'member')} of {ensemble.n_candidates}"
    table = Table(title=title)
    table.add_column("member", overflow="fold")
    for name in ensemble.outputs:
        table.add_column(name, justify="right")
    for member, row in zip(ensemble.members, ensemble.weights, strict=True):
        table.add_row(member.name, *(f"{weight:.2f}" for weight in row))
    if ensemble.over_time is not None and ensemble.params.get("recalibrate"):
        table.add_section()
        table.add_row("scale of their mean", *(f"{scale:.3f}" for scale in ensemble.over_time.scale))
        table.add_row("offset of their mean", *(f"{offset:+.3f}" for offset in ensemble.over_time.offset))
    return table


HOWS: Mapping[How, str] = {
    "train": "clips of training",
    "fit": "on the rows that chose it",
    "nested": "honest estimate (nested)",
    "test": "test clips",
    "test_refit": "test clips, refitted",
}


def who_names(ensemble: Ensemble) -> Mapping[Who, str]:
    """What the ensemble and its three measures are called."""
    return {
        "ensemble": ensemble.name,
        "best_single": f"best single member ({ensemble.best_single})",
        "uniform_average": "plain average of its members",
        "candidates_average": "plain average of all candidates",
    }


def scores_table(ensemble: Ensemble) -> Table:
    """The ensemble beside its best single member and the plain averages, by the rows that they were measured on."""
    table = Table(title="Accuracy in % with 95 % intervals over groups")
    table.add_column("", overflow="fold")
    hows = [how for how in HOWS if how in ("fit", "nested") or how in ensemble.scores["ensemble"]]
    for how in hows:
        table.add_column(HOWS[how], justify="right")
    for who, label in who_names(ensemble).items():
        scores = ensemble.scores.get(who, {})
        table.add_row(label, *(percent(scores[how]) if how in scores else "-" for how in hows))
    return table


def metric_table(ensemble: Ensemble) -> Table:
    """The scores in the metric that was maximised."""
    aim = "minimised" if ensemble.metric == "log_loss" else "maximised"
    table = Table(title=f"{ensemble.metric}, which was {aim}, with 95 % intervals over groups")
    table.add_column("", overflow="fold")
    hows = [how for how in HOWS if how in ensemble.scores["ensemble"]]
    for how in hows:
        table.add_column(HOWS[how], justify="right")
    for who, label in who_names(ensemble).items():
        scores = ensemble.scores.get(who, {})
        cells = [reached(scores[how], ensemble.metric) if how in scores else "-" for how in hows]
        table.add_row(label, *(cell.removeprefix(f"{ensemble.metric} ") for cell in cells))
    return table


def choice_table(ensemble: Ensemble) -> Table:
    """What `auto` chose among: what each fusion reached on inner folds, and its gain over the plain average."""
    metric = ensemble.choice[0].metric
    percents = metric != "log_loss"
    title = "What auto chose among, from safe to flexible"
    table = Table(title=title)
    for column in (
        "fusion",
        f"{metric}{' in %' if percents else ''}, inner folds",
        "gain over the average",
        "set to",
        "",
    ):
        table.add_column(column, justify="left" if column in ("fusion", "set to", "") else "right")
    scale, digits = (100, 1) if percents else (1, 3)
    for option in ensemble.choice:
        bounds = option.interval
        between = f" [{scale * bounds.low:.{digits}f}, {scale * bounds.high:.{digits}f}]" if bounds else ""
        gain = f"{scale * option.gain:+.{digits}f} ± {scale * option.error:.{digits}f}" if option.name != PLAIN else "-"
        reached = f"{scale * option.value:.{digits}f}{between}"
        table.add_row(MENU[option.name], reached, gain, option.setting, "chosen" if option.chosen else "")
    return table


def ensembles_table(ensembles: Sequence[Ensemble]) -> Table:
    """A row per ensemble."""
    table = Table(title="Ensembles, accuracy in % with 95 % intervals over groups")
    hows = [how for how in HOWS if how in ("fit", "nested") or any(how in e.scores["ensemble"] for e in ensembles)]
    for column in ("ensemble", "method", "members", *(HOWS[how] for how in hows), "best single (nested)"):
        table.add_column(column, justify="left" if column in ("ensemble", "method") else "right")
    for ensemble in ensembles:
        own, single = ensemble.scores["ensemble"], ensemble.scores["best_single"]
        cells = [percent(own[how]) if how in own else "-" for how in hows]
        cells.append(percent(single["nested"]) if "nested" in single else "-")
        table.add_row(ensemble.name, ensemble.chosen_method, str(len(ensemble.members)), *cells)
    return table


def classes_tables(board: Leaderboard, top: int) -> tuple[Table, Table]:
    """The means over classes, and the recall of each class, by the clips that they were measured on."""
    means = Table(title="Means over classes, in %")
    each = Table(title="Recall of each class, in %", box=None, pad_edge=False, header_style="bold")
    classes: Sequence[str] = [name for row in board.members[:1] for name in row.recalls or ()]
    for table, columns in ((means, ("accuracy", "unweighted", "macro average precision")), (each, classes)):
        table.add_column("", overflow="fold")
        table.add_column("clips", no_wrap=table is each)
        for name in columns:
            table.add_column(name, justify="right", overflow="fold", min_width=5)
    for row in board.members[: top or None]:
        means.add_row(row.name, "of its fit", maybe(row.fit_accuracy))
        averages = [pct(row.unweighted_accuracy), pct(row.macro_average_precision)]
        means.add_row("", "held-out", pct(row.accuracy), *averages)
        each.add_row(row.name, "held-out", *map(maybe, (row.recalls or {}).values()))
        if row.test_recalls is not None:
            averages = [maybe(row.test_unweighted_accuracy), maybe(row.test_macro_average_precision)]
            means.add_row("", "test", maybe(row.test_accuracy), *averages)
            each.add_row("", "test", *map(maybe, row.test_recalls.values()))
    for ensemble in board.ensembles:
        for number, (how, measured) in enumerate(ensemble.scores["ensemble"].items()):
            names, who = ("accuracy", "unweighted_accuracy", "macro_average_precision"), "" if number else ensemble.name
            means.add_row(who, HOWS[how], *(maybe(measured.metrics.get(name)) for name in names))
            each.add_row(who, how.replace("_", " "), *map(maybe, recalls(measured.confusion)))
    return means, each


def seeds_table(board: Leaderboard, top: int) -> Table | None:
    """Mean and spread of the members that were trained with several seeds; None where none was."""
    rows = [row for row in board.members[: top or None] if row.over_seeds]
    if not rows:
        return None
    names = list(dict.fromkeys(("accuracy", "unweighted_accuracy", board.metric)))
    table = Table(title="Over several seeds: mean ± standard deviation (an ensemble takes the first seed's models)")
    table.add_column("member", overflow="fold")
    table.add_column("seeds", justify="right")
    for name in (*names, *(["test accuracy"] if any(row.test_over_seeds for row in rows) else [])):
        table.add_column(in_words(name), justify="right")
    for row in rows:
        cells = [_spread(row.over_seeds[name], name) for name in names]
        cells += [_spread(row.test_over_seeds["accuracy"], "accuracy")] if row.test_over_seeds else []
        table.add_row(row.name, str(row.over_seeds["accuracy"].n), *cells)
    return table


def _spread(spread: Spread, metric: str) -> str:
    return spread.told() if metric == "log_loss" else spread.told(100, 1)


def maybe(value: float | None) -> str:
    """A share in percent, where there is one."""
    return "-" if value is None else pct(value)


def pct(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.1f}"


def signed(value: float, metric: str = "accuracy") -> str:
    """A difference: in percentage points, of the log-loss as it is."""
    return f"{value:+.3f}" if metric == "log_loss" else f"{100 * value:+.1f}"


def against_table(ensembles: Sequence[Ensemble]) -> Table | None:
    """How far each is ahead of the best single member outside the fits; None where nothing tells."""
    compared = [(ensemble.name, ensemble.against_single) for ensemble in ensembles if ensemble.against_single]
    if not compared:
        return None
    _, one = compared[0]
    of = "" if one.metric == "accuracy" else f" by {one.metric}"
    table = Table(title=f"Against the best single member{of}, outside the fits")
    for column in ("method", "difference", "95 % over groups", f"{one.test} p"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name, against in compared:
        metric, interval = against.metric, against.interval
        bounds = f"[{signed(interval.low, metric)}, {signed(interval.high, metric)}]" if interval else "-"
        table.add_row(name, signed(against.difference, metric), bounds, f"{against.p_value:.3g}")
    return table
