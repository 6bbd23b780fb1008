"""Which trial comes next: entries have turns (search.study.turns), a configuration's partitions follow one another."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

from search.cluster.jobs import Job
from search.run.ending import Ending
from search.run.spec import TrialSpec
from search.sampling.folds import FoldRule
from search.sampling.studies import EntryStudy
from search.study.turns import Turns


class Queue:
    """The trials of one stage; `turns` say which of the studies is asked.

    `specs(entry, point)` are a configuration's trials, one for each partition. `known(spec)` tells how a trial of an
    earlier run ended, or None; such a trial is never handed out, unless it was stopped early while its configuration is
    finished on another partition (`reopened(job)` hears of it): an ensemble takes a configuration as a whole. So
    `skipped(job, ending)` hears of trials that are not worth a start, because ASHA stopped their configuration on
    another partition. `may_start(entry, whole, promised)` tells whether a budget holds another trial of the entry, or a
    `whole` configuration, beside the trials that are `promised` to configurations (how many, by entry); those that it
    doesn't hold stay where they are. What an earlier run asked for is begun, and its trials come as any others.

    `choose_on` names, by entry, the partition by which alone its configurations are compared: what happens on others
    doesn't touch the trials there.

    Where an entry has one of the `rules`, a configuration's later trials are held back until the earlier ones have
    ended, and never start when the rule gives it up.
    """

    def __init__(
        self,
        studies: Sequence[EntryStudy],
        turns: Turns,
        specs: Callable[[str, Mapping[str, Any]], Sequence[TrialSpec]],
        known: Callable[[TrialSpec], Ending | None],
        skipped: Callable[[Job, Ending], None],
        reopened: Callable[[Job], None],
        choose_on: Mapping[str, str | None] | None = None,
        may_start: Callable[[str, bool, Mapping[str, int]], bool] = lambda entry, whole, promised: True,
        rules: Mapping[str, FoldRule] | None = None,
    ):
        self._turns = turns
        self._studies = {study.entry: study for study in studies}
        self._specs, self._known, self._skipped, self._reopened = specs, known, skipped, reopened
        self._may_start = may_start
        self._ready: deque[Job] = deque()
        self._choose_on, self._rules = choose_on or {}, rules or {}
        self._held: dict[tuple[str, int], deque[Job]] = {}
        # By partition and key: with several seeds there are several trials on one partition.
        self._endings: dict[tuple[str, int], dict[tuple[str, str], Ending | None]] = {}
        self._jobs: dict[tuple[str, int], list[Job]] = {}  # of configurations that have not ended

    @property
    def exhausted(self) -> bool:
        """Every trial was handed out, or needs none."""
        return self._next() is None and (
            self._turns.over or all(study.exhausted or not self._may_begin(study) for study in self._studies.values())
        )

    @property
    def cut_short(self) -> bool:
        """Trials are left, but no budget for them."""
        asked = self._turns.over or all(study.exhausted for study in self._studies.values())
        return self.exhausted and (bool(self._ready) or not asked)

    def next(self) -> Job | None:
        """The next trial; None when there is none, or (unless `exhausted`) when a study waits for results first."""
        job = self.peek()
        if job is not None:
            self._ready.remove(job)
        return job

    def peek(self) -> Job | None:
        """The trial that `next` would hand out."""
        while (job := self._next()) is None and self._ask():
            pass
        return job

    def put_back(self, job: Job) -> None:
        """Hand `job` out again, before all others."""
        self._ready.appendleft(job)

    def end(self, job: Job, ending: Ending) -> None:
        """Tell how a trial ended; the study hears of its configuration once all partitions have."""
        endings = self._endings[job.configuration]
        endings[_place(job)] = ending
        if self.finished(job):
            self._reopen(job.configuration)
        elif ending.status == "pruned":
            waiting = [other for other in self._ready if other.configuration == job.configuration]
            for other in [*waiting, *self._held.pop(job.configuration, ())]:
                if not self._touches(job.spec.partition, other):
                    continue
                if other in waiting:
                    self._ready.remove(other)
                self._skip(
                    other, Ending("pruned", reason=f"not started: stopped early on partition {job.spec.partition}")
                )
        self._go_on_or_give_up(job.configuration)
        known = {place: ending for place, ending in endings.items() if ending is not None}
        if len(known) == len(endings):
            if rule := self._rules.get(job.spec.entry):
                finished = takewhile(lambda ending: ending.status == "finished", known.values())
                rule.hear(job.number, [ending.value for ending in finished if ending.value is not None])
            jobs = self._jobs.pop(job.configuration)
            chosen = self._choose_on.get(job.spec.entry)
            whole = _whole([ending for (partition, _), ending in known.items() if chosen in (None, partition)])
            self._studies[job.spec.entry].tell(job.number, whole)
            first_seed = [known[_place(other)].status for other in jobs if not other.spec.repeat]
            self._turns.ended(jobs, whole, all(status == "finished" for status in first_seed))

    def _skip(self, job: Job, skip: Ending) -> None:
        self._endings[job.configuration][_place(job)] = skip
        self._skipped(job, skip)

    def _go_on_or_give_up(self, configuration: tuple[str, int]) -> None:
        """Once all trials that were handed out have ended, hand out the next ones that are held, or none of them."""
        held, endings = self._held.get(configuration), self._endings[configuration]
        if not held:
            return
        places = {_place(job) for job in held}
        ended = [ending for place, ending in endings.items() if place not in places]
        if any(ending is None for ending in ended):
            return
        rule, number = self._rules[configuration[0]], configuration[1]
        values = [
            ending.value for ending in ended if ending and ending.status == "finished" and ending.value is not None
        ]
        reason = rule.gives_up(number, values) if len(values) == len(ended) else None
        if reason is not None:
            for job in self._held.pop(configuration):
                self._skip(job, Ending("pruned", reason=reason, folds=len(values)))
            return
        # One that failed is finished elsewhere nevertheless: the failure may be tried again.
        opened = rule.opened(len(values)) if len(values) == len(ended) else len(endings)
        for _ in range(min(len(held), max(1, opened - len(ended)))):
            self._ready.append(held.popleft())

    def pruned(self, job: Job) -> bool:
        """Whether this trial's configuration was stopped early on another partition."""
        return self._ended_as(job, "pruned")

    def finished(self, job: Job) -> bool:
        """Whether this trial's configuration is finished on another partition."""
        return self._ended_as(job, "finished")

    def _ended_as(self, job: Job, status: str) -> bool:
        return any(
            ending and ending.status == status and self._touches(partition, job)
            for (partition, _), ending in self._endings[job.configuration].items()
        )

    def _touches(self, partition: str, job: Job) -> bool:
        """Whether what happens on `partition` may decide on this job."""
        chosen = self._choose_on.get(job.spec.entry)
        return chosen is None or partition == chosen or job.spec.partition != chosen

    def _reopen(self, configuration: tuple[str, int]) -> None:
        """Hand out again what was stopped early of a configuration that is finished on another partition."""
        endings = self._endings[configuration]
        for job in self._jobs[configuration]:
            ending = endings[_place(job)]
            given_up = ending is not None and ending.folds and job.spec.entry in self._rules
            if ending is not None and ending.status == "pruned" and not given_up and self.finished(job):
                endings[_place(job)] = None
                self._reopened(job)
                self._ready.append(job)

    def _next(self) -> Job | None:
        """The first trial that waits and whose budget holds it."""
        may: dict[str, bool] = {}
        for job in self._ready:
            entry = job.spec.entry
            if entry not in may:
                may[entry] = self._may_start(entry, False, {})
            if may[entry]:
                return job
        return None

    def _may_begin(self, study: EntryStudy) -> bool:
        """Whether the entry's next configuration has begun, or a budget holds all of it."""
        return study.begun or self._may_start(study.entry, True, self._promised())

    def _promised(self) -> Mapping[str, int]:
        """The trials that are held back of configurations that have begun, by entry, where a budget holds any."""
        held = Counter(entry for (entry, _), jobs in self._held.items() for _ in jobs)
        return {entry: count for entry, count in held.items() if self._may_start(entry, False, {})}

    def _ask(self) -> bool:
        if self._turns.over:
            return False
        for study in self._turns.order():
            if not self._may_begin(study):
                continue
            asked = study.ask(partial(self._turns.worths, study.entry))
            if asked is not None:
                self._turns.took(study.entry)
                self._admit(study.entry, *asked)
                return True
        return False

    def _admit(self, entry: str, number: int, point: Mapping[str, Any]) -> None:
        jobs = [Job(number, spec) for spec in self._specs(entry, point)]
        self._jobs[entry, number] = jobs
        self._endings[entry, number] = {_place(job): None for job in jobs}
        ended = [(job, ending) for job in jobs if (ending := self._known(job.spec)) is not None]
        over = {job.key for job, _ in ended}
        waiting = [job for job in jobs if job.key not in over]
        first = self._rules[entry].opened(0) if entry in self._rules else len(jobs)
        self._ready.extend(job for job in waiting if job in jobs[:first])
        if held := [job for job in waiting if job not in jobs[:first]]:
            self._held[entry, number] = deque(held)
        for job, ending in sorted(ended, key=lambda item: item[1].status != "finished"):
            self.end(job, ending)


def _place(job: Job) -> tuple[str, str]:
    return job.spec.partition, job.key


def _whole(endings: Sequence[Ending]) -> Ending:
    statuses = {ending.status for ending in endings}
    if "failed" in statuses:
        return Ending("failed")
    values = [ending.value for ending in endings if ending.value is not None]
    epochs = min((ending.epochs for ending in endings if ending.value is not None), default=0)
    mean = sum(values) / len(values) if values else None
    return Ending("pruned" if "pruned" in statuses else "finished", mean, epochs)
