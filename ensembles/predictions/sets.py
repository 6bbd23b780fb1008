"""The predictions of a run as typed sets: what weights may be fitted on, and what may only be scored.

`HeldOut` carries labels and is what fitting code takes. `TestScores` is another type: its labels are sealed in, and
only scores come out.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ensembles.predictions.scan import Pooled, Trial, pool, scan, without_collector
from ensembles.predictions.sealed_scores import Member, TestScores
from features.clips import refuse_many_classes
from features.errors import EmofuseError, WrongUse
from features.progress import say_once
from search.run.predictions import Footer

__all__ = ["HeldOut", "Member", "Refits", "RunPredictions", "TestScores", "members_of", "read_refits", "read_run"]

# `full` files are refits, without held-out rows; `stills` files score a backbone's stills, which are no clips.
NOT_POOLED = ("full", "stills")


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Labelled scores of clips that the members were not fitted on.

    `P` (M, N, C) float32, `valid` (M, N) bool (a member that lacks a clip is uniform there), `y` (N,) numbers of
    `classes`, `ids` and `groups` (N,). `unlabelled` counts held-out clips that were left out for want of a label.
    """

    members: tuple[Member, ...]
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    P: np.ndarray
    valid: np.ndarray
    y: np.ndarray
    unlabelled: int = 0

    def of_members(self, chosen: Sequence[int]) -> "HeldOut":
        """The same clips with some of the members only."""
        members = tuple(self.members[m] for m in chosen)
        indices = list(chosen)
        return HeldOut(
            members, self.classes, self.ids, self.groups, self.P[indices], self.valid[indices], self.y, self.unlabelled
        )


@dataclass(frozen=True, eq=False)
class RunPredictions:
    """A run's members with their held-out and test scores; `left_out` maps the names of others to the reason.

    `fitted(places)` are the scores of the members at these places on the clips that they were fitted on. A member is
    its configuration trained with the first seed; `repeats` are the same of the trainings with further seeds, one each.
    """

    partitions: tuple[str, ...]
    held_out: HeldOut
    test: TestScores
    left_out: Mapping[str, str]
    fitted: Callable[[Sequence[int]], Pooled]
    repeats: tuple["RunPredictions", ...] = ()


@without_collector()
def read_run(run: Path, partitions: Sequence[str] | None = None, split: str | None = None) -> RunPredictions:
    """Read all members of a run; refits and backbones on stills are no members.

    `partitions` says which trials are pooled (None: all that the run has), `split` restricts the held-out clips to
    those of one split of the clip table, and the trials to those that hold some of it out. A member lacks a partition
    when its trial there failed or was pruned; it is left out. Errors: no files, two class sets or clip tables, an
    unknown partition, a clip that is held out for one member and a test clip for another, no labelled held-out clip.
    """
    trials = [trial for trial in scan(run) if trial.footer.partition not in NOT_POOLED]
    if not trials:
        raise EmofuseError(f"{run}: there are predictions of refits or backbones only, so an ensemble has no members.")
    _check_same(trials)
    refuse_many_classes(run, len(trials[0].footer.classes))
    if split is not None:
        distinct = {id(trial.rows): trial.rows for trial in trials}
        holding = {key for key, rows in distinct.items() if len(rows.places("held_out", split))}
        trials = [trial for trial in trials if id(trial.rows) in holding]
        if not trials:
            raise EmofuseError(f"{run}: no trial holds out clips of the split {split}; choose another --fit-split.")
    by_partition = Counter(trial.footer.partition for trial in trials)
    wanted = tuple(sorted(by_partition)) if partitions is None else tuple(dict.fromkeys(partitions))
    for name in wanted:
        if name not in by_partition:
            raise WrongUse(f"{run}: no trial was made on partition {name!r}; there are {_counts(by_partition)}.")
    firsts = [trial for trial in trials if not trial.footer.repeat]
    first = _predictions(run, firsts, wanted, split, by_partition)
    further = [[t for t in trials if t.footer.repeat == n] for n in sorted({t.footer.repeat for t in trials}) if n]
    whole = [own for own in further if members_of(own, wanted)[0]]
    return replace(first, repeats=tuple(_predictions(run, own, wanted, split, by_partition) for own in whole))


def _predictions(
    run: Path, trials: Sequence[Trial], wanted: tuple[str, ...], split: str | None, by_partition: Mapping[str, int]
) -> RunPredictions:
    """The members that trials of one seed are."""
    chosen, left_out = members_of(trials, wanted)
    if not chosen:
        raise EmofuseError(
            f"{run}: no member has a trial on every one of the partitions {', '.join(wanted)}; "
            f"there are {_counts(by_partition)}: choose with --partition."
        )
    members = tuple(member for member, _ in chosen)
    classes = tuple(sorted(trials[0].footer.classes))
    pooled = [its_trials for _, its_trials in chosen]
    held_out, test = pool(pooled, "held_out", split), pool(pooled, "test")
    both = set(held_out.ids) & set(test.ids)
    if both:
        raise EmofuseError(
            f"{run}: clip {min(both)!r} is held out for one member and a test clip for another, so weights would be "
            "fitted on a test clip; make the predictions from one clip table."
        )
    if len(members) > 1 and len(held_out.ids) and held_out.valid.sum(axis=0).max() <= 1:
        say_once(
            f"warning: {run}: no clip is scored by two of its {len(members)} members, so nothing can be fused or "
            f"compared; its clips are {held_out.ids[0]!r} to {held_out.ids[-1]!r}: were row numbers imported as ids?"
        )
    labelled = _labelled(run, members, classes, held_out)
    sealed = TestScores(members, classes, test)
    return RunPredictions(wanted, labelled, sealed, left_out, lambda chosen: pool([pooled[m] for m in chosen], "fit"))


