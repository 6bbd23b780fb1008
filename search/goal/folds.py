"""Folds of clips for a score that is made again with each configuration: whole groups, and nothing to import."""

from collections import Counter

import numpy as np


def group_folds(y: np.ndarray, groups: np.ndarray, folds: int) -> np.ndarray:
    """(N,) the fold of each clip: whole groups, the large ones first, each into the fold that has fewest clips.

    Of groups of one size those of one class follow each other, so that clips that are groups of their own are
    stratified. With one group, or none, each clip is one.
    """
    if len(set(groups.tolist())) < 2:
        groups = np.arange(len(y))
    names, numbers = np.unique(groups, return_inverse=True)
    sizes = np.bincount(numbers)
    classes = [Counter(y[numbers == g].tolist()).most_common(1)[0][0] for g in range(len(names))]
    filled = np.zeros(min(folds, len(names)), int)
    fold_of = np.zeros(len(names), int)
    for g in sorted(range(len(names)), key=lambda g: (-sizes[g], classes[g], str(names[g]))):
        fold_of[g] = int(filled.argmin())
        filled[fold_of[g]] += sizes[g]
    return fold_of[numbers]
