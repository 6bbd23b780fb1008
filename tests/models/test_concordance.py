"""Metrics of continuous predictions."""

import numpy as np
import pytest

from features.errors import EmofuseError
from models.concordance import concordance, continuous_metrics


def test_each_dimension_is_scored_where_it_is_labelled():
    rng = np.random.default_rng(0)
    y, p = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    y[:20, 0] = np.nan
    found = continuous_metrics(y, p, ("arousal", "valence"))
    arousal, valence = concordance(y[20:, 0], p[20:, 0]), concordance(y[:, 1], p[:, 1])
    assert (found["ccc_arousal"], found["ccc_valence"]) == (arousal, valence)
    assert found["ccc"] == (arousal + valence) / 2
    assert found["mse"] == pytest.approx(np.mean(np.r_[(y - p)[20:, 0], (y - p)[:, 1]] ** 2))


def test_a_dimension_without_labels_is_told():
    with pytest.raises(EmofuseError, match="None of the 3 steps has a label of valence"):
        continuous_metrics(np.array([[0, np.nan], [1, np.nan], [2, np.nan]]), np.ones((3, 2)), ("arousal", "valence"))
