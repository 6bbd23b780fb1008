"""Failed trials that are tried again: the record of the failure goes, the journal gets a new trial."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage

from features.errors import WrongUse
from features.names import unknown_name
from models.metrics import DEFAULT_METRICS
from models.space import count_points
from search.recipe.entry import Entry
from search.run.failures import KINDS
from search.run.folder import Outcome, RunFolder
from search.run.lease import exclusive
from search.run.remote import remote_of
from search.sampling.first_points import first_points, prior
from search.sampling.journal import open_journal
from search.sampling.studies import EntryStudy
from search.sampling.warm import warm_points
from search.trial.watchdog import clear_hung

# What a retry writes, on an object store too.
_CHANGED = ("study.journal", "trials")
# A shorter beginning of a key is too likely to be another trial's.
MIN_KEY = 6


def entry_study(run: RunFolder, entry: Entry, journal: JournalStorage) -> EntryStudy:
    """The entry's study."""
    metric = run.recipe.metric_of(entry)
    # What makes values incomparable beside the space; of the usual kind as earlier releases wrote it.
    told: list[Any] = [
        *([metric] if metric not in DEFAULT_METRICS else []),
        *([entry.choose_on] if entry.choose_on else []),
    ]
    told += [{"prior": entry.prior}] if entry.prior else []
    told += [entry.training.wishes()] if entry.training.wishes() else []
    return EntryStudy(
        journal,
        entry.name,
        entry.effective_space(),
        budget=_budget(run, entry),
        seed=run.recipe.seed,
        first=first_points(entry, warm_points(run, entry)),
        sampler=run.recipe.sampler,
        tpe_from=run.tpe_from,
        lag=run.lag(entry.name),
        prior=prior(entry),
        identity=[entry.record().version, *told] if told else entry.record().version,
    )


def _budget(run: RunFolder, entry: Entry) -> int:
    """How many configurations the entry may get: its own, or where they flow between entries, all of its stage."""
    stage = next(stage for stage in run.recipe.stages if entry.name in stage.entries)
    if not run.recipe.flows(stage.stage):
        return entry.planned_configurations
    total = sum(other.planned_configurations for other in stage.entries.values())
    return int(min(total, count_points(entry.effective_space())))


def failed_outcomes(run: RunFolder, names: Sequence[str] = (), kinds: Sequence[str] = ()) -> list[Outcome]:
    """The recorded failures of the recipe's entries, all or those of the entries and (beginnings of) keys in `names`.

    WrongUse for a name that is neither, and for a kind of failure that doesn't exist. Refits are left out:
    `emofuse ensemble refit` tries them again by itself.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown_name("kind of failure", kind, KINDS)
    entries = [entry.name for _, entry in run.recipe.all_entries()]
    failed = [o for o in run.outcomes() if o.status == "failed" and o.entry in entries and o.partition != "full"]
    chosen = failed if not names else []
    for name in names:
        found = [outcome for outcome in failed if _is(outcome, name)]
        if not found and name not in entries:
            raise WrongUse(
                f"{run.path}: expected an entry ({', '.join(entries)}) or the key of a failed trial (its first "
                f"{MIN_KEY} characters or more, see `emofuse search status --json`), but got {name!r}."
            )
        chosen += [outcome for outcome in found if outcome not in chosen]
    return [outcome for outcome in chosen if not kinds or (outcome.kind or "error") in kinds]


@dataclass(frozen=True)
class Queued:
    """The failures that are tried again, and those that no configuration of the recipe stands for any more."""

    again: tuple[Outcome, ...]
    foreign: tuple[Outcome, ...]


def retry_failed(path: Path, names: Sequence[str] = (), kinds: Sequence[str] = ()) -> Queued:
    """Queue the failures of the run at `path` again, all or those of `failed_outcomes`.

    Errors: EmofuseError while a search works on the run.
    """
    folder, remote = RunFolder.open(path), remote_of(path)
    with remote.held(*_CHANGED) if remote else nullcontext(), exclusive(folder.path):
        if remote:  # a search may have ended since this was read
            remote.pull(*_CHANGED)
            remote.forget_stale(*_CHANGED)
        clear_hung(folder.path)
        outcomes = failed_outcomes(folder, names, kinds)
        return queue_retries(folder, open_journal(folder.journal), outcomes)


def queue_retries(run: RunFolder, journal: JournalStorage, outcomes: Sequence[Outcome]) -> Queued:
    """Forget these failures, so that the next search trains the trials, and open new trials in the journal for them.

    A configuration that failed on several partitions gets one new trial, since the study knows it as one.
    """
    again: list[Outcome] = []
    foreign: list[Outcome] = []
    for entry in {outcome.entry: run.recipe.entry(outcome.entry)[1] for outcome in outcomes}.values():
        study = entry_study(run, entry, journal)
        numbers = {_frozen(entry.complete(point)): number for number, point in enumerate(study.points)}
        mine = [outcome for outcome in outcomes if outcome.entry == entry.name]
        for number in {numbers[_frozen(o.hyperparameters)] for o in mine if _frozen(o.hyperparameters) in numbers}:
            study.retry(number)
        for outcome in mine:
            (again if _frozen(outcome.hyperparameters) in numbers else foreign).append(outcome)
    for outcome in again:
        run.clear_outcome(outcome.trial_key)
    return Queued(tuple(again), tuple(foreign))


def _is(outcome: Outcome, name: str) -> bool:
    if outcome.entry == name:
        return True
    return len(name) >= MIN_KEY and any(key.startswith(name) for key in (outcome.trial_key, outcome.config_key))


def _frozen(hyperparameters: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(hyperparameters.items()))
