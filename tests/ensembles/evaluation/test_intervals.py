import numpy as np
import pytest

from ensembles.evaluation.intervals import accuracy_interval, accuracy_intervals, compare_right


def test_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(60):
        right = rng.random(300) < 0.6
        interval = accuracy_interval(right.astype(float), np.arange(300).astype(str), seed=trial)
        hits += interval.low <= 0.6 <= interval.high
    assert hits >= 52


def test_groups_make_it_wider():
    right = np.repeat([1.0, 0.0, 1.0, 1.0], 50)
    alone = accuracy_interval(right, np.arange(200).astype(str))
    grouped = accuracy_interval(right, np.repeat(list("abcd"), 50))
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_one_group_has_no_interval():
    assert accuracy_interval(np.ones(5), ["a"] * 5) is None


def test_comparison():
    first = np.array([True] * 30 + [False] * 10)
    second = np.array([True] * 20 + [False] * 10 + [True] * 2 + [False] * 8)
    c = compare_right(first, second, [str(i) for i in range(40)])
    assert (c.only_first, c.only_second) == (10, 2)
    assert c.difference == pytest.approx(8 / 40)
    assert c.interval.low < c.difference < c.interval.high
    assert c.p_value == pytest.approx(0.03857421875)  # 2 * P(Binomial(12, 1/2) <= 2)


def test_equal_classifiers_do_not_differ():
    right = np.array([True, False, True])
    c = compare_right(right, right, ["a", "b", "c"])
    assert (c.difference, c.p_value) == (0, 1)


@pytest.mark.parametrize("groups", [np.arange(300) % 12, np.arange(300) // 20, np.arange(300), np.zeros(300)])
def test_intervals_of_many_are_those_of_each(groups):
    right = (np.random.default_rng(0).random((5, 300)) < np.linspace(0, 1, 5)[:, None]).astype(float)
    many = accuracy_intervals(right, groups.astype(str))
    assert len(many) == 5
    for row, interval in zip(right, many, strict=True):
        alone = accuracy_interval(row, groups.astype(str))
        if alone is None:
            assert interval is None
        else:
            assert (interval.low, interval.high) == pytest.approx((alone.low, alone.high), abs=0.01)
    assert accuracy_intervals(right[:0], groups.astype(str)) == []
