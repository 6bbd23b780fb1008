"""Continuous emotion: models and ensembles side by side, and a part for each model."""

from collections.abc import Mapping, Sequence

from ensembles.comparison.leaderboard import short
from ensembles.continuous.run import ContinuousMember, ContinuousRun
from ensembles.continuous.sealed import concordance_intervals
from ensembles.evaluation.intervals import Interval
from ensembles.records.ensemble import Ensemble, ccc
from ensembles.report.blocks import Block, Cell, Column, Details, Row, Section, Table
from ensembles.report.gather import MOST_ROWS, MOST_SHOWN
from ensembles.report.names import anchor, numbered
from ensembles.report.sections.members import curves, facts


def names_over_time(run: ContinuousRun, asked: Mapping[str, Mapping[str, Mapping[int, str]]]) -> Mapping[str, str]:
    """What people call the members, by name: the entry and the number of the configuration as it was `asked` for."""
    known = []
    for member in run.members:
        started_s = min(trial.footer.started_s for trial in run.trials[member.name])
        known.append((member.name, member.footer.entry, member.footer.config_key, started_s))
    return numbered(asked, known)


def leaderboard(found: ContinuousRun, ensembles: Sequence[Ensemble], names: Mapping[str, str], test: bool) -> Section:
    """All by CCC, those of the best models with intervals."""
    dimensions = ("", *found.dimensions)
    columns = [Column("model"), Column("entry", choices=True), *(Column(name or "mean", True) for name in dimensions)]
    columns += [Column("fitted", True), Column("scored", True), Column("s", True)]
    columns += [Column(f"test {name or 'mean'}", True) for name in dimensions] if test else []
    rows = []
    for ensemble in ensembles:
        own = ensemble.scores["ensemble"]
        nested, final = own.get("nested"), own.get("test_refit", own.get("test"))
        cells = [f"ensemble {ensemble.name}", "-", *(ccc(nested, name) if nested else "-" for name in dimensions)]
        cells += [f"{own['fit'].metrics['ccc']:.3f}" if "fit" in own else "-", "", ""]
        if test:
            cells += [ccc(final, name) if final else "-" for name in dimensions]
        rows.append(Row([*map(Cell, cells), Cell(f"{ensemble.method}, {len(ensemble.members)} members")], strong=True))
    for n, member in enumerate(found.members[:MOST_ROWS]):
        intervals = _intervals(found, member) if n < MOST_SHOWN else {}
        rows.append(_row(found, member, dimensions, names, intervals, test))
    says = (
        "CCC over all held-out recordings, one after the other, with 95 % intervals over groups. An ensemble's is the "
        "nested estimate; `fitted` is its mean CCC on the recordings that chose its weights. A model's is of "
        "those that it may be chosen by; `s` are its seconds of training."
    )
    if len(found.members) > MOST_ROWS:
        says += f" The {MOST_ROWS} best of {len(found.members):,} models are listed."
    columns.append(Column("hyperparameters", long=True))
    table = Table("over-time", "Models and ensembles by CCC", columns, rows, True)
    return Section("over-time", "Continuous emotion: models and ensembles", says, [table])


def each(found: ContinuousRun, names: Mapping[str, str]) -> Section:
    """A part for each model: hyperparameters, trials, learning curves."""
    blocks: list[Block] = []
    for member in found.members[:MOST_ROWS]:
        trials = {trial.footer.partition: trial.footer for trial in found.trials[member.name]}
        called = names[member.name]
        told = "Solid: CCC on held-out recordings (the loss where there is none); upright: the kept epoch."
        own: list[Block] = [facts(member.name, member.footer.family, trials), *curves(called, trials, told)]
        blocks.append(Details(f"{called}, held-out CCC {member.metrics['ccc']:.3f}", own, anchor(member.name)))
    says = "Open a model for its hyperparameters, its trials and its learning curves with the epoch that was kept."
    return Section("over-time-members", "Each model", says, blocks)


def _row(
    found: ContinuousRun,
    member: ContinuousMember,
    dimensions: Sequence[str],
    names: Mapping[str, str],
    intervals: Mapping[str, Interval],
    test: bool,
) -> Row:
    def cells(metrics: Mapping[str, float], bounds: Mapping[str, Interval]) -> list[Cell]:
        keys = [f"ccc_{name}" if name else "ccc" for name in dimensions]
        return [_cell(metrics[key], bounds.get(key)) if metrics else Cell("-") for key in keys]

    seconds = sum(trial.footer.wall_s for trial in found.trials[member.name])
    first = Cell(names[member.name], title=member.name, anchor=anchor(member.name))
    own = [first, Cell(member.footer.entry), *cells(member.metrics, intervals), Cell("")]
    own += [Cell(f"{100 * member.coverage:.0f} %", sort=member.coverage), Cell(f"{seconds:.0f}", sort=seconds)]
    own += cells(member.test, {}) if test else []
    return Row([*own, Cell(short(member.footer.hyperparameters))])


def _cell(value: float, interval: Interval | None) -> Cell:
    bounds = f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else ""
    return Cell(f"{value:.3f}{bounds}", sort=value)


def _intervals(found: ContinuousRun, member: ContinuousMember) -> Mapping[str, Interval]:
    """Of a member that could score every recording; another's number has the mean label where it could not."""
    known = found.recordings
    m = known.members.index(member.name)
    if not known.valid[m].all():
        return {}
    return concordance_intervals(known.Y, known.P[m], known.group, known.dimensions)
