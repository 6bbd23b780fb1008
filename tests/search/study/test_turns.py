"""Whose turn it is, without a run: the fused score is made up."""

from types import SimpleNamespace

from search.goal.flow import START
from search.run.ending import Ending
from search.study.turns import GAIN_WEIGHT, EnsembleTurns, EqualTurns, Mix


class Study:
    def __init__(self, entry, replaying=False):
        self.entry, self.replaying, self.points = entry, replaying, ()


class Watched:
    def __init__(self, gains=(), over=False):
        self.its, self.over, self.heard = {key: (gain, gain) for key, gain in dict(gains).items()}, over, []

    def gains(self):
        return self.its

    def ended(self, jobs):
        self.heard.append((jobs[0].spec.entry, jobs[0].number))


def _jobs(entry, number):
    return [SimpleNamespace(number=number, spec=SimpleNamespace(entry=entry, config_key=f"{entry}{number}"))]


def _names(turns):
    return [study.entry for study in turns.order()]


def test_in_equal_turns_who_had_one_waits_longest():
    turns = EqualTurns([Study("a"), Study("b"), Study("c")])
    assert _names(turns) == ["a", "b", "c"]
    turns.took("b")  # the first had nothing to ask for
    assert _names(turns) == ["c", "a", "b"] and turns.worths("a") is None and not turns.over


def test_once_nothing_is_gained_only_what_an_earlier_run_asked_for_is_handed_out():
    studies = [Study("a"), Study("b", replaying=True)]
    for turns in (
        EqualTurns(studies, Watched(over=True)),
        EnsembleTurns(studies, {"a": 9, "b": 9}, Watched(over=True)),
    ):
        assert _names(turns) == ["b"] and not turns.over
    studies[1].replaying = False
    assert EqualTurns(studies, Watched(over=True)).over
    assert EnsembleTurns(studies, {"a": 9, "b": 9}, Watched(over=True)).over


def test_the_budget_of_all_flows_to_where_the_ensemble_gains():
    watched = Watched({f"b{n}": 0.1 for n in range(30)} | {f"a{n}": -0.1 for n in range(30)})
    turns = EnsembleTurns([Study("a"), Study("b")], {"a": 10, "b": 10}, watched)
    given = []
    while not turns.over:
        entry = _names(turns)[0]
        turns.ended(_jobs(entry, given.count(entry)), Ending("finished", 0.5, 1), True)
        turns.took(entry)
        given.append(entry)
    assert given[: 2 * START] == ["a", "b"] * START, "a start for each"
    assert len(given) == 20 and given.count("b") > 14 and given.count("a") >= START
    assert watched.heard[0] == ("a", 0)


def test_a_study_is_told_ranks_of_own_score_and_gain():
    for equal in (False, True):
        watched = Watched({"a0": 0.3, "a1": 0.1})
        studies = [Study("a")]
        turns = (
            EqualTurns(studies, watched, Mix(["a"], watched)) if equal else EnsembleTurns(studies, {"a": 10}, watched)
        )
        for number, ending in enumerate([Ending("finished", 0.5, 1), Ending("finished", 0.7, 1), Ending("failed")]):
            turns.ended(_jobs("a", number), ending, number < 2)
        assert turns.worths("a") == {0: GAIN_WEIGHT, 1: 1 - GAIN_WEIGHT}
        assert watched.heard == [("a", 0), ("a", 1)], "no ensemble takes the one that failed"
