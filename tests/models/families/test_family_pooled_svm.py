"""Raw pooling before an SVM (Chao 2016)."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from models.examples import Examples
from models.families.pooled_svm import FAMILY, vectorise
from models.family import Context

CLASSES = ("a", "b")


def clips(n=8):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    frames = [(c + rng.normal(size=(rng.integers(1, 9), 4)) / 4).astype(np.float32) for c in y]
    return Examples(tuple(map(str, range(n))), {"frames": frames}, CLASSES, y)


@pytest.mark.parametrize("pool, reduce", [("max", np.max), ("mean", np.mean)])
def test_a_clip_is_its_frames_maximum_or_mean(pool, reduce):
    rows = vectorise(clips(), pool)
    assert rows.dtype == np.float64
    np.testing.assert_allclose(rows, [reduce(f.astype(np.float64), axis=0) for f in clips().inputs["frames"]])


def test_as_published():
    """Sections 4.1 and 4.2: mean and maximum, a linear machine for each class against the rest."""
    assert [point["pool"] for point in FAMILY.published] == ["mean", "max"]
    for point in FAMILY.published:
        model = FAMILY.build(point, Context(CLASSES, {"frames": (4,)}))
        model.fit(clips(), None)
        machine = model.pipeline[-1]
        assert isinstance(machine, LinearSVC) and machine.multi_class == "ovr" and machine.C == 0.5 / 4
