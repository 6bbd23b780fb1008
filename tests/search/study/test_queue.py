"""The queue: turns, known trials, a configuration as a whole."""

from dataclasses import dataclass

from models.space import count_points
from search.recipe.entry import Entry
from search.recipe.limits import FoldStopping
from search.run.ending import Ending
from search.sampling.folds import FoldRule
from search.study.queue import Queue
from search.study.turns import EqualTurns


@dataclass(frozen=True)
class Spec:
    entry: str
    point: int
    partition: str
    repeat: int = 0

    @property
    def trial_key(self):
        return f"{self.entry}-{self.point}-{self.partition}"


class Study:
    def __init__(self, entry, budget):
        self.entry, self.budget, self.asked, self.told = entry, budget, 0, {}

    @property
    def exhausted(self):
        return self.asked >= self.budget

    replaying = begun = False

    def ask(self, worths=None):
        if self.exhausted:
            return None
        self.asked += 1
        return self.asked - 1, {"x": self.asked - 1}

    def tell(self, number, ending):
        self.told[number] = ending


def _queue(budgets, known=None, partitions=("train", "swap"), rule=None, may_start=lambda *asked: True):
    skipped = []
    studies = [Study(entry, n) for entry, n in budgets.items()]
    queue = Queue(
        studies,
        EqualTurns(studies),
        lambda entry, point: [Spec(entry, point["x"], partition) for partition in partitions],
        lambda spec: (known or {}).get(spec.trial_key),
        lambda job, ending: skipped.append((job.key, ending)),
        lambda job: skipped.append((job.key, None)),
        may_start=may_start,
        rules={entry: FoldRule(rule, len(partitions)) for entry in budgets} if rule else None,
    )
    return queue, studies, skipped


def _drain(queue):
    jobs = []
    while (job := queue.next()) is not None:
        jobs.append(job)
    return jobs


def test_entries_take_turns_and_none_starves():
    queue, _, _ = _queue({"a": 2, "b": 4})
    keys = [job.key for job in _drain(queue)]
    assert keys == [f"{e}-{n}-{p}" for e, n in ("a0", "b0", "a1", "b1", "b2", "b3") for p in ("train", "swap")]
    assert queue.exhausted


def test_a_configuration_is_worth_its_mean_once_all_partitions_have_ended():
    queue, (study,), _ = _queue({"a": 1})
    train, swap = _drain(queue)
    queue.end(swap, Ending("finished", 0.6, 9))
    assert study.told == {}
    queue.end(train, Ending("finished", 0.4, 7))
    assert study.told == {0: Ending("finished", 0.5, 7)}


def test_a_failed_partition_fails_the_configuration():
    queue, (study,), _ = _queue({"a": 1})
    train, swap = _drain(queue)
    queue.end(train, Ending("failed", reason="out of memory"))
    queue.end(swap, Ending("finished", 0.9, 1))
    assert study.told[0].status == "failed"


def test_known_trials_are_not_handed_out_again():
    known = {"a-0-train": Ending("finished", 0.4, 3), "a-0-swap": Ending("finished", 0.6, 3)}
    known["a-1-train"] = Ending("failed", reason="worker died")
    queue, (study,), _ = _queue({"a": 2}, known)
    assert [job.key for job in _drain(queue)] == ["a-1-swap"]
    assert study.told == {0: Ending("finished", 0.5, 3)}


def test_a_pruned_partition_spares_the_others():
    queue, (study, _), skipped = _queue({"a": 1, "b": 1})
    train = queue.next()
    queue.end(train, Ending("pruned", 0.2, 10))
    assert [job.key for job in _drain(queue)] == ["b-0-train", "b-0-swap"]
    assert queue.pruned(train) and study.told == {0: Ending("pruned", 0.2, 10)}
    ((key, ending),) = skipped
    assert key == "a-0-swap" and ending.reason == "not started: stopped early on partition train"


def test_a_configuration_that_is_finished_on_one_partition_is_finished_on_all():
    queue, (study,), opened = _queue({"a": 1})
    train, swap = _drain(queue)
    queue.end(train, Ending("pruned", 0.2, 10))
    assert queue.pruned(swap) and not queue.finished(swap)
    queue.end(swap, Ending("finished", 0.6, 12))
    assert opened == [("a-0-train", None)] and study.told == {}
    assert queue.finished(train) and not queue.pruned(train) and _drain(queue) == [train]
    queue.end(train, Ending("finished", 0.4, 12))
    assert study.told == {0: Ending("finished", 0.5, 12)} and queue.exhausted


def test_what_an_earlier_release_left_half_finished_is_finished():
    known = {"a-0-train": Ending("pruned", 0.4, 3), "a-0-swap": Ending("finished", 0.6, 3)}
    known |= {"a-1-train": Ending("pruned", 0.4, 3), "a-1-swap": Ending("pruned", 0.6, 3)}
    queue, (study,), opened = _queue({"a": 2}, known)
    assert [job.key for job in _drain(queue)] == ["a-0-train"]
    assert opened == [("a-0-train", None)] and study.told.keys() == {1}


