"""ASHA over unlike learning curves, and the ways to a cluster; whole runs on Ray are in test_runner.py."""

from types import SimpleNamespace

import pytest

from features.errors import EmofuseError
from search.cluster.jobs import Job
from search.cluster.scheduler import AshaByEntry
from search.cluster.searcher import NOTICED_S, JobSearcher, Running
from search.cluster.tune import _name, connected
from search.recipe.limits import DEFAULT_ASHA, Asha
from search.run.ending import Ending
from search.run.spec import TrialSpec

ASHA = Asha(grace_epochs=2, reduction=2)


@pytest.mark.parametrize(
    ("asha", "epochs", "expected"),
    [(ASHA, 9, [2, 4, 8]), (ASHA, 8, [2, 4]), (ASHA, 2, []), (DEFAULT_ASHA, 100, [10, 30, 90]), (DEFAULT_ASHA, 99, [])],
)
def test_rungs_end_before_the_last_epoch(asha, epochs, expected):
    assert asha.rungs(epochs) == expected


class Source:
    """Hands out prepared jobs and remembers how they ended."""

    def __init__(self, jobs):
        self.jobs, self.ended, self.stop = list(jobs), [], False

    exhausted = property(lambda self: not self.jobs)

    def next(self):
        return self.jobs.pop(0) if self.jobs else None

    def put_back(self, job):
        self.jobs.insert(0, job)

    def end(self, job, ending):
        self.ended.append((job, ending))

    def pruned(self, job):
        return any(e.status == "pruned" and j.configuration == job.configuration for j, e in self.ended)

    def finished(self, job):
        return any(e.status == "finished" and j.configuration == job.configuration for j, e in self.ended)

    def stopping(self):
        return self.stop


def _job(number, entry="lstm", partition="train"):
    spec = TrialSpec("run", "clips", "store", "clips", entry, entry, 1, {}, {}, "f", 0, 9, {"n": number}, partition)
    return Job(number, spec)


@pytest.fixture
def tuned():
    """`tuned(jobs)` -> source, searcher and `report(trial, **result)`, which does what Tune would do."""

    def make(jobs, asha=ASHA):
        source = Source(jobs)
        running = Running(source)
        max_epochs = {"lstm": 9, "svm": 1}
        searcher = JobSearcher(running, asha, max_epochs, None)
        scheduler = AshaByEntry(running, asha, max_epochs)

        def report(trial, **result):
            if trial not in seen:
                seen.add(trial)
                scheduler.on_trial_add(None, SimpleNamespace(trial_id=trial))
            decision = scheduler.on_trial_result(None, SimpleNamespace(trial_id=trial), result)
            if decision == "STOP" or "ending" in result:
                searcher.on_trial_complete(trial, result)
            return decision

        seen = set()
        return source, searcher, report

    return make


def test_asha_stops_the_worse_half_within_an_entry_and_partition(tuned):
    jobs = [_job(0), _job(1), _job(2), _job(3, partition="swap")]
    source, searcher, report = tuned(jobs)
    for name in "abcd":
        assert set(searcher.suggest(name)) == {"name", "spec", "rungs", "request", "remote", "start_by_s"}
    assert searcher.suggest("e") is None
    assert [report(name, epoch=2, value=a) for name, a in (("a", 0.5), ("b", 0.7), ("c", 0.4))] == [
        "CONTINUE",
        "CONTINUE",
        "STOP",
    ]
    assert report("d", epoch=2, value=0.1) == "CONTINUE"
    assert source.ended == [(jobs[2], Ending("pruned", 0.4, 2, 0.0, "stopped early by ASHA after 2 epochs"))]


def test_a_configuration_stops_on_all_partitions(tuned):
    jobs = [_job(0), _job(1), _job(1, partition="swap")]
    source, searcher, report = tuned(jobs)
    for name in "abc":
        searcher.suggest(name)
    report("a", epoch=2, value=0.9)
    assert report("b", epoch=2, value=0.1) == "STOP"
    assert report("c", epoch=4, value=0.9) == "STOP"
    assert [(job.spec.partition, ending.status) for job, ending in source.ended] == [
        ("train", "pruned"),
        ("swap", "pruned"),
    ]


