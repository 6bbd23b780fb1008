"""Concatenated encodings, then a linear SVM (Chao 2016)."""

import numpy as np

from models.examples import Examples
from models.families.concat_svm import FAMILY, GRID, best_penalty, vectorise
from models.family import Context
from models.svm import svm_pipeline

CLASSES = ("angry", "happy", "sad")
SHAPES = {"members_1": (4,), "members_2": (3,)}


def clips(n=60, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    inputs = {
        slot: [np.float32(noise * rng.normal(size=shape) + (np.arange(*shape) == c)) for c in y]
        for slot, shape in SHAPES.items()
    }
    return Examples(tuple(f"c{i}" for i in range(n)), inputs, CLASSES, y, tuple(f"g{i // 3 % 5}" for i in range(n)))


def test_encodings_stand_side_by_side_in_the_order_of_their_numbers():
    some = clips(2)
    rows = vectorise(some, ("members_1", "members_2"))
    np.testing.assert_array_equal(rows[1], [*some.inputs["members_1"][1], *some.inputs["members_2"][1]])


def test_c_is_the_one_that_does_best_on_groups_left_out():
    some = clips()
    machines = {C: svm_pipeline(7, kernel="linear", C=C) for C in GRID}
    X = vectorise(some, tuple(SHAPES))

    def right(C):
        from models.calibration import folds

        pairs = folds(some.y, some.groups, 0)
        assert all(not {some.groups[i] for i in a} & {some.groups[i] for i in b} for a, b in pairs)
        return sum((machines[C].fit(X[a], some.y[a]).predict(X[b]) == some.y[b]).sum() for a, b in pairs)

    best = best_penalty(machines, X, some.y, some.groups, 0)
    assert best in GRID
    assert right(best) == max(map(right, GRID))


def test_without_folds_it_still_fits():
    assert best_penalty({}, np.eye(3), np.arange(3), None, 0) == 1.0
    one_each = clips(3)
    model = FAMILY.build(FAMILY.published[0], Context(CLASSES, SHAPES))
    model.fit(one_each, None)
    assert model.predict(one_each).shape == (3, 3)


def test_it_uses_what_the_members_tell():
    model = FAMILY.build(FAMILY.published[0], Context(CLASSES, SHAPES))
    result = model.fit(clips(), clips(30, seed=1, noise=0.3))
    assert result.metrics["accuracy"] > 0.8
