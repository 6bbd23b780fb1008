"""Which members may take part in a continuous fusion, and the methods by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from ensembles.continuous.concordance import concordance
from ensembles.continuous.fusion import ContinuousAverage, ContinuousBest, ContinuousFusion, ContinuousMethod
from ensembles.continuous.wrapped import ContinuousBagged, ContinuousShrunk
from ensembles.predictions.names import asked_for, refuse_unknown
from features.errors import WrongUse
from features.names import unknown_name

METHODS: Mapping[str, str] = {
    "auto": "weights of highest CCC, moved toward equal ones as far as inner folds advise",
    "concordance": "weights of highest CCC",
    "uniform": "equal weights",
    "best": "the best single member of each dimension",
}


@dataclass(frozen=True)
class MayTakePart:
    """Rules that leave members out; None switches a rule off.

    `entries` names the entries, `members` (an entry's best configuration, or `ENTRY/CONFIG`) exactly those that take
    part, `only` the names of those that may; then the best `per_entry` of each entry and the best `top` of all stay, by
    their mean CCC.
    """

    entries: Sequence[str] | None = None
    members: Sequence[str] | None = None
    only: Sequence[str] | None = None
    per_entry: int | None = None
    top: int | None = None


def make_method(name: str, params: Mapping[str, Any], seed: int) -> ContinuousMethod:
    """The unfitted method of that name.

    Any takes `recalibrate=true`, `auto` and `concordance` also `bagged=10` and `shrunk=true`. Errors: WrongUse for
    other names and parameters.
    """
    if name not in METHODS:
        raise unknown_name("method for continuous emotion", name, METHODS)
    allowed = {"recalibrate", *(("bagged", "shrunk") if name in ("auto", "concordance") else ())}
    for key, value in params.items():
        if key not in allowed:
            raise unknown_name(f"parameter of {name} for continuous emotion", key, allowed)
        if key == "bagged":
            right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        else:
            right = isinstance(value, bool)
        if not right:
            raise WrongUse(
                f"Parameter {key} expects {'a number of samples' if key == 'bagged' else 'true or false'}, "
                f"but got {value!r}."
            )
    recalibrate = bool(params.get("recalibrate", False))
    if name == "uniform":
        return ContinuousAverage(recalibrate)
    if name == "best":
        return ContinuousBest(recalibrate)
    method: ContinuousMethod = ContinuousFusion(recalibrate)
    if bagged := int(params.get("bagged", 0)):
        method = ContinuousBagged(method, bagged, seed)
    return ContinuousShrunk(method, seed=seed) if params.get("shrunk", name == "auto") else method


class ContinuousSelected(ContinuousMethod):
    """A method on the members that the rules keep; the others get weight 0.

    The rules look at labels, so they are part of the fit: an honest estimate repeats them on every part of the data. A
    member without weight in any dimension doesn't fill in for others either: the fusion is that of `chosen_` alone.
    Further attributes after `fit`: `kept_`, positions that the rules keep, `chosen_`, those with weight.
    """

    def __init__(self, method: ContinuousMethod, names: Sequence[str], rules: MayTakePart):
        self.method = method
        self.names = names
        self.rules = rules

    @property
    def recalibrate(self) -> bool:  # type: ignore[override]
        """As the inner method has it."""
        return self.method.recalibrate

    def _find_all(self, P: np.ndarray, Y: np.ndarray, valid: np.ndarray, groups: np.ndarray) -> np.ndarray:
        self.kept_ = kept(P, Y, valid, self.names, self.rules)
        inner = clone(self.method).fit(P[self.kept_], Y, valid[self.kept_], groups.tolist())
        weights = np.zeros((len(P), Y.shape[1]))
        weights[self.kept_] = inner.weights_
        self.chosen_ = np.flatnonzero(weights.any(axis=1))
        return weights

    def calibrate(self, P: np.ndarray, Y: np.ndarray, valid: np.ndarray) -> None:
        """Scale and offset of what the chosen members say."""
        super().calibrate(P, Y, self._chosen_alone(valid))

    def predict(self, P: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Fused predictions (T, D) of `P` (M, T, D), all members in the order of the fit."""
        present = np.ones(np.shape(P), bool) if valid is None else np.asarray(valid, bool)
        return super().predict(P, self._chosen_alone(present))

    def _chosen_alone(self, valid: np.ndarray) -> np.ndarray:
        alone = np.zeros_like(valid)
        alone[self.chosen_] = valid[self.chosen_]
        return alone


def kept(P: np.ndarray, Y: np.ndarray, valid: np.ndarray, names: Sequence[str], rules: MayTakePart) -> list[int]:
    """Positions of the members that the rules keep, ascending; what a member lacks counts as the mean label."""
    entries = [name.partition("/")[0] for name in names]
    refuse_unknown(names, rules.members, rules.entries)
    wanted = [m for m in range(len(names)) if rules.entries is None or entries[m] in rules.entries]
    if rules.only is not None:
        wanted = [m for m in wanted if names[m] in rules.only]
    if not wanted:
        raise WrongUse("No member is left by what --entry and --where ask for together.")
    if rules.members is not None:
        wanted = [m for m in wanted if any(asked_for(names[m], one) for one in rules.members)]
    filled = np.where(valid, P, Y.mean(axis=0))
    worth = {m: np.mean([concordance(Y[:, d], filled[m, :, d]) for d in range(Y.shape[1])]) for m in wanted}
    found: list[int] = []
    for m in sorted(wanted, key=lambda m: (-worth[m], names[m])):
        if rules.top is not None and len(found) >= rules.top:
            break
        if rules.per_entry is None or sum(entries[k] == entries[m] for k in found) < rules.per_entry:
            found.append(m)
    return sorted(found)
