import numpy as np
import pytest
from scipy.stats import binomtest

from ensembles.evaluation.intervals import accuracy_interval, accuracy_intervals, compare_right


def clustered(rng, accuracy, n_groups, size, correlation):
    """Right clips (n,) and their groups: how often a group is right varies from group to group (beta-binomial)."""
    of_group = np.full(n_groups, accuracy)
    if correlation:
        scale = 1 / correlation - 1
        of_group = rng.beta(accuracy * scale, (1 - accuracy) * scale, n_groups)
    groups = np.repeat(np.arange(n_groups), size)
    return (rng.random(len(groups)) < of_group[groups]).astype(float), groups.astype(str)


@pytest.mark.parametrize(
    ("n_groups", "size", "correlation"),
    [(4, 60, 0.05), (8, 20, 0.2), (12, 30, 0.05), (24, 6, 0.2), (10, 5, 0.0), (100, 1, 0.0), (300, 1, 0.0)],
)
@pytest.mark.parametrize("accuracy", [0.6, 0.97, 0.99])
def test_interval_holds_the_truth_as_often_as_it_says(n_groups, size, correlation, accuracy):
    rng = np.random.default_rng(0)
    found = [accuracy_interval(*clustered(rng, accuracy, n_groups, size, correlation)) for _ in range(200)]
    # Wilson's covers 92 % where three of 100 wrong clips are one too many: counts are whole.
    assert np.mean([i.low <= accuracy <= i.high for i in found]) >= 0.89
    assert all(i.high - i.low > 0.005 for i in found)


def test_all_right_is_no_certainty():
    alone = accuracy_interval(np.ones(146), np.arange(146).astype(str))
    assert alone.high == 1 and alone.low == pytest.approx(1 - 1.976**2 / (146 + 1.976**2), abs=1e-4)  # Wilson, t of 145
    actors = accuracy_interval(np.ones(146), (np.arange(146) % 4).astype(str))
    assert actors.high == 1 and 0.6 < actors.low < alone.low
    none = accuracy_interval(np.zeros(146), np.arange(146).astype(str))
    assert (none.low, none.high) == pytest.approx((0, 1 - alone.low))


def test_groups_make_it_wider():
    right = np.repeat([1.0, 0.0, 1.0, 1.0], 50)
    alone = accuracy_interval(right, np.arange(200).astype(str))
    grouped = accuracy_interval(right, np.repeat(list("abcd"), 50))
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_one_group_has_no_interval():
    assert accuracy_interval(np.ones(5), ["a"] * 5) is None
    assert compare_right(np.ones(5, bool), np.ones(5, bool), ["a"] * 5).interval is None


def test_comparison():
    first = np.array([True] * 30 + [False] * 10)
    second = np.array([True] * 20 + [False] * 10 + [True] * 2 + [False] * 8)
    c = compare_right(first, second, [str(i) for i in range(40)])
    assert (c.only_first, c.only_second) == (10, 2)
    assert c.difference == pytest.approx(8 / 40)
    assert c.interval.low < c.difference < c.interval.high
    assert c.p_value == pytest.approx(0.03857421875)  # 2 * P(Binomial(12, 1/2) <= 2)


def test_equal_classifiers_may_differ_on_the_next_clips():
    right = np.array([True, False, True] * 30)
    c = compare_right(right, right, [str(n) for n in range(90)])
    assert (c.difference, c.p_value) == (0, 1)
    assert c.interval.low == -c.interval.high and 0.02 < c.interval.high < 0.04


@pytest.mark.parametrize("correlation", [0.0, 0.2])
def test_differences_hold_the_truth_as_often_as_they_say(correlation):
    rng, hits = np.random.default_rng(0), 0
    for _ in range(200):
        first, groups = clustered(rng, 0.97, 24, 10, correlation)
        second = np.where(rng.random(240) < 0.02, 1 - first, first)  # right on 0.97 - 0.02 * 0.94 of all clips
        interval = compare_right(first > 0.5, second > 0.5, groups).interval
        hits += interval.low <= 0.02 * 0.94 <= interval.high
    assert hits >= 186


@pytest.mark.parametrize("groups", [np.arange(300) % 12, np.arange(300) // 20, np.arange(300), np.zeros(300)])
def test_intervals_of_many_are_those_of_each(groups):
    right = (np.random.default_rng(0).random((5, 300)) < np.linspace(0, 1, 5)[:, None]).astype(float)
    many = accuracy_intervals(right, groups.astype(str))
    assert many == [accuracy_interval(row, groups.astype(str)) for row in right]
    assert accuracy_intervals(right[:0], groups.astype(str)) == []


@pytest.mark.parametrize(("one", "other"), [(0, 1), (3, 3), (4, 9), (120, 80), (700, 640)])
def test_mcnemars_test_is_the_binomial_one(one, other):
    first, second = np.repeat([True, False], [one, other]), np.repeat([False, True], [one, other])
    c = compare_right(first, second, [str(n) for n in range(one + other)])
    assert c.p_value == pytest.approx(binomtest(one, one + other).pvalue)
