from typing import get_args

import numpy as np
import pytest
from sklearn import metrics as sk

from ensembles.evaluation.metrics import score, summaries
from models.metrics import Metric, confusion_matrix

GRID = [(n, c, seed) for n in (1, 5, 60) for c in (2, 3, 7) for seed in (0, 1)]


@pytest.fixture(params=GRID, ids=str)
def case(request):
    n, c, seed = request.param
    rng = np.random.default_rng(seed)
    return rng.integers(0, c, n), rng.dirichlet(np.ones(c), n), c


def test_as_scikit_learn(case):
    y, p, c = case
    ours, predicted, labels = score(y, p), p.argmax(1), range(c)
    assert (np.array(ours.confusion) == sk.confusion_matrix(y, predicted, labels=labels)).all()
    assert ours.accuracy == pytest.approx(sk.accuracy_score(y, predicted))
    recalls = sk.recall_score(y, predicted, labels=np.unique(y), average="macro")
    assert ours.unweighted_accuracy == pytest.approx(recalls)
    macro = {"labels": labels, "average": "macro", "zero_division": 0}
    assert ours.macro_precision == pytest.approx(sk.precision_score(y, predicted, **macro))
    assert ours.macro_average_precision == pytest.approx(sk.recall_score(y, predicted, **macro))
    assert ours.macro_f1 == pytest.approx(sk.f1_score(y, predicted, **macro))
    assert ours.log_loss == pytest.approx(sk.log_loss(y, p, labels=list(labels)))


def test_confident_mistake_keeps_log_loss_finite():
    assert np.isfinite(score(np.array([1]), np.array([[1.0, 0.0]])).log_loss)


def test_zheng_counts_absent_classes():
    y = np.array([0, 0, 1])
    p = np.eye(4)[[0, 1, 1]]
    assert score(y, p).macro_average_precision == pytest.approx((0.5 + 1) / 4)
    assert score(y, p).unweighted_accuracy == pytest.approx((0.5 + 1) / 2)
    assert confusion_matrix(y, p.argmax(1), 4).sum() == 3


def test_summaries_of_many_are_the_scores_of_each(case):
    y, p, c = case
    many = np.random.default_rng(1).dirichlet(np.ones(c), (300, len(y))).astype(np.float32)
    many[0] = p
    found = summaries(y, many)
    assert set(found) == set(get_args(Metric))
    for name, values in found.items():
        assert values == pytest.approx([getattr(score(y, p), name) for p in many], rel=1e-12)
