import numpy as np
import pytest

from search.goal.flow import FLOOR, START, Standing, expected_gain, mixed, order


def test_each_entry_gets_its_start_first_then_its_floor():
    good, bad = [0.1, 0.2, 0.15], [-0.3, -0.3, -0.3]
    assert order([Standing("a", 20, 4, good), Standing("b", 20, START - 1), Standing("c", 20, START - 2)])[0] == "c"
    assert order([Standing("a", 20, 3, good), Standing("b", 1, 1, [0.0])]) == ["a", "b"], (
        "a start is no more than its share"
    )
    behind = Standing("b", 20, 5, bad)
    assert order([Standing("a", 20, 35, good), behind])[0] == "b" and FLOOR * 20 > 5
    assert order([Standing("a", 20, 13, good), behind])[0] == "a"


def test_the_largest_expected_gain_comes_first_and_what_runs_shares_it():
    standings = [Standing("a", 20, 4, [0.0, 0.01, 0.0, 0.0]), Standing("b", 20, 4, [0.05, 0.06, 0.05, 0.04])]
    assert order(standings) == ["b", "a"] == order(standings[::-1])
    assert order([standings[0], Standing("b", 20, 4 + 60, standings[1].gains)])[0] == "a"
    assert order([Standing("a", 20, 4, [0.0] * 4), Standing("b", 20, 4, [0.0] * 4)]) == ["a", "b"]


def test_what_is_expected_is_the_mean_positive_part():
    gains = [0.01, -0.02, 0.03, 0.0]
    drawn = np.random.default_rng(0).normal(np.mean(gains), np.sqrt((np.var(gains) * 4 + 0.01**2) / 5), 400_000)
    assert expected_gain(gains, 0.01) == pytest.approx(np.maximum(drawn, 0).mean(), rel=0.01)
    assert expected_gain([0.5], 0.0) == 0.5 and expected_gain([-0.5], 0.0) == 0.0
    assert expected_gain([-0.1, -0.1], 0.2) > expected_gain([-0.1] * 20, 0.2) > 0


def test_a_value_is_a_mix_of_two_ranks():
    own = {0: 0.5, 1: 0.7, 2: 0.6}
    assert mixed(own, {0: 9.0, 1: 1.0, 2: 5.0}, 0.25) == {0: 0.25, 1: 0.75, 2: 0.5}
    assert mixed(own, {0: 2.0, 1: 1.0}, 0.5) == {0: 0.5, 1: 0.5, 2: 0.5}, "without a gain: its own rank"
    assert mixed({3: 0.1}, {}, 0.5) == {3: 0.5} and mixed({}, {}, 0.5) == {}
    assert mixed({0: 1.0, 1: 1.0}, {}, 0.0) == {0: 0.5, 1: 0.5}
