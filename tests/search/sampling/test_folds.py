"""Configurations that are given up after some of their folds."""

import pytest

from search.recipe.limits import FoldStopping
from search.sampling.folds import FoldRule


@pytest.mark.parametrize(
    ("words", "folds", "rungs"),
    [
        ({"rule": "median"}, 5, (2, 3, 4)),
        ({"rule": "median", "after": 1}, 2, (1,)),
        ({"rule": "halving", "after": 1}, 10, (1, 3, 9)),
        ({"rule": "halving"}, 5, (2,)),
        ({"rule": "median"}, 2, ()),
    ],
)
def test_after_how_many_folds_it_looks(words, folds, rungs):
    assert FoldStopping(**words).rungs(folds) == rungs


def test_worse_than_the_median_on_the_same_folds_is_given_up():
    rule = FoldRule(FoldStopping(rule="median", after=2, least=3), 5)
    for number, value in enumerate((0.5, 0.6, 0.7)):
        assert rule.gives_up(number, [value]) is None, "it looks after two folds first"
        assert rule.gives_up(number, [value, value]) is None, "with fewer than three others nothing is compared"
    assert (
        rule.gives_up(3, [0.5, 0.69]) == "given up after 2 of 5 partitions: worse than the median of 3 configurations"
    )
    assert rule.gives_up(4, [0.6, 0.7]) is None
    assert rule.opened(0) == 2 and rule.opened(2) == 3 and rule.opened(4) == 5
    assert rule.gives_up(2, [0.7, 0.7, 0.1]) is None, "nobody came as far"


def test_with_several_seeds_it_counts_trials():
    rule = FoldRule(FoldStopping(rule="median", after=3, least=1), 4, seeds=2)
    rule.hear(0, [0.5, 0.5, 0.5])
    assert (
        rule.gives_up(1, [0.5, 0.5, 0.4]) == "given up after 3 of 4 trials: worse than the median of 1 configurations"
    )


def test_only_the_best_third_of_those_that_came_as_far_goes_on():
    rule = FoldRule(FoldStopping(rule="halving", after=1, reduction=3, least=2), 9)
    told = [rule.gives_up(number, [value]) for number, value in enumerate((0.5, 0.6, 0.7, 0.65, 0.8, 0.75))]
    assert [reason is None for reason in told] == [True, True, True, False, True, True]
    assert told[3] == "given up after 1 of 9 partitions: not among the best 1 of 4 configurations"
    assert rule.opened(1) == 3


def test_what_it_says_depends_on_the_order_of_results_alone():
    heard = [(n, [0.1 * ((7 * n) % 5), 0.1 * ((3 * n) % 7)]) for n in range(30)]
    said = [
        [rule.gives_up(*one) for one in heard]
        for rule in (FoldRule(FoldStopping(rule="median"), 5), FoldRule(FoldStopping(rule="median"), 5))
    ]
    assert said[0] == said[1] and any(said[0])