def test_a_configuration_that_is_finished_or_nearly_on_one_partition_is_stopped_on_none(tuned):
    jobs = [_job(0), _job(0, partition="swap"), _job(1), _job(1, partition="swap"), _job(2), _job(2, partition="swap")]
    _, searcher, report = tuned(jobs)
    for name in "abcdef":
        searcher.suggest(name)
    assert report("a", epoch=2, value=0.9) == "CONTINUE"
    assert report("b", epoch=2, value=0.9) == "CONTINUE"
    assert report("c", ending='{"status": "finished", "value": 0.5, "epochs": 1}') == "CONTINUE"
    assert report("d", epoch=2, value=0.1) == "CONTINUE", "its configuration is finished on train"
    assert [report("e", epoch=epoch, value=0.95) for epoch in (2, 4, 8)] == ["CONTINUE"] * 3
    assert report("f", epoch=2, value=0.1) == "CONTINUE", "its configuration passed the last rung on train"


def test_families_of_one_epoch_and_endings_pass_by(tuned):
    jobs = [_job(0, "svm"), _job(1)]
    source, searcher, report = tuned(jobs)
    searcher.suggest("a")
    searcher.suggest("b")
    assert report("a", ending='{"status": "finished", "value": 0.5, "epochs": 1}') == "CONTINUE"
    assert report("b", ending='{"status": "failed", "reason": "broken"}') == "CONTINUE"
    assert source.ended == [
        (jobs[0], Ending("finished", 0.5, 1)),
        (jobs[1], Ending("failed", reason="broken")),
    ]


def test_a_worker_that_keeps_dying_is_a_failed_trial_unless_the_search_stops(tuned):
    source, searcher, _ = tuned([_job(0), _job(1)])
    for name in ("a0", "a1", "a2", "a3"):
        assert not source.ended
        searcher.suggest(name)
        searcher.on_trial_complete(name, error=True)
    ((_, ending),) = source.ended
    assert (ending.status, ending.reason) == ("failed", "its worker process died more than 3 times")
    searcher.suggest("b")
    source.stop = True
    searcher.on_trial_complete("b", {"epoch": 2, "value": 0.1})
    assert len(source.ended) == 1 and searcher.suggest("c") == "FINISHED"


def test_a_nodes_death_is_one_loss_however_often_ray_hands_the_trial_there(tuned, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("search.cluster.searcher.time", SimpleNamespace(monotonic=lambda: clock.now))
    source, searcher, _ = tuned([_job(0)])
    searcher.running.machines = True
    for number in range(12):
        searcher.suggest(f"a{number}")
        searcher.on_trial_complete(f"a{number}", error=True)
        clock.now += 2.0
    assert not source.ended and searcher.running.losses[_job(0).key] == 1
    for number in range(3):
        clock.now += NOTICED_S
        searcher.suggest(f"b{number}")
        searcher.on_trial_complete(f"b{number}", error=True)
    assert [ending.status for _, ending in source.ended] == ["failed"], "it dies wherever it runs"


def test_a_machines_fault_stops_the_search_and_ends_no_trial(tuned):
    source, searcher, _ = tuned([_job(0)])
    source.give_up = (given := []).append
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"machine_fault": "no disk"})
    assert [str(reason) for reason in given] == ["no disk"] and not source.ended


def test_unreachable_cluster_is_told_at_once():
    with (
        pytest.raises(EmofuseError, match=r"--address 127.0.0.1:1: expected a running Ray cluster, but .* refused"),
        connected("127.0.0.1:1", None),
    ):
        pass


def test_trials_are_named_after_their_work(tuned):
    job = _job(0)
    _, searcher, _ = tuned([job])
    trial = SimpleNamespace(trial_id="1a2b_00001", config=searcher.suggest("1a2b_00001"))
    assert _name(trial) == f"lstm-{job.key[:8]}-train-1a2b_00001"
