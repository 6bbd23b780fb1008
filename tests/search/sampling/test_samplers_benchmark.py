"""The replay of recorded curves: budgets, ASHA, regret."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from models.space import Float

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
samplers = import_module("samplers")

# Accuracy is highest at x = 0.3; every curve has 30 epochs, and is as good after 10 as it will be.
POINTS = [{"x": n / 89} for n in range(90)]
VALUES = np.array([1 - abs(point["x"] - 0.3) for point in POINTS])
POOL = samplers.Curves("made up", {"x": Float(0.0, 1.0)}, POINTS, [[value] * 30 for value in VALUES], VALUES)


def _run(label, seed=0):
    run = samplers.Replay(POOL, samplers.STRATEGIES[label], seed)
    return run, run.run()


def test_a_budget_is_spent_in_epochs():
    run, regret = _run("random")
    assert len(run.taken) == len(set(run.taken)) == POOL.trials == 30
    assert (np.diff(regret) <= 0).all() and len(regret) == len(samplers.PARTS)
    assert regret[-1] == pytest.approx(100 * (VALUES.max() - VALUES[run.taken].max()))


def test_asha_stops_weak_ones_and_sees_more_for_the_same():
    run, _ = _run("random, ASHA")
    stopped = [ending for ending in run.endings.values() if ending.status == "pruned"]
    assert stopped and {ending.epochs for ending in stopped} == {10} and len(run.taken) > 40


def test_results_are_learned_from():
    last = {label: np.mean([_run(label, seed)[1][-1] for seed in range(6)]) for label in ("random", "TPE")}
    assert last["TPE"] < last["random"]
