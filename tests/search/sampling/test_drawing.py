"""What TPE is shown, and how long a draw takes."""

import random
import time

import pytest

from models.space import Choice, Float, Int
from search.run.ending import Ending
from search.sampling.drawing import START, Drawer

SPACE = {
    "lr": Float(1e-5, 1e-1, log=True),
    "hidden": Int(8, 512, log=True),
    "dropout": Float(0.0, 0.7),
    "kernel": Choice(("a", "b", "c")),
    "layers": Int(1, 3),
    "decay": Float(1e-6, 1e-2, log=True),
    "batch": Choice((16, 32, 64)),
    "noise": Float(0.0, 1.0),
}


def _asked(number: int, seed: int = 0):
    """So many points drawn at random, and what they reached: 1 at a dropout of 0.3, the less the further from it."""
    numbers = random.Random(seed)
    points = [
        {
            "lr": 10 ** numbers.uniform(-5, -1),
            "hidden": numbers.randint(8, 512),
            "dropout": numbers.uniform(0, 0.7),
            "kernel": numbers.choice("abc"),
            "layers": numbers.randint(1, 3),
            "decay": 10 ** numbers.uniform(-6, -2),
            "batch": numbers.choice((16, 32, 64)),
            "noise": numbers.random(),
        }
        for _ in range(number)
    ]
    return points, {n: Ending("finished", 1 - abs(point["dropout"] - 0.3), 5) for n, point in enumerate(points)}


def test_ten_results_are_enough_for_tpe_and_the_lag_hides_the_last_ones():
    points, endings = _asked(40)
    tpe, at_random = (Drawer(SPACE, seed=1, entry="a", tpe=tpe) for tpe in (True, False))
    assert tpe.draw(points[: START - 1], endings, 0) == at_random.draw(points[: START - 1], endings, 0)
    assert tpe.draw(points[:START], endings, 0) != at_random.draw(points[:START], endings, 0)
    assert tpe.draw(points[:START], endings, 1) == at_random.draw(points[:START], endings, 1)
    unseen = {**endings, **{n: Ending("failed") for n in range(30, 40)}}
    assert tpe.draw(points, unseen, 10) == tpe.draw(points, endings, 10) != tpe.draw(points, endings, 5)


def test_failed_configurations_are_no_results():
    points, endings = _asked(START)
    tpe, at_random = (Drawer(SPACE, seed=1, entry="a", tpe=tpe) for tpe in (True, False))
    some = {**endings, 3: Ending("failed")}
    assert tpe.draw(points, some, 0) == at_random.draw(points, some, 0)


def test_tpe_remembers_the_best_of_long_ago_among_very_many():
    points, endings = _asked(1000)
    drawn = [Drawer(SPACE, seed=seed, entry="a", tpe=True).draw(points, endings, 0) for seed in range(12)]
    assert sum(abs(point["dropout"] - 0.3) < 0.1 for point in drawn) >= 9, "at random 3 or 4 of 12 do"


@pytest.mark.slow
def test_a_draw_after_ten_thousand_takes_less_than_50_ms():
    points, endings = _asked(10_000)
    drawer = Drawer(SPACE, seed=1, entry="a", tpe=True)
    drawer.draw(points, endings, 100)
    took = []
    for _ in range(20):
        began = time.process_time()
        drawer.draw(points, endings, 100)
        took.append(time.process_time() - began)
    assert sorted(took)[10] < 0.05