def test_put_back_is_handed_out_first():
    queue, _, _ = _queue({"a": 1})
    job = queue.next()
    queue.put_back(job)
    assert not queue.exhausted and queue.next() == job


def test_budget_of_a_small_space():
    entry = Entry(name="s", family="audio_lstm", configurations=7, fixed={})
    assert entry.planned_configurations == 7
    everything = {name: value for name, value in entry.record().published[0].items()}
    assert entry.model_copy(update={"fixed": everything}).planned_configurations == 1
    assert count_points({}) == 1


MEDIAN = {"partitions": tuple("abcde"), "rule": FoldStopping(rule="median", after=2, least=2)}


def _finish(queue, value, jobs=None):
    """Let all trials that are handed out end, each with `value` of its configuration's number; their keys."""
    keys = []
    while (job := queue.next()) is not None:
        keys.append(job.key)
        queue.end(job, Ending("finished", value(job.number), 5, 1.0))
    return keys


def test_a_configuration_that_is_hopeless_after_two_folds_gets_no_third():
    queue, (study,), skipped = _queue({"x": 4}, **MEDIAN)
    assert [job.key for job in _drain(queue)] == [f"x-{n}-{p}" for n in range(4) for p in "ab"] and queue.exhausted
    jobs = {n: queue._jobs["x", n] for n in range(4)}
    for number in range(4):
        for job in jobs[number][:2]:
            queue.end(job, Ending("finished", 0.9 - 0.1 * number, 5, 1.0))
    (reason,) = {ending.reason for _, ending in skipped[:3]}
    assert [key for key, _ in skipped] == [f"x-2-{p}" for p in "cde"] + [f"x-3-{p}" for p in "cde"]
    assert reason == "given up after 2 of 5 partitions: worse than the median of 2 configurations"
    assert study.told == {2: Ending("pruned", 0.7, 5), 3: Ending("pruned", 0.6, 5)}
    assert [job.key for job in _drain(queue)] == ["x-0-c", "x-1-c"], "one more each, and then it looks again"


def test_it_goes_on_where_it_was_killed_and_what_was_given_up_stays_so():
    value = {0: 0.9, 1: 0.8, 2: 0.3, 3: 0.85}.__getitem__
    whole, (study,), skipped = _queue({"x": 4}, **MEDIAN)
    keys = _finish(whole, value)
    assert len(keys) == 20 - len(skipped) and 2 in study.told and study.told[2].status == "pruned"
    for killed in range(len(keys)):
        known = {key: Ending("finished", value(int(key.split("-")[1])), 5, 1.0) for key in keys[:killed]}
        known |= {key: ending for key, ending in skipped if f"x-{key.split('-')[1]}-b" in known}
        queue, (again,), more = _queue({"x": 4}, known, **MEDIAN)
        assert not set(_finish(queue, value)) & set(known)
        assert again.told[2].status == "pruned" and all(ending is not None for _, ending in more)
    ended = {key: Ending("finished", value(int(key.split("-")[1])), 5, 1.0) for key in keys} | dict(skipped)
    queue, _, opened = _queue({"x": 4}, ended, partitions=MEDIAN["partitions"])
    assert _finish(queue, value) == [key for key, _ in opened] == [key for key, _ in skipped], "without the rule"


def test_early_stopping_and_failures_under_a_rule():
    queue, (study,), skipped = _queue({"x": 2}, **MEDIAN)
    first, second, third, fourth = _drain(queue)
    queue.end(first, Ending("pruned", 0.2, 10))
    queue.end(second, Ending("pruned", 0.2, 10))
    assert [key for key, _ in skipped] == [f"x-0-{p}" for p in "cde"] and study.told[0].status == "pruned"
    queue.end(third, Ending("failed", reason="lost"))
    queue.end(fourth, Ending("finished", 0.5, 5))
    assert [job.key for job in _drain(queue)] == [f"x-1-{p}" for p in "cde"], "the failure may be tried again"


def test_no_configuration_begins_in_the_place_of_trials_that_are_held_back():
    asked = []

    def may_start(entry, whole, promised):
        asked.append((whole, dict(promised)))
        return not whole or not promised

    queue, _, _ = _queue({"a": 2}, **MEDIAN, may_start=may_start)
    jobs = _drain(queue)
    assert [job.key for job in jobs] == ["a-0-a", "a-0-b"] and asked[-1] == (True, {"a": 3})
    for job in jobs:
        queue.end(job, Ending("finished", 0.5, 1))
    for _ in "cde":
        queue.end(queue.next(), Ending("finished", 0.5, 1))
    assert queue.next().key == "a-1-a" and (True, {}) in asked


def test_what_an_earlier_run_asked_for_goes_on_where_a_budget_holds_no_whole_configuration():
    queue, studies, _ = _queue(
        {"a": 2},
        known={"a-0-train": Ending("finished", 0.5, 1)},
        may_start=lambda entry, whole, promised: not whole,
    )
    assert queue.next() is None and queue.exhausted
    studies[0].begun = True
    assert queue.next().key == "a-0-swap"
