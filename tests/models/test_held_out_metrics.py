import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score

from features.errors import Diverged
from models.metrics import held_out_metrics


@pytest.mark.filterwarnings("ignore::UserWarning")  # scikit-learn on one class, and on the floor's sums
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40), c=st.integers(2, 8), dtype=st.sampled_from(["f4", "f8"]))
def test_agrees_with_scikit_learn(seed, n, c, dtype):
    rng = np.random.default_rng(seed)
    p, y = rng.dirichlet(np.ones(c), n).astype(dtype), rng.integers(0, c, n)
    floored = p.clip(np.finfo("f4").eps).astype("f8")
    assert held_out_metrics(p, y) == pytest.approx(
        {
            "accuracy": accuracy_score(y, p.argmax(1)),
            "unweighted_accuracy": recall_score(y, p.argmax(1), labels=np.unique(y), average="macro"),
            "macro_f1": f1_score(y, p.argmax(1), labels=range(c), average="macro", zero_division=0),
            "log_loss": log_loss(y, floored, labels=range(c)),
            "macro_average_precision": recall_score(y, p.argmax(1), labels=range(c), average="macro", zero_division=0),
        },
        rel=1e-4,
    )


def test_a_confident_mistake_stays_finite():
    assert 15 < held_out_metrics(np.array([[1.0, 0.0]]), np.array([1]))["log_loss"] < 17


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        held_out_metrics(np.zeros((0, 3)), np.zeros(0, int))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_a_training_that_diverged(bad):
    with pytest.raises(Diverged, match="the scores of 1 of 2 held-out clips are not finite"):
        held_out_metrics(np.array([[0.5, 0.5], [bad, 0.5]]), np.array([1, 0]))
