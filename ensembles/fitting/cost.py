"""What members cost where they predict: their models' seconds per clip.

From features to scores, clips in batches, on the machine and device that trained: measured when a trial or a refit
predicts all clips of its table. Reading media and extracting features come on top, and members that read the same set
share them.
"""

from dataclasses import dataclass
from pathlib import Path

from ensembles.predictions.sealed_scores import Member
from ensembles.records.ensemble import Ensemble, EnsembleMember
from search.run.predictions import prediction_path, read_footer


def seconds_per_clip(member: Member) -> float | None:
    """The mean over the member's trials; None where one of them didn't measure it."""
    seconds = [footer.predict_s for footer in member.trials.values()]
    known = [s for s in seconds if s is not None]
    return sum(known) / len(known) if known and len(known) == len(seconds) else None


def in_ms(seconds: float | None) -> str:
    """Seconds as milliseconds of three digits, where they are known."""
    return "-" if seconds is None else f"{1000 * seconds:.3g}"


@dataclass(frozen=True)
class MemberCost:
    """A member's seconds per clip (None: not measured), and the `device` and `worker` (`host:process`) that took it."""

    name: str
    seconds: float | None
    device: str
    worker: str


def costs_of(run: Path, ensemble: Ensemble) -> tuple[MemberCost, ...]:
    """The costs of an ensemble's members: of their refits where there are such, else of their trials."""
    return tuple(_cost(run, member) for member in ensemble.members)


def _cost(run: Path, member: EnsembleMember) -> MemberCost:
    keys = {"full": member.refit} if member.refit else member.trials
    trials = {name: read_footer(prediction_path(run, member.entry, key)) for name, key in keys.items()}
    first = next(iter(trials.values()))
    seconds = seconds_per_clip(Member(member.entry, member.config_key, trials))
    return MemberCost(member.name, seconds, first.device, first.worker)


def told_costs(costs: tuple[MemberCost, ...]) -> str:
    """One sentence: what all take for a clip, and the slowest; empty where it wasn't measured."""
    known = [cost for cost in costs if cost.seconds is not None]
    if not costs or len(known) < len(costs):
        return ""
    slowest = max(known, key=lambda cost: cost.seconds or 0.0)
    total = sum(cost.seconds or 0.0 for cost in known)
    devices = " and ".join(sorted({cost.device for cost in known}))
    most = f", {slowest.name} alone {in_ms(slowest.seconds)} ms" if len(known) > 1 else ""
    return f"From features to scores a clip takes {in_ms(total)} ms on {devices}{most}."
