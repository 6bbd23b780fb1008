"""What is maximised: five metrics, and the methods that can't do two of them."""

import numpy as np
import pytest

from ensembles.evaluation import metrics
from ensembles.fusion import BestSingle, GreedySelection, LineSearchFusion, Stacking, make_fusion
from ensembles.fusion.base import Problem, fuse
from ensembles.fusion.pooling import LogPool
from features.errors import WrongUse
from models.metrics import confusion_matrix, log_loss, worth

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


@pytest.mark.parametrize("method", ["uniform", "votes", "best", "greedy", "lines", "stacking", "auto"])
@pytest.mark.parametrize("metric", ALL)
def test_the_fitted_score_is_the_metric(simulate, method, metric):
    s = simulate(N=60, lacking=0.1)
    small = {"auto": {"draws": 5, "folds": 2}, "lines": {"restarts": 0, "directions": 2, "rounds": 2}}
    params = {"metric": metric} | small.get(method, {})
    fusion = make_fusion(method, params).fit(s.P, s.y, s.valid, s.groups)
    p = fusion.predict_proba(s.P, s.valid)
    confusion = confusion_matrix(s.y, p.argmax(1), 3)
    expected = log_loss(s.y, p) if metric == "log_loss" else getattr(metrics, metric)(confusion)
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


def test_each_addition_is_the_best_by_macro_f1(simulate):
    s = simulate(M=5, N=60, lacking=0.2)
    fusion = GreedySelection(size=8, metric="macro_f1").fit(s.P, s.y, s.valid)
    counts, problem = np.zeros(5), Problem(s.P, s.y, s.valid, "macro_f1", "share")
    for member, reached in fusion.trace_:
        tried = [problem.score(np.repeat((w / w.sum())[:, None], 3, axis=1)) for w in counts + np.eye(5)]
        assert reached == pytest.approx(max(tried)) and tried[member] == pytest.approx(reached)
        counts[member] += 1


def test_lines_go_to_the_least_log_loss_of_a_mixture(simulate):
    s = simulate(M=3, N=120)

    def loss(weights):
        return -worth("log_loss", s.y, fuse(s.P, np.repeat(np.array(weights)[:, None], 3, axis=1)))

    grid = np.linspace(0, 1, 26)
    best = min(loss((a, b, 1 - a - b)) for a in grid for b in grid if a + b <= 1)
    reached = LineSearchFusion(restarts=0, directions=0, metric="log_loss").fit(s.P, s.y).fit_score_
    assert reached <= best + 1e-4


def test_no_coefficients_near_those_of_stacking_lose_less(simulate):
    s, rng = simulate(M=3, N=80), np.random.default_rng(0)
    fusion = Stacking(strengths=[10.0], restricted=True, metric="macro_f1").fit(s.P, s.y)
    coefficients = np.array(fusion.log_pool_.coefficients)
    own = np.diagonal(coefficients, axis1=1, axis2=2)

    def penalised(found, biases):
        p = LogPool.of(found[:, :, None] * np.eye(3), biases).fuse(s.P)
        return 80 * log_loss(s.y, p) + 5 * (((found - 1 / 3) ** 2).sum() + (biases**2).sum())

    least = penalised(own, np.array(fusion.log_pool_.biases))
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(30):
            near = np.maximum(own + size * rng.normal(size=own.shape), 0)
            assert penalised(near, np.array(fusion.log_pool_.biases) + size * rng.normal(size=3)) >= least - 1e-4


@pytest.mark.parametrize("method", ["decision", "subsets", "grid"])
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
