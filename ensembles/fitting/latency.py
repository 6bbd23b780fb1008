"""Members under a limit of time per clip, and what an ensemble is worth under one limit after another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ensembles.fitting.cost import seconds_per_clip
from ensembles.predictions.sealed_scores import Member
from ensembles.predictions.sets import HeldOut
from features.errors import EmofuseError
from models.metrics import Metric, told, worth
from search.goal.fused import Fused
from search.goal.held_out import Clips

if TYPE_CHECKING:
    from ensembles.fitting.selection import Selection  # scikit-learn takes longer than a report


def bounded(selection: "Selection", members: Sequence[Member]) -> "Selection":
    """The selection with what its limit needs to know of the members; one without a limit as it is.

    Errors: EmofuseError where a member's time was not measured.
    """
    if selection.latency_ms is None:
        return selection
    found: dict[str, float] = {}
    for member in members:
        name, seconds = member.name if member.config_key else member.entry, seconds_per_clip(member)
        if seconds is None:
            raise EmofuseError(
                f"Member {name} has no measured time per clip: its trials were imported, or made by an earlier "
                "release, so no limit can be kept; leave out --latency-ms."
            )
        found[name] = seconds
    return replace(selection, cost_s=found)


@dataclass(frozen=True)
class TradeOff:
    """Members that take so many `seconds` per clip together, and the nested `score` of a greedy ensemble of them, as it
    is told."""

    seconds: float
    members: int
    score: float


def trade_off(held_out: HeldOut, metric: Metric, steps: int = 8) -> tuple[TradeOff, ...]:
    """What a greedy ensemble is worth, nested by groups, at limits from the cheapest member's time to that of all.

    Under each limit the best members (alone) take part that fit into it, as `--latency-ms` chooses. Limits that let
    the same members in are one point. Empty where times weren't measured, or of one member.
    """
    seconds = np.array([seconds_per_clip(member) or np.nan for member in held_out.members])
    if np.isnan(seconds).any() or len(seconds) < 2:
        return ()
    clips = Clips(np.array(held_out.ids), np.array(held_out.groups), held_out.y, held_out.classes)
    scores = np.where(held_out.valid[:, :, None], held_out.P, np.float32(np.nan))
    alone = [worth(metric, held_out.y, P) for P in held_out.P]
    ranking = sorted(range(len(seconds)), key=lambda m: (-alone[m], held_out.members[m].name))
    found: dict[tuple[int, ...], TradeOff] = {}
    for limit in np.geomspace(seconds.min(), seconds.sum(), steps) * (1 + 1e-9):
        kept: list[int] = []
        for m in ranking:
            if seconds[[*kept, m]].sum() <= limit:
                kept.append(m)
        if tuple(kept) not in found:
            fused = Fused(clips, metric)
            fused.add([scores[m] for m in kept])
            found[tuple(kept)] = TradeOff(float(seconds[kept].sum()), len(kept), told(metric, fused.score))
    return tuple(found.values())
