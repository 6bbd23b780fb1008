"""What every family for continuous emotion must do: each registered one runs through all of this."""

import itertools
import random

import numpy as np
import pytest

from models.concordance import continuous_metrics
from models.examples import Examples
from models.family import Context
from models.io import load_model
from models.registry import families
from models.space import check_point

DIMENSIONS = ("arousal", "valence")
SHAPES = {1: (7,), 2: (16, 16), 3: (16, 16, 3)}
# Hyperparameters, within the space, that learn a handful of clips in few steps; the published ones are made for more.
EASY = {
    "conv3d": {"filters": 8, "hidden": 64, "dropout": 0.0, "lr": 0.002},
    "convlstm": {"filters": 8, "hidden": 64, "dropout": 0.0, "lr": 0.002},
    "convlstm3d": {"filters": 8, "hidden": 64, "dropout": 0.0, "lr": 0.001},
}
SAMPLED_CORNERS = 8


def context(family, seed=0):
    return Context((), {slot.slot: SHAPES[slot.rank] for slot in family.inputs}, seed, dimensions=DIMENSIONS)


def clips(family, n, seed=0, steps=(10, 30)):
    """`n` clips whose labels are what moves two patterns, with the last label unknown."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(*steps, n)
    targets = [np.cumsum(rng.normal(size=(t, 2)), 0).astype(np.float32) / 4 for t in lengths]
    inputs = {}
    for slot in family.inputs:
        shape = SHAPES[slot.rank]
        patterns = np.random.default_rng(99).normal(size=(2, *shape))
        if slot.rank > 1:
            patterns = patterns[:, ::8, ::8].repeat(8, axis=1).repeat(8, axis=2)
        arrays = [np.tensordot(y, patterns, 1) + rng.normal(size=(len(y), *shape)) / 10 for y in targets]
        inputs[slot.slot] = [
            np.clip(128 + 40 * a, 0, 255).astype(np.uint8) if slot.rank > 1 else a.astype(np.float32) for a in arrays
        ]
    for target in targets:
        target[-1] = np.nan
    return Examples(tuple(f"clip{i}" for i in range(n)), inputs, (), targets=targets, dimensions=DIMENSIONS)


def easy(family):
    return {**family.published[0], **EASY.get(family.name, {})}


def corners(family):
    values = {name: parameter.corners() for name, parameter in family.space.items()}
    rng = random.Random(0)
    most = max(map(len, values.values()))
    sample = [{name: some[i % len(some)] for name, some in values.items()} for i in range(most)]
    points = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
    return sample + rng.sample(points, max(0, SAMPLED_CORNERS - len(sample)))


def ccc(model, examples):
    predicted = model.predict_steps(examples)
    assert all(p.dtype == np.float32 for p in predicted)
    assert [p.shape for p in predicted] == [t.shape for t in examples.targets]
    return continuous_metrics(np.concatenate(examples.targets), np.concatenate(predicted), DIMENSIONS)


@pytest.fixture(params=[name for name, one in families().items() if "regression" in one.tasks], scope="module")
def family(request):
    return families()[request.param]


@pytest.fixture(scope="module")
def fitted(family):
    """A model fitted on eight clips."""
    model = family.build(easy(family), context(family))
    model.fit(clips(family, 8), None, epochs=20)
    return model


def test_every_corner_of_the_space_builds_and_takes_a_step(family):
    train = clips(family, 3)
    for point in corners(family):
        check_point(family.space, point, family.name)
        model = family.build(point, context(family))
        model.fit(train, None, epochs=1)
        assert np.isfinite(list(ccc(model, train).values())).all(), point


def test_learns_eight_clips(family, fitted):
    assert ccc(fitted, clips(family, 8))["ccc"] > 0.9


def test_stops_on_held_out_clips_and_tells_their_metrics(family):
    told = []
    model = family.build(easy(family), context(family))
    held_out = clips(family, 4, seed=1)
    report = lambda epoch, metrics: told.append((epoch, metrics))  # noqa: E731
    result = model.fit(clips(family, 6), held_out, max_epochs=3, report=report)
    assert 1 <= result.best_epoch <= result.epochs <= 3
    assert result.metrics == pytest.approx(ccc(model, held_out), abs=1e-6)
    assert result.metrics["ccc"] == max(metrics["ccc"] for _, metrics in told)


def test_a_seed_fixes_the_result(family):
    def once():
        model = family.build(easy(family), context(family, seed=5))
        model.fit(clips(family, 4), clips(family, 3, seed=1), max_epochs=2)
        return np.concatenate(model.predict_steps(clips(family, 3, seed=2)))

    first = once()
    np.random.random()  # noqa: NPY002  draws from the global state, which must not matter
    np.testing.assert_array_equal(first, once())


def test_saved_and_loaded_it_gives_the_same_predictions(family, fitted, tmp_path):
    fitted.save(tmp_path)
    some = clips(family, 3, seed=3)
    for ours, loaded in zip(fitted.predict_steps(some), load_model(tmp_path).predict_steps(some), strict=True):
        np.testing.assert_array_equal(ours, loaded)


def test_a_clips_predictions_do_not_depend_on_the_others(family, fitted):
    some = clips(family, 5, seed=4, steps=(1, 30))
    for n, together in enumerate(fitted.predict_steps(some)):
        (alone,) = fitted.predict_steps(some.subset([n]))
        np.testing.assert_allclose(together, alone, atol=1e-5)


def test_encodings_have_one_width(family, fitted):
    encoded = fitted.encode(clips(family, 4, seed=8))
    assert encoded.dtype == np.float32 and encoded.ndim == 2 and len(encoded) == 4 and np.isfinite(encoded).all()
