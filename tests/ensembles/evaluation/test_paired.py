"""Two predictions compared by any metric, against scikit-learn and plain loops."""

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from ensembles.evaluation import paired
from ensembles.evaluation.jackknife import Tally
from ensembles.evaluation.paired import compare, swapped


def by_sklearn(metric, y, P):
    labels = range(P.shape[1])
    if metric == "log_loss":
        return -np.mean([np.log(p[c]) for p, c in zip(P.astype(float), y, strict=True)])
    if metric == "macro_f1":
        return f1_score(y, P.argmax(axis=1), average="macro", labels=labels, zero_division=0)
    present = labels if metric == "macro_average_precision" else sorted(set(y))
    return recall_score(y, P.argmax(axis=1), average="macro", labels=present, zero_division=0)


def scores(rng, y, C, skill):
    z = rng.normal(size=(len(y), C))
    z[np.arange(len(y)), y] += skill
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("metric", ["log_loss", "unweighted_accuracy", "macro_f1", "macro_average_precision"])
def test_all_swaps_of_few_groups_are_counted(metric):
    rng = np.random.default_rng(0)
    y, groups = rng.integers(0, 3, 60), np.array([f"g{n}" for n in rng.integers(0, 6, 60)])
    one, other = scores(rng, y, 4, 1.2), scores(rng, y, 4, 0.6)
    found = compare(y, one, other, groups, metric)
    ahead = by_sklearn(metric, y, one) - by_sklearn(metric, y, other)
    assert (found.metric, found.test) == (metric, "permutation over groups")
    assert (found.first, found.difference) == pytest.approx((by_sklearn(metric, y, one), ahead))
    names, as_large = sorted(set(groups)), 0
    for swaps in product([False, True], repeat=len(names)):
        those = np.isin(groups, [name for name, swap in zip(names, swaps, strict=True) if swap])[:, None]
        first, second = np.where(those, other, one), np.where(those, one, other)
        as_large += abs(by_sklearn(metric, y, first) - by_sklearn(metric, y, second)) >= abs(ahead) - 1e-9
    assert found.p_value == pytest.approx(as_large / 2 ** len(names))


def test_of_many_groups_drawn_swaps_tell_nearly_as_all_do(monkeypatch):
    rng = np.random.default_rng(1)
    y, groups = rng.integers(0, 3, 120), [f"g{n % 12}" for n in range(120)]
    one, other = (Tally(y, scores(rng, y, 3, skill), groups) for skill in (1.0, 0.8))
    exact = swapped(one, other, "macro_f1")
    monkeypatch.setattr(paired, "_ALL_UP_TO", 5)
    assert swapped(one, other, "macro_f1") == pytest.approx(exact, abs=0.02)
    monkeypatch.setattr(paired, "_CELLS", 1000)  # in pieces
    assert swapped(one, other, "macro_f1") == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("metric", ["log_loss", "unweighted_accuracy"])
def test_of_equals_one_in_twenty_seems_better(metric):
    rng, small = np.random.default_rng(0), 0
    for _ in range(300):
        y, groups = rng.integers(0, 3, 80), [f"g{n // 8}" for n in range(80)]
        lift = np.repeat(rng.normal(0, 0.7, (10, 2)), 8, axis=0)  # some groups are easier for one of them
        one, other = (scores(rng, y, 3, 0.7 + lift[:, k]) for k in (0, 1))
        small += compare(y, one, other, groups, metric).p_value <= 0.05
    assert 4 <= small <= 26


def test_accuracies_have_mcnemars_test():
    y = np.zeros(12, int)
    one, other = np.eye(2)[[0] * 10 + [1] * 2], np.eye(2)[[1] * 10 + [0] * 2]
    found = compare(y, one, other, [str(n) for n in range(12)])
    assert (found.test, found.only_first, found.only_second) == ("McNemar", 10, 2)
    assert found.p_value == pytest.approx(0.03857421875)  # 2 * P(Binomial(12, 1/2) <= 2)


def test_the_same_twice_and_a_single_group_are_chance():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 40)
    one, other = scores(rng, y, 3, 1.0), scores(rng, y, 3, 0.0)
    for metric in ("log_loss", "macro_f1"):
        assert compare(y, one, one, [str(n) for n in range(40)], metric).p_value == 1
        alone = compare(y, one, other, ["a"] * 40, metric)
        assert alone.p_value == 1 and alone.interval is None
