"""Fusion of own arrays, without a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensembles.api.ensemble import Ensemble
from ensembles.api.places import use_plugins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

__all__ = ["fit"]


def fit(
    P: "ArrayLike",
    y: "ArrayLike",
    *,
    groups: Sequence[str] | None = None,
    method: str = "auto",
    valid: "np.ndarray | None" = None,
    classes: Sequence[str] | None = None,
    members: Sequence[str] | None = None,
    metric: str = "accuracy",
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    plugins: Sequence[str | Path] = (),
    **params: Any,
) -> Ensemble:
    """Fit an ensemble on arrays of probabilities, and estimate what it is worth on clips that did not choose it.

    Parameters
    ----------
    P : array (M, N, C)
        Probabilities that M members give N clips over C classes, on clips that they were not trained on; rows sum to 1.
    y : array (N,)
        Labels: class numbers from 0, or names.
    groups : sequence of str (N,), optional
        Each clip's speaker, subject or film, which the folds of the estimate never split. Default: each clip is a
        group by itself, which makes the estimate too high where clips of one person resemble each other.
    method : str
        auto, decision, greedy, subsets, grid, lines, stacking, uniform, votes or best; auto chooses the safest of a few
        that is not clearly worse than the others.
    valid : array (M, N) of bool, optional
        Which clips a member has. Default: all.
    classes, members : sequence of str, optional
        Names, in the order of P's last and first axis. Default: the labels' names, sorted, or numbers; member0, ...
    metric : str
        What is maximised: accuracy, unweighted_accuracy, macro_f1, log_loss or macro_average_precision.
    folds, repeats : int
        Of the nested estimate: folds over groups, and how often it is repeated with new ones.
    seed : int
        The same seed gives the same weights.
    plugins : sequence of str or Path
        Files with plug-ins of yours, which stay in use from here on (the command's `--plugin`).
    **params
        Parameters of the method (`draws=2000`); of any method `bagged=10`, `shrunk=True`, `temperatures=True`.

    Returns
    -------
    Ensemble
        Without a run: it can weigh new arrays (`predict_proba`), but not be refitted or exported.

    Raises
    ------
    EmofuseError
        Rows of P that are no probabilities.
    WrongUse
        Shapes that don't fit together, labels that are no class, an unknown method or parameter.

    Examples
    --------
    >>> import emofuse as ef, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 40)
    >>> P = rng.dirichlet([2, 2], (3, 40))
    >>> P[0, np.arange(40), y] += 1  # the first member knows something
    >>> P /= P.sum(axis=2, keepdims=True)
    >>> ensemble = ef.fit(P, y, groups=[f"speaker{n % 8}" for n in range(40)], method="greedy")
    >>> ensemble.weights.index.tolist()
    ['member0/']
    """
    import numpy as np

    from ensembles.fitting.arrays import held_out_of_arrays
    from ensembles.fitting.fit import fit_on
    from ensembles.fitting.options import FitOptions
    from ensembles.fitting.selection import NO_SELECTION
    from models.metrics import metric_named

    use_plugins(plugins)
    held_out = held_out_of_arrays(
        np.asarray(P), np.asarray(y), groups=groups, valid=valid, classes=classes, members=members
    )
    options = FitOptions(
        method,
        params=params,
        selection=NO_SELECTION,
        folds=folds,
        repeats=repeats,
        seed=seed,
        metric=metric_named(metric),
    )
    return Ensemble(fit_on(held_out, options))
