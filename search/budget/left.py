"""Which trials a run is asked for, and how many of them are left, counted from those that ended."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.run.ended import Ended
from search.run.planned import Asked, Planned, asked_now


@dataclass(frozen=True)
class Standing:
    """Of one entry: how many `trials` there shall be, and which of those that ended are among them (`present`)."""

    planned: Planned
    trials: int
    present: tuple[Ended, ...]

    @property
    def left(self) -> int:
        """How many have not ended."""
        return max(0, self.trials - len(self.present))


def standings(plan: Iterable[Planned], ended: Iterable[Ended], asked: Asked, enough: bool) -> dict[str, Standing]:
    """By entry, in the plan's order; `enough`: `stop_when` ended the run."""
    by_entry: dict[str, list[Ended]] = {planned.entry: [] for planned in plan}
    for trial in ended:
        if trial.entry in by_entry:
            by_entry[trial.entry].append(trial)
    return {p.entry: Standing(p, _trials(p, asked, enough), _present(p, by_entry[p.entry], asked)) for p in plan}


def unclaimed(standings: Iterable[Standing]) -> Mapping[str, int]:
    """By stage that flows (`goal: ensemble`), how many of its trials were given to no entry yet."""
    found: Counter[str] = Counter()
    for one in standings:
        if one.planned.flows:
            found[one.planned.stage] += one.planned.trials - one.trials
    return {stage: max(0, number) for stage, number in found.items()}


def left_by_entry(standings: Mapping[str, Standing], enough: bool) -> dict[str, float]:
    """How many trials are left of each entry; what is given to none yet, in equal parts to the entries of its stage."""
    left = {name: float(one.left) for name, one in standings.items()}
    for stage, number in ({} if enough else unclaimed(standings.values())).items():
        entries = [name for name, one in standings.items() if one.planned.stage == stage]
        for name in entries:
            left[name] += number / len(entries)
    return left


def _present(planned: Planned, ended: Sequence[Ended], asked: Asked) -> tuple[Ended, ...]:
    """The trials that the recipe asks for now; all of the entry where there is no account of it."""
    keys = asked_now(asked, planned)
    return tuple(t for t in ended if t.partition in planned.partitions and (keys is None or t.config_key in keys))


def _trials(planned: Planned, asked: Asked, enough: bool) -> int:
    """How many trials the entry shall have: where its stage flows, or had enough, those that were asked for."""
    keys = asked_now(asked, planned)
    if planned.flows:
        return planned.trials_of(len(keys or ()))
    if not enough or not asked or planned.stage == "backbone":  # there is no account, or nothing that ends
        return planned.trials
    return planned.trials_of(len(keys or ()))  # a stage that never began has asked for none
