"""The contract that every fusion method keeps: its test class inherits from `Contract`."""

import numpy as np
import pytest
from sklearn.base import clone

from ensembles.fusion import BestSingle
from features.errors import EmofuseError, WrongUse


class Contract:
    """Inherited by the test class of every method."""

    at_least_best_single = False
    symmetric = True

    def make(self, **params):
        raise NotImplementedError

    @pytest.mark.parametrize(
        ("M", "C", "lacking", "missing"),
        [(1, 2, 0, "share"), (4, 3, 0.2, "share"), (3, 7, 0.2, "uniform"), (5, 3, 0, "share")],
    )
    def test_probabilities_and_weights(self, simulate, M, C, lacking, missing):
        s = simulate(M=M, C=C, lacking=lacking)
        fusion = self.make(missing=missing).fit(s.P, s.y, s.valid)
        p = fusion.predict_proba(s.P, s.valid)
        assert p.shape == (80, C) and np.isfinite(p).all() and (p >= 0).all()
        np.testing.assert_allclose(p.sum(1), 1)
        assert fusion.weights_.shape == (M, C) and (fusion.weights_ >= 0).all()
        np.testing.assert_allclose(fusion.weights_.sum(0), 1)
        assert fusion.fit_score_ == (p.argmax(1) == s.y).mean() == (fusion.predict(s.P, s.valid) == s.y).mean()

    def test_same_seed_same_weights(self, simulate):
        s = simulate()
        assert (self.make().fit(s.P, s.y).weights_ == clone(self.make()).fit(s.P, s.y).weights_).all()

    def test_beats_the_best_single_where_promised(self, simulate):
        for seed in range(3):
            s = simulate(seed=seed)
            if self.at_least_best_single:
                assert self.make().fit(s.P, s.y).fit_score_ >= BestSingle().fit(s.P, s.y).fit_score_

    def test_permuted_members_permute_the_weights(self, simulate):
        s, order = simulate(M=4), [2, 0, 3, 1]
        one, other = self.make().fit(s.P[order], s.y), self.make().fit(s.P, s.y)
        if self.symmetric:
            np.testing.assert_allclose(one.weights_, other.weights_[order], atol=1e-12)

    def test_what_stands_in_missing_rows_is_not_looked_at(self, simulate):
        s = simulate(lacking=0.3)
        noise = s.P.copy()
        noise[~s.valid] = np.nan
        one, other = self.make().fit(s.P, s.y, s.valid), self.make().fit(noise, s.y, s.valid)
        assert (one.weights_ == other.weights_).all()
        assert (one.predict_proba(s.P, s.valid) == other.predict_proba(noise, s.valid)).all()

    def test_identical_members_one_class_only_and_fewer_clips_than_classes(self, simulate):
        s = simulate(M=1, N=4, C=7)
        P = np.repeat(s.P, 3, axis=0)
        p = self.make().fit(P, s.y).predict_proba(P)
        np.testing.assert_allclose(p, s.P[0], atol=1e-6)
        assert self.make().fit(P, np.zeros(4, int)).weights_.shape == (3, 7)

    def test_unweighted_accuracy(self, simulate):
        s = simulate(N=120)
        fusion = self.make(metric="unweighted_accuracy").fit(s.P, s.y)
        right = fusion.predict(s.P) == s.y
        assert fusion.fit_score_ == pytest.approx(np.mean([right[s.y == c].mean() for c in range(3)]))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda s: {"P": s.P[0]}, r"shape \(members, clips, classes\), but got \(80, 3\)"),
            (lambda s: {"P": s.P[:, :, :1]}, "at least two classes"),
            (lambda s: {"P": s.P * 2}, "The scores of member 0 for clip 0 are .* sum to 1"),
            (lambda s: {"P": s.P - 1}, "non-negative numbers that sum to 1"),
            (lambda s: {"P": s.P * np.nan}, "nan.*Mark clips that a member lacks in `valid`"),
            (lambda s: {"y": s.y[:5]}, r"one label per clip, shape \(80,\), but got \(5,\)"),
            (lambda s: {"y": s.y + 3}, "class numbers from 0 to 2"),
            (lambda s: {"y": s.y + 0.5}, "class numbers from 0 to 2"),
            (lambda s: {"valid": s.valid.T}, r"`valid` of shape \(4, 80\)"),
            (lambda s: {"groups": ["a"]}, "one group per clip, but got 1 for 80 clips"),
        ],
    )
    def test_bad_input_is_told(self, simulate, change, message):
        s = simulate()
        with pytest.raises(EmofuseError, match=message):
            self.make().fit(**({"P": s.P, "y": s.y} | change(s)))

    def test_bad_words_are_told(self, simulate):
        s = simulate()
        with pytest.raises(WrongUse, match=r"Unknown metric 'acc'.*Did you mean 'accuracy'"):
            self.make(metric="acc").fit(s.P, s.y)
        with pytest.raises(WrongUse, match=r"Unknown rule for missing members 'shared'.*Did you mean 'share'"):
            self.make(missing="shared").fit(s.P, s.y)
        with pytest.raises(EmofuseError, match=r"Expected scores of 4 members over 3 classes as in the fit, but got 3"):
            self.make().fit(s.P, s.y).predict_proba(s.P[:3])