@dataclass(frozen=True, eq=False)
class Refits:
    """Refitted members: `footers` by (entry, trial key) and the test scores of those among the asked that are there."""

    footers: Mapping[tuple[str, str], Footer]
    test: TestScores


def read_refits(run: Path, refits: Sequence[tuple[str, str]]) -> Refits:
    """The refits (partition `full`) of the given (entry, trial key), in that order; those that are gone are absent.

    One configuration may have several: ensembles of other partitions refit it for other epochs.
    """
    found = {(t.footer.entry, t.footer.trial_key): t for t in scan(run) if t.footer.partition == "full"}
    chosen = [(key, found[key]) for key in refits if key in found]
    if chosen:
        _check_same([trial for _, trial in chosen])
    classes = tuple(sorted(chosen[0][1].footer.classes)) if chosen else ()
    refitted = tuple(Member(key[0], t.footer.config_key, trials={"full": t.footer}) for key, t in chosen)
    test = TestScores(refitted, classes, pool([[trial] for _, trial in chosen], "test"))
    return Refits({key: trial.footer for key, trial in chosen}, test)


def members_of(
    trials: Sequence[Trial], partitions: Sequence[str]
) -> tuple[list[tuple[Member, list[Trial]]], dict[str, str]]:
    """The members that have a trial on every one of the partitions, with these trials; why others have not, by name."""
    grouped: dict[tuple[str, str], dict[str, Trial]] = {}
    for trial in trials:
        its_trials = grouped.setdefault((trial.footer.entry, trial.footer.config_key), {})
        if trial.footer.partition in partitions:
            _add(its_trials, trial.footer.partition, trial)
    members: list[tuple[Member, list[Trial]]] = []
    left_out = {}
    for (entry, config_key), its_trials in sorted(grouped.items()):
        footers = {name: its_trials[name].footer for name in partitions if name in its_trials}
        accuracies = {name: its_trials[name].held_out_accuracy for name in footers}
        known = {name: value for name, value in accuracies.items() if value is not None}
        member = Member(entry, config_key, footers, known)
        lacking = [name for name in partitions if name not in its_trials]
        if lacking:
            left_out[member.name] = f"no trial on partition {', '.join(lacking)}"
        else:
            members.append((member, list(its_trials.values())))
    return members, left_out


def _add(found: dict[Any, Trial], key: Any, trial: Trial) -> None:
    if key in found:
        raise EmofuseError(
            f"{found[key].path} and {trial.path} are the same configuration on the same partition "
            f"({trial.footer.partition}), made from other features or another code version: "
            "remove the one that is out of date."
        )
    found[key] = trial


def _check_same(trials: Sequence[Trial]) -> None:
    first = trials[0]
    tables = {trial.footer.clips_fingerprint: trial for trial in trials if trial.footer.clips_fingerprint}
    if len(tables) > 1:
        one, other, *_ = tables.values()
        raise EmofuseError(
            f"{one.path} and {other.path} were made from different clip tables; an ensemble needs one clip table: "
            "keep each table's predictions in a run folder of its own."
        )
    for trial in trials:
        if set(trial.footer.classes) != set(first.footer.classes):
            raise EmofuseError(
                f"{trial.path} has the classes {', '.join(sorted(trial.footer.classes))}, but {first.path} has "
                f"{', '.join(sorted(first.footer.classes))}; the members of an ensemble need the same classes."
            )


def _labelled(run: Path, members: tuple[Member, ...], classes: tuple[str, ...], pooled: Pooled) -> HeldOut:
    rows = [n for n, label in enumerate(pooled.labels) if label is not None]
    if not rows:
        raise EmofuseError(
            f"{run}: none of the {len(pooled.ids)} held-out clips has a label, so no weights can be fitted; "
            "labels belong in the clip table, or in the column `label` of an imported file."
        )
    number = {name: c for c, name in enumerate(classes)}
    return HeldOut(
        members=members,
        classes=classes,
        ids=tuple(pooled.ids[n] for n in rows),
        groups=tuple(pooled.groups[n] for n in rows),
        P=pooled.P if len(rows) == len(pooled.ids) else np.ascontiguousarray(pooled.P[:, rows]),
        valid=pooled.valid[:, rows],
        y=np.array([number[str(pooled.labels[n])] for n in rows]),
        unlabelled=len(pooled.ids) - len(rows),
    )


def _counts(by_partition: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count} trials)" for name, count in sorted(by_partition.items()))
