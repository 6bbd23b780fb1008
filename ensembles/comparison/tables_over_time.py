"""How members and ensembles of continuous emotion are shown on a terminal."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ensembles.comparison.leaderboard import short
from ensembles.comparison.tables import HOWS, who_names
from ensembles.continuous.run import ContinuousRun
from ensembles.records.ensemble import Ensemble, ccc
from features.terminal import Table


def members_table(found: ContinuousRun, top: int, test: bool) -> Table:
    """A run's members by CCC."""
    title = f"{len(found.members)} members on {len(set(found.recordings.recording))} held-out recordings of "
    table = Table(title=f"{title}{', '.join(found.partitions)}; CCC")
    for column in ("member", "hyperparameters"):
        table.add_column(column, overflow="fold")
    for column in ("mean", *found.dimensions, "scored", *(["test mean", *found.dimensions] if test else [])):
        table.add_column(column, justify="right")
    names = ("ccc", *(f"ccc_{name}" for name in found.dimensions))
    for member in found.members[: top or None]:
        cells = [f"{member.metrics[name]:.3f}" if member.metrics else "-" for name in names]
        cells.append(f"{100 * member.coverage:.1f}")
        if test:
            cells += [f"{member.test[name]:.3f}" if member.test else "-" for name in names]
        table.add_row(member.name, short(member.footer.hyperparameters), *cells)
    return table


def seeds_over_time(found: ContinuousRun, top: int) -> Table | None:
    """Mean and spread of the members that were trained with several seeds; None where none was."""
    rows = [member for member in found.members[: top or None] if member.over_seeds]
    if not rows:
        return None
    table = Table(title="CCC over several seeds: mean ± standard deviation (an ensemble takes the first seed's models)")
    table.add_column("member", overflow="fold")
    test = any(member.test_over_seeds for member in rows)
    for column in ("seeds", "mean", *found.dimensions, *(["test mean", *found.dimensions] if test else [])):
        table.add_column(column, justify="right")
    for member in rows:
        names = ("ccc", *(f"ccc_{name}" for name in found.dimensions))
        cells = [member.over_seeds[name].told() for name in names]
        cells += [member.test_over_seeds[name].told() for name in names] if member.test_over_seeds else []
        table.add_row(member.name, str(member.over_seeds["ccc"].n), *cells)
    return table


def scores_over_time(ensemble: Ensemble) -> Table:
    """The ensemble beside its best single members and the plain average, by dimension."""
    measured = ensemble.scores["ensemble"]
    hows = [how for how in HOWS if how in ("fit", "nested") or how in measured]
    fitted = measured["fit"]
    table = Table(
        title=f"CCC on {fitted.n_clips} held-out recordings of {fitted.n_groups} groups, 95 % intervals over groups"
    )
    table.add_column("dimension")
    table.add_column("predicted by", overflow="fold")
    for how in hows:
        table.add_column(HOWS[how].replace("clips", "recordings"), justify="right")
    names = {who: label for who, label in who_names(ensemble).items() if who in ensemble.scores}
    for dimension in ("", *ensemble.outputs):
        for number, (who, label) in enumerate(names.items()):
            own = ensemble.scores[who]
            cells = [ccc(own[how], dimension) if how in own else "-" for how in hows]
            first = (dimension or "mean") if number == 0 else ""
            table.add_row(first, _short(ensemble, label, dimension), *cells, end_section=number == len(names) - 1)
    return table


def _short(ensemble: Ensemble, label: str, dimension: str) -> str:
    """Of the best single members that of the dimension."""
    if ensemble.over_time is None or not dimension or ensemble.best_single not in label:
        return label
    best = dict(zip(ensemble.outputs, ensemble.over_time.best_singles, strict=True))
    return label.replace(ensemble.best_single, best[dimension])


def ensembles_over_time(ensembles: Sequence[Ensemble]) -> Table:
    """A row per ensemble, by CCC."""
    table = Table(title="Ensembles, mean CCC with 95 % intervals over groups")
    hows = [how for how in HOWS if how in ("fit", "nested") or any(how in e.scores["ensemble"] for e in ensembles)]
    columns = ("ensemble", "method", "members", *(HOWS[how].replace("clips", "recordings") for how in hows))
    for column in (*columns, "best single (nested)"):
        table.add_column(column, justify="left" if column in ("ensemble", "method") else "right")
    for ensemble in ensembles:
        own, single = ensemble.scores["ensemble"], ensemble.scores.get("best_single", {})
        cells = [ccc(own[how]) if how in own else "-" for how in hows]
        cells.append(ccc(single["nested"]) if "nested" in single else "-")
        table.add_row(ensemble.name, ensemble.method, str(len(ensemble.members)), *cells)
    return table


def by_worth(ensembles: Sequence[Ensemble]) -> list[Ensemble]:
    """The ensembles of continuous emotion among some, the best nested CCC first."""
    own = [ensemble for ensemble in ensembles if ensemble.over_time is not None]
    return sorted(own, key=lambda e: (-_nested(e), e.name))


def _nested(ensemble: Ensemble) -> float:
    nested = ensemble.scores["ensemble"].get("nested")
    return nested.metrics["ccc"] if nested else -2.0


def board_over_time(found: ContinuousRun, ensembles: Sequence[Ensemble]) -> pa.Table:
    """Members and ensembles with every number, a row for each, for a file."""
    rows: list[dict[str, Any]] = []
    for member in found.members:
        test = {f"test_{name}": value for name, value in member.test.items()}
        told = {"entry": member.footer.entry, "family": member.footer.family}
        told |= {"hyperparameters": short(member.footer.hyperparameters)}
        scored = {**member.metrics, "coverage": member.coverage, **test}
        for where, spreads in (("", member.over_seeds), ("test_", member.test_over_seeds)):
            for name, spread in spreads.items():
                scored |= {f"{where}{name}_{what}": getattr(spread, what) for what in ("mean", "sd")}
                told["seeds"] = str(spread.n)
        rows.append({"kind": "member", "name": member.name, **told, **scored})
    for ensemble in ensembles:
        row: dict[str, Any] = {"kind": "ensemble", "name": ensemble.name}
        for how, measured in ensemble.scores["ensemble"].items():
            prefix = "" if how == "nested" else f"{how}_"
            row |= {prefix + name: value for name, value in measured.metrics.items()}
            for name, interval in measured.intervals.items():
                row |= {f"{prefix}{name}_low": interval.low, f"{prefix}{name}_high": interval.high}
        rows.append(row)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: pa.array([row.get(name) for row in rows]) for name in columns})
