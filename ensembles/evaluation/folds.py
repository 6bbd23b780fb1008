"""Folds of clips that keep every group on one side."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from features.errors import EmofuseError


def group_folds(y: np.ndarray, groups: Sequence[str], folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(fit rows, scored rows) of each fold: grouped, and stratified by class as far as groups allow."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    n_groups = len(set(groups))
    if n_groups < 2:
        raise EmofuseError(
            "An honest estimate needs clips of two groups or more, but all held-out clips belong to one; "
            "give the clips their speakers or films as group_id."
        )
    folds = min(folds, n_groups)
    # A group per clip can be stratified by clip, and StratifiedGroupKFold refuses folds that no class can fill.
    stratified = folds <= np.bincount(y).max()
    splitter = (StratifiedGroupKFold if stratified else GroupKFold)(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes with fewer clips than folds are no mistake here
        for fit, rest in splitter.split(np.zeros(len(y)), y, list(groups)):
            if len(fit) and len(rest):
                yield fit, rest


def inner_folds(
    y: np.ndarray, groups: Sequence[str] | None, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds inside a fit, which choose a strength: by group, or by clip where there are no two groups.

    An empty list where there are no two clips either.
    """
    if len(y) < 2:
        return []
    if groups is None or len(set(groups)) < 2:
        groups = [str(n) for n in range(len(y))]
    return list(group_folds(y, groups, folds, seed))
