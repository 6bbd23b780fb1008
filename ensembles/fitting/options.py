"""What a fit is asked for, in one record that commands, API and fitting code pass on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ensembles.fitting.selection import Selection
from models.metrics import Metric


@dataclass(frozen=True)
class FitOptions:
    """A method with its `params`, and what it is fitted on.

    `name` is the ensemble's (None: the method's). `partitions` says which trials are pooled (None: all), `fit_split`
    which clips are used (None: all that are held out, else those of train or val), `where` which hyperparameters the
    members have, by name. `task` is `classification` or `regression` (None: what the run's members learnt). The nested
    estimate has `folds` folds, `repeats` times. `metric` is what is maximised (None: what the run was
    searched for, of arrays the accuracy).
    """

    method: str
    name: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    selection: Selection = field(default_factory=Selection)
    partitions: Sequence[str] | None = None
    fit_split: str | None = None
    folds: int = 5
    repeats: int = 1
    seed: int = 0
    metric: Metric | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    task: str | None = None
