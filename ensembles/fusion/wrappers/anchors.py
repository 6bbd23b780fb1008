"""What weights are shrunk toward: equal votes, or the best single member."""

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np

from ensembles.fusion.base import Fusion, Problem
from ensembles.fusion.simple import BestSingle
from ensembles.fusion.votes import EqualVotes, pool_of

Anchor = Literal["equal", "best"]
ANCHORS: tuple[Anchor, ...] = get_args(Anchor)


def anchors(problem: Problem, like: Fusion) -> dict[Anchor, Fusion]:
    """Both anchors, fitted; log-pools where `like` is one."""
    found: dict[Anchor, Fusion] = {
        "equal": EqualVotes(problem.metric, problem.missing),
        "best": BestSingle(problem.metric, problem.missing),
    }
    for anchor in found.values():
        anchor.weights_ = anchor._find_weights(problem, None)
        if like.log_pool_ is not None:
            anchor.log_pool_ = pool_of(anchor.weights_[:, 0], problem.shape[2])
    return found


def toward(fusion: Fusion, anchor: Fusion, strength: float) -> list[tuple[float, Fusion]]:
    """(share, fusion) of what lies between a fusion (strength 0) and an anchor (1)."""
    return [(1 - strength, fusion), (strength, anchor)]


def strengths(steps: int) -> Iterator[tuple[Anchor, float]]:
    """The grid of both anchors, weakest first, so that of equals the last is the safest: toward equal votes."""
    for strength in (np.arange(steps + 1) / steps).tolist():
        for anchor in ("best", "equal") if strength else ("equal",):
            yield anchor, strength
