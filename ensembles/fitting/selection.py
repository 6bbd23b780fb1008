"""Which members may take part in an ensemble: the best ones, without near-duplicates and without dead weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone

from ensembles.fusion.base import Fusion, Metric, Problem
from ensembles.fusion.pooling import Missing
from ensembles.fusion.simple import rank_members
from ensembles.predictions.names import asked_for, refuse_unknown
from features.errors import WrongUse


@dataclass(frozen=True)
class Selection:
    """Rules that leave members out; None switches a rule off.

    `entries` names the entries that may take part. `majority` drops members no better than always naming the commonest
    class (by accuracy where the log-loss is minimised), `duplicate` those whose probabilities correlate, and whose
    decisions agree, at least that much with a better one's; then the best `per_entry` of each entry and the best `top`
    of all stay. `members` are exactly those that take part: an entry's best configuration, or `ENTRY/CONFIG`. `only`
    are the names of those that may (see `restricted`). `latency_ms` bounds what all of them together take for a clip:
    from the best on, who would go beyond it stays out; `cost_s` are the seconds per clip of each, by name.
    """

    entries: tuple[str, ...] | None = None
    majority: bool = True
    duplicate: float | None = 0.99
    per_entry: int | None = 3
    top: int | None = 20
    members: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None
    latency_ms: float | None = None
    cost_s: Mapping[str, float] | None = None


NO_SELECTION = Selection(majority=False, duplicate=None, per_entry=None, top=None)


def make_selection(
    entries: Sequence[str] | None = None,
    top: int | None = 20,
    per_entry: int | None = 3,
    keep_all: bool = False,
    members: Sequence[str] | None = None,
    latency_ms: float | None = None,
) -> Selection:
    """The rules for these bounds (0 or None: no bound); with `keep_all` no rule but `entries` leaves a member out.

    With `members` exactly these take part, and no other rule holds.
    """
    if members and latency_ms is not None:
        raise WrongUse("Named members take part whatever they take: leave out --member or --latency-ms.")
    if members:
        return _exactly(members)
    chosen = tuple(entries) if entries else None
    if keep_all:
        return replace(NO_SELECTION, entries=chosen, latency_ms=latency_ms)
    return Selection(entries=chosen, top=top or None, per_entry=per_entry or None, latency_ms=latency_ms)


def _exactly(members: Sequence[str]) -> Selection:
    named = [name.partition("/")[0] for name in members]
    for name in members:
        if "/" not in name and named.count(name) > 1:
            raise WrongUse(f"Entry {name!r} is named twice: say which of its configurations, as {name}/CONFIG.")
    # Several configurations of an entry are all named: none of them has to be the best.
    per_entry = 1 if len(set(named)) == len(named) else None
    if per_entry is None and any("/" not in name for name in members):
        raise WrongUse("Where an entry takes part twice, name the configuration of every member, as ENTRY/CONFIG.")
    return replace(NO_SELECTION, members=tuple(members), per_entry=per_entry)


def restricted(selection: Selection, where: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> Selection:
    """The selection of members whose hyperparameters, `known` by name, have the values of `where` (empty: of all).

    Errors: WrongUse where none has them; the values that there are are told.
    """
    if not where:
        return selection
    found = tuple(
        name for name, own in known.items() if all(key in own and own[key] == value for key, value in where.items())
    )
    if not found:
        there = {key: sorted({str(own[key]) for own in known.values() if key in own}) for key in where}
        told = "; ".join(f"{key} is {', '.join(values) or 'no hyperparameter of any'}" for key, values in there.items())
        wanted = " and ".join(f"{key}={value}" for key, value in where.items())
        raise WrongUse(f"No member has {wanted}: {told}.")
    return replace(selection, only=found)


@dataclass(frozen=True)
class Candidates:
    """Positions of the members that stay, ascending, and for each of the others why it does not."""

    kept: tuple[int, ...]
    dropped: dict[int, str]


def candidates(problem: Problem, entries: Sequence[str], selection: Selection) -> Candidates:
    """Choose among members, from the best (alone, by the problem's metric) to the worst.

    `entries` (M,) is each member's entry, or its name with the entry in front (`ENTRY/CONFIG`). The best member stays
    even where no member beats the commonest class: an ensemble needs one.
    """
    names, entries = entries, [name.partition("/")[0] for name in entries]
    refuse_unknown(names, selection.members, selection.entries)
    totals = np.bincount(problem.y, minlength=problem.shape[2])
    # A member that is too sure of itself has a high log-loss alone and may be of use in a sum, so its decisions count.
    judged = replace(problem, metric="accuracy") if problem.metric == "log_loss" else problem
    commonest = judged.worth(np.tile(totals / totals.sum(), (len(problem.y), 1)))
    ranking = [m for m in rank_members(problem) if selection.entries is None or entries[m] in selection.entries]
    if selection.only is not None:
        ranking = [m for m in ranking if names[m] in selection.only]
    if selection.members is not None:
        ranking = [m for m in ranking if any(asked_for(names[m], wanted) for wanted in selection.members)]
    dropped = {m: "not among the chosen entries" for m in set(range(len(entries))) - set(ranking)}
    kept: list[int] = []
    for m in ranking:
        reason = _reason(judged, entries, selection, kept, m, commonest) or _too_slow(names, selection, kept, m)
        if reason is None:
            kept.append(m)
        else:
            dropped[m] = reason
    if not kept and selection.cost_s is not None:
        fastest = min(ranking, key=lambda m: (selection.cost_s or {})[names[m]])
        took = f"the fastest, {names[fastest]}, takes {1000 * selection.cost_s[names[fastest]]:.3g} ms"
        raise WrongUse(f"No member takes {selection.latency_ms:g} ms per clip or less; {took}.")
    return Candidates(tuple(sorted(kept)), dropped)


def _reason(
    problem: Problem, entries: Sequence[str], selection: Selection, kept: list[int], m: int, commonest: float
) -> str | None:
    if not kept:
        return None
    if selection.top is not None and len(kept) >= selection.top:
        return f"not among the best {selection.top}"
    if selection.per_entry is not None and sum(entries[k] == entries[m] for k in kept) >= selection.per_entry:
        return f"not among the best {selection.per_entry} of {entries[m]}"
    if selection.majority and _alone(problem, m) <= commonest:
        return "no better than always naming the commonest class"
    if selection.duplicate is not None:
        for k in kept:
            if _likeness(problem, k, m) >= selection.duplicate:
                return f"nearly the same as member {k}"
    return None


def _too_slow(names: Sequence[str], selection: Selection, kept: list[int], m: int) -> str | None:
    if selection.latency_ms is None or selection.cost_s is None:
        return None
    total_ms = 1000 * sum(selection.cost_s[names[k]] for k in [*kept, m])
    if total_ms <= selection.latency_ms:
        return None
    return f"with it, a clip would take {total_ms:.3g} ms, more than {selection.latency_ms:g}"


def _alone(problem: Problem, m: int) -> float:
    if not problem.counts_right:
        own = np.where(problem.valid[m][:, None], problem.P[m], np.float32(1 / problem.shape[2]))
        return problem.worth(own)
    right = problem.valid[m] & (problem.P[m].argmax(axis=1) == problem.y)
    return float(problem.value(np.bincount(problem.y[right], minlength=problem.shape[2])))


def _likeness(problem: Problem, one: int, other: int) -> float:
    both = problem.valid[one] & problem.valid[other]
    if not both.any():
        return 0.0
    p, q = problem.P[one, both], problem.P[other, both]
    agreement = (p.argmax(axis=1) == q.argmax(axis=1)).mean()
    p, q = p - p.mean(), q - q.mean()
    norm = np.sqrt((p * p).sum() * (q * q).sum())
    correlation = (p * q).sum() / norm if norm > 0 else 1.0
    return float(min(agreement, correlation))


class Selected(Fusion):
    """A fusion of the members that a selection keeps; the others get weight 0.

    The selection looks at labels, so it is part of the fit: an honest estimate repeats it on every part of the data.
    Further attributes after `fit`: `candidates_`, `fusion_` (fitted on the kept members alone).
    """

    def __init__(self, fusion: Fusion, entries: Sequence[str], selection: Selection = Selection()):
        self.fusion = fusion
        self.entries = entries
        self.selection = selection

    @property
    def metric(self) -> Metric:  # type: ignore[override]
        """As the inner fusion has it."""
        return self.fusion.metric

    @property
    def missing(self) -> Missing:  # type: ignore[override]
        """As the inner fusion has it."""
        return self.fusion.missing

    def _find_weights(self, problem: Problem, groups: Sequence[str] | None) -> np.ndarray:
        self.candidates_ = candidates(problem, self.entries, self.selection)
        kept = list(self.candidates_.kept)
        self.fusion_ = clone(self.fusion).fit(problem.P[kept], problem.y, problem.valid[kept], groups)
        weights = np.zeros((problem.shape[0], problem.shape[2]))
        weights[kept] = self.fusion_.weights_
        self.interrupted_ = self.fusion_.interrupted_
        self.log_pool_, self.temperatures_ = self.fusion_.log_pool_, None
        if self.fusion_.temperatures_ is not None:
            self.temperatures_ = np.ones(problem.shape[0])
            self.temperatures_[kept] = self.fusion_.temperatures_
        return weights

    def predict_proba(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Fused probabilities (N, C) of `P` (M, N, C), all members in the order of the fit."""
        kept = list(self.candidates_.kept)
        return self.fusion_.predict_proba(np.asarray(P)[kept], None if valid is None else np.asarray(valid)[kept])
