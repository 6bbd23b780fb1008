"""Compiled greedy selection: ties as `argmax` breaks them, many clips, any number of threads, bags of members."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ensembles.fusion import GreedySelection
from ensembles.fusion.base import Problem, fuse
from ensembles.fusion.solvers.additions import Additions
from features.errors import WrongUse


@pytest.mark.parametrize("N", [30, 1024, 2500])
@pytest.mark.parametrize(("lacking", "missing"), [(0, "share"), (0.4, "share"), (0.4, "uniform")])
def test_counts_as_fuse_does(simulate, N, lacking, missing):
    s = simulate(M=6, N=N, C=4, lacking=lacking)
    P = np.round(s.P * 4) + 1e-9  # many equal scores
    P = (P / P.sum(axis=2, keepdims=True)).astype(np.float32)
    problem = Problem(P, s.y, s.valid, "accuracy", missing)
    with ThreadPoolExecutor(2) as pool:
        additions = Additions(problem, pool)
        for chosen in ([], [2], [2, 2, 5]):
            additions.clear()
            for m in chosen:
                additions.add(m)
            counts = np.bincount(chosen, minlength=6)[None] + np.eye(6)
            weights = np.repeat((counts / counts.sum(axis=1, keepdims=True))[:, :, None], 4, axis=2)
            plain = [(fuse(P, w, s.valid, missing).argmax(axis=1) == s.y).mean() for w in weights]
            np.testing.assert_allclose(additions.scores_with_each(), plain, atol=2.1 / N)


def test_any_number_of_threads_gives_the_same(simulate):
    s = simulate(M=40, N=300, C=5, lacking=0.1)
    one, many = (GreedySelection(n_jobs=n).fit(s.P, s.y, s.valid) for n in (1, 4))
    assert one.trace_ == many.trace_ and (one.weights_ == many.weights_).all()


def test_bags_use_half_of_the_members_each(simulate):
    s = simulate(M=10, N=200, C=3)
    bagged = GreedySelection(size=5, bags=4, seed=1).fit(s.P, s.y)
    np.testing.assert_allclose(bagged.weights_.sum(axis=0), 1)
    for bag in range(4):
        assert len({m for m, _ in bagged.trace_[5 * bag : 5 * bag + 5]}) <= 5
    assert len(bagged.trace_) == 20
    assert (bagged.weights_ == GreedySelection(size=5, bags=4, seed=1).fit(s.P, s.y).weights_).all()
    assert (bagged.weights_ != GreedySelection(size=5, bags=4, seed=2).fit(s.P, s.y).weights_).any()
    with pytest.raises(WrongUse, match="needs 0 bags or more, but got bags=-1"):
        GreedySelection(bags=-1).fit(s.P, s.y)
