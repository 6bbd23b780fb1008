"""What is maximised: five metrics, and the methods that can't do two of them."""

import numpy as np
import pytest

from ensembles.evaluation import metrics
from ensembles.evaluation.metrics import worth
from ensembles.fusion import BestSingle, GreedySelection, LineSearchFusion, Stacking, make_fusion
from ensembles.fusion.base import Problem
from features.errors import WrongUse

ALL = ("accuracy", "unweighted_accuracy", "macro_f1", "log_loss", "macro_average_precision")


def greedy_by_hand(s, metric, size):
    """Caruana's selection in the plainest words: of equals whatever comes first."""
    P = np.where(s.valid[:, :, None], s.P, 0).astype(float)
    counts, scored = np.zeros(len(P), int), []
    for _ in range(size):
        each = []
        for m in range(len(P)):
            weights = counts + (np.arange(len(P)) == m)
            problem = Problem(s.P, s.y, s.valid, metric, "share")
            each.append(problem.score(np.repeat(weights[:, None] / weights.sum(), P.shape[2], axis=1)))
        counts[int(np.argmax(each))] += 1
        scored.append(max(each))
    return scored


@pytest.mark.parametrize("metric", ["macro_f1", "log_loss"])
@pytest.mark.parametrize("lacking", [0.0, 0.4])
def test_greedy_is_exact(simulate, metric, lacking):
    s = simulate(M=4, N=60, lacking=lacking)
    fusion = GreedySelection(size=1, metric=metric).fit(s.P, s.y, s.valid)
    assert fusion.trace_[0][1] == pytest.approx(greedy_by_hand(s, metric, 1)[0])
    fusion = GreedySelection(size=6, metric="log_loss").fit(s.P, s.y, s.valid)
    np.testing.assert_allclose([v for _, v in fusion.trace_], greedy_by_hand(s, "log_loss", 6))


@pytest.mark.parametrize("method", ["uniform", "votes", "best", "greedy", "stacking", "auto"])
@pytest.mark.parametrize("metric", ALL)
def test_the_fitted_score_is_the_metric(simulate, method, metric):
    s = simulate(N=60, lacking=0.1)
    params = {"metric": metric} | ({"draws": 5, "folds": 2} if method == "auto" else {})
    fusion = make_fusion(method, params).fit(s.P, s.y, s.valid, s.groups)
    p = fusion.predict_proba(s.P, s.valid)
    confusion = metrics.confusion_matrix(s.y, p.argmax(1), 3)
    expected = metrics.log_loss(s.y, p) if metric == "log_loss" else getattr(metrics, metric)(confusion)
    assert fusion.fit_score_ == pytest.approx(expected)


def test_the_metric_decides(simulate):
    s = simulate(M=2, N=200, C=2)
    sure = np.where(np.arange(200) % 10 < 8, 0.999, 0.001)  # 80 % right, and very sure of it
    timid = np.where(np.arange(200) % 10 < 7, 0.6, 0.4)  # 70 % right
    for m, p in enumerate((sure, timid)):
        s.P[m, np.arange(200), s.y], s.P[m, np.arange(200), 1 - s.y] = p, 1 - p
    assert BestSingle("accuracy").fit(s.P, s.y).weights_[0, 0] == 1
    assert BestSingle("log_loss").fit(s.P, s.y).weights_[1, 0] == 1
    losses = [GreedySelection(metric=metric).fit(s.P, s.y).predict_proba(s.P) for metric in ("accuracy", "log_loss")]
    assert worth("log_loss", s.y, losses[1]) > worth("log_loss", s.y, losses[0])


@pytest.mark.parametrize("method", ["decision", "lines", "subsets", "grid"])
def test_methods_that_count_right_clips_say_so(simulate, method):
    s = simulate()
    for metric in ("macro_f1", "log_loss"):
        with pytest.raises(WrongUse, match=rf"compares weights by the clips that are right, which {metric} is not"):
            make_fusion(method, {"metric": metric}).fit(s.P, s.y)


def test_lines_of_macro_average_precision_are_those_of_unweighted_accuracy(simulate):
    s = simulate(N=60)
    s.y[s.y == 2] = 0  # a class without a clip
    one, other = (LineSearchFusion(metric=m).fit(s.P, s.y) for m in ("macro_average_precision", "unweighted_accuracy"))
    assert one.fit_score_ == pytest.approx(other.fit_score_ * 2 / 3)
    assert Stacking(metric="macro_average_precision").fit(s.P, s.y).fit_score_ <= 2 / 3
