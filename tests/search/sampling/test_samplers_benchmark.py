"""The replay of recorded curves: budgets, ASHA, regret, and what answers a draw."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from models.space import Float
from search.recipe.recipe import Asha

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
samplers, curves, ensemble_asha = (import_module(name) for name in ("samplers", "curves", "ensemble_asha"))
smooth_functions = import_module("smooth_functions")

# Accuracy is highest at x = 0.3; every curve has 30 epochs, and is as good after 10 as it will be.
POINTS = [{"x": n / 89} for n in range(90)]
VALUES = np.array([1 - abs(point["x"] - 0.3) for point in POINTS])
POOL = curves.Curves("made up", {"x": Float(0.0, 1.0)}, POINTS, [[value] * 30 for value in VALUES], VALUES, VALUES)
FITTED = curves.Fitted(POOL, trees=30)


def _run(label, seed=0, budget=30):
    return samplers.Replay(POOL, curves.Nearest(POOL), samplers.STRATEGIES[label], seed, budget).run()


def test_a_budget_is_spent_in_epochs():
    run = _run("random")
    asked = [answer.trial for answer in run.asked]
    regrets = [run.regret(budget) for budget in range(1, 31)]
    assert len(asked) == len(set(asked)) == run.taken(30) == 30
    assert (np.diff(regrets) <= 0).all() and regrets[-1] == pytest.approx(100 * (VALUES.max() - VALUES[asked].max()))


def test_a_smaller_budget_is_the_beginning_of_a_larger_one():
    assert _run("TPE", budget=20).regret(20) == _run("TPE", budget=40).regret(20) and _run("TPE").taken(20) == 20


def test_asha_stops_weak_ones_and_sees_more_for_the_same():
    run = _run("random, ASHA")
    stopped = [ending for ending in run.endings.values() if ending.status == "pruned"]
    assert stopped and {ending.epochs for ending in stopped} == {10} and run.taken(30) > 40


@pytest.mark.parametrize("answers", [curves.Nearest, lambda pool: curves.Forest(FITTED, 0)])
def test_results_are_learned_from(answers):
    def last(label):
        strategy = samplers.STRATEGIES[label]
        return np.mean([samplers.Replay(POOL, answers(POOL), strategy, seed, 30).run().regret(30) for seed in range(3)])

    assert last("TPE") < last("random")


def test_a_forest_is_asked_beyond_the_pool_and_its_worth_is_without_luck():
    one, other = curves.Forest(FITTED, 0), curves.Forest(FITTED, 1)
    assert one({"x": 0.123456}).worth == other({"x": 0.123456}).worth == pytest.approx(1 - 0.177, abs=0.05)
    assert FITTED.explained > 0.9 and len({one({"x": 0.5}).value for _ in range(9)}) > 1


def test_a_cell_is_empty_where_more_than_half_of_a_pool_was_taken():
    found = {label: [_run(label, seed, 40) for seed in range(2)] for label in ("random", "random, ASHA")}
    lines = samplers.told(POOL, found, (10, 40), "title").splitlines()
    assert lines[4].startswith("| random | ") and lines[4].count("|") == 4 and "|  |" not in lines[4]
    assert lines[5].endswith(" |  |") and "accuracy of what was chosen on test clips" in "\n".join(lines)


def test_an_ensemble_has_no_member_that_asha_stopped():
    rungs = curves.Rungs(Asha(grace_epochs=10, reduction=3))
    good, bad = [0.9] * 30, [0.1] * 30
    assert ensemble_asha.trained(rungs, good) == (30, True) and ensemble_asha.trained(rungs, bad) == (10, False)
    assert ensemble_asha.trained(rungs, []) == (1, True), "an SVM has no epochs"


def test_smooth_functions_are_searched_as_well_as_by_optuna():
    space, function = smooth_functions.FUNCTIONS["three numbers, two logarithmic"]

    def after(draw, **how):
        return np.mean([draw(space, function, seed, draws=40, **how)[-1] for seed in range(2)])

    tpe = after(smooth_functions.ours, tpe=True)
    assert tpe < after(smooth_functions.ours, tpe=False) / 2 and tpe < 3 * after(smooth_functions.optunas)
