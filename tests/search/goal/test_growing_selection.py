import numpy as np
import pytest

from search.goal.selection import SIZE, Selection


def _members(M, N, seed=0, missing=0.0):
    rng = np.random.default_rng(seed)
    true = rng.uniform(0.01, 1, (M, N)).astype(np.float32) ** rng.uniform(0.3, 2, (M, 1)).astype(np.float32)
    true[rng.random((M, N)) < missing] = np.nan
    return true


def _plain(true):
    """Caruana's selection, for reading: how often each member was added to the best ensemble on the way."""
    chosen, best, best_loss = [], [], np.inf
    for _ in range(SIZE):
        losses = []
        for m in range(len(true)):
            has = (~np.isnan(true[[*chosen, m]])).sum(axis=0)
            mean = np.nansum(true[[*chosen, m]], axis=0) / np.maximum(has, 1)
            losses.append(-np.log(np.maximum(mean, 1.1920929e-07)).mean())
        chosen.append(int(np.argmin(losses)))
        if min(losses) < best_loss - 1e-6:
            best, best_loss = list(chosen), min(losses)
    return np.bincount(best, minlength=len(true))


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_member_by_member_it_is_the_selection_from_scratch(missing):
    true = _members(12, 40, missing=missing)
    selection = Selection(40)
    for m in range(len(true)):
        selection.add(true[m : m + 1])
        whole = Selection(40)
        whole.add(true[: m + 1])
        assert (selection.shares == whole.shares).all()
    assert (selection.shares == _plain(true)).all() and (selection.shares > 0).sum() > 2


def test_a_member_that_adds_nothing_changes_nothing():
    true = _members(5, 30)
    selection = Selection(30)
    selection.add(true)
    before = selection.shares
    assert not selection.add(np.full((1, 30), 1e-6, np.float32))
    assert (selection.shares == [*before, 0]).all()
    assert selection.add(np.ones((1, 30), np.float32)) and selection.shares.tolist() == [0, 0, 0, 0, 0, 0, 1]


def test_a_clip_that_nobody_has_asks_for_one_who_has():
    true = np.array([[0.9, np.nan], [0.2, 0.5]], np.float32)
    selection = Selection(2)
    selection.add(true)
    assert selection.shares[1] > 0
