"""The two regressions behind stacking: full multinomial, and one coefficient per member and class.

Both minimise the clips' summed log-loss plus strength / 2 times the squared distance of the coefficients from where
the penalty pulls them. Coefficients are (M, C, C): of member m's log-probability of class k in the logit of class c.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ensembles.fusion.pooling import LogPool

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def full_path(logs: np.ndarray, y: np.ndarray, strengths: Sequence[float]) -> Iterator[LogPool]:
    """scikit-learn's multinomial logistic regression for each strength, the strongest first.

    `logs` (M, N, C), `y` (N,). The penalty pulls toward 0, that is, toward the classes' frequencies.
    """
    from sklearn.linear_model import LogisticRegression

    M, N, C = logs.shape
    classes = np.unique(y)
    if len(classes) < 2:
        yield from [LogPool.geometric_mean(M, C)] * len(strengths)
        return
    X = logs.transpose(1, 0, 2).reshape(N, M * C)
    centre = X.mean(axis=0)
    X = X - centre
    directions = np.eye(M * C)
    if N < M * C:
        # The penalty knows no direction, so the optimum lies in what the clips span: N columns in place of M C.
        U, lengths, directions = np.linalg.svd(X, full_matrices=False)
        X = U * lengths
    model = LogisticRegression(warm_start=True, max_iter=1000)
    for strength in strengths:
        model.set_params(C=1 / strength).fit(X, y)
        found, intercepts = model.coef_ @ directions, model.intercept_
        if len(classes) == 2:  # one row: what speaks for the second class
            found, intercepts = np.concatenate([-found, found]) / 2, np.concatenate([-intercepts, intercepts]) / 2
        coefficients = np.zeros((C, M * C))
        coefficients[classes] = found
        biases = np.full(C, np.log(0.5 / N))  # a class without a clip is as likely as half a clip makes it
        biases[classes] = intercepts - found @ centre
        yield LogPool.of(coefficients.reshape(C, M, C).transpose(1, 2, 0), biases)


def restricted_path(
    logs: np.ndarray, y: np.ndarray, strengths: Sequence[float], shares: np.ndarray | None = None
) -> Iterator[LogPool]:
    """What a member says of a class goes into the logit of that class alone, with a coefficient that is not negative.

    `logs` (M, N, C), `y` (N,). The penalty pulls toward the members' geometric mean, in which each has its share (M,),
    or all the same. scikit-learn has no such
    restriction, so the (convex) loss is minimised by SciPy's L-BFGS-B; each solution starts at the one before.
    """
    from scipy.optimize import minimize

    M, _, C = logs.shape
    by_class = np.ascontiguousarray(logs.transpose(2, 0, 1))
    shares = np.full(M, 1 / M) if shares is None else shares
    centre = np.concatenate([np.repeat(shares[:, None], C, axis=1), np.zeros((1, C))])
    bounds = [(0, None)] * (M * C) + [(None, None)] * C
    flat = centre.ravel()
    for strength in strengths:

        def objective(flat: np.ndarray, strength: float = strength) -> tuple[float, np.ndarray]:
            loss, gradient = restricted_loss(flat.reshape(M + 1, C), by_class, y)
            away = flat.reshape(M + 1, C) - centre
            return loss + strength / 2 * float((away * away).sum()), (gradient + strength * away).ravel()

        # Threads for vectors this short cost more than they bring, the more so where other programs run.
        with _threads().limit(limits=1, user_api="blas"):
            flat = minimize(objective, flat, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 300}).x
        found = flat.reshape(M + 1, C)
        yield LogPool.of(found[:M, :, None] * np.eye(C), found[M])


@cache
def _threads() -> "ThreadpoolController":
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def restricted_loss(coefficients: np.ndarray, by_class: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Summed log-loss and its gradient at `coefficients` (M + 1, C), whose last row are the biases.

    `by_class` (C, M, N) are the log-probabilities.
    """
    logits = np.matmul(coefficients[:-1].T[:, None, :], by_class)[:, 0] + coefficients[-1][:, None]  # (C, N)
    loss, p = _log_loss(logits, y)
    p[y, np.arange(len(y))] -= 1
    slopes = np.matmul(by_class, p[:, :, None])[:, :, 0]  # (C, M)
    return loss, np.concatenate([slopes.T, p.sum(axis=1)[None]])


def log_loss_of(pool: LogPool, logs: np.ndarray, y: np.ndarray) -> float:
    """Summed log-loss of a pool on `logs` (M, N, C) with labels `y` (N,)."""
    return _log_loss(pool.logits(logs).T, y)[0]


def _log_loss(logits: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Summed log-loss of logits (C, N), and the probabilities (C, N)."""
    logits = logits - logits.max(axis=0)
    p = np.exp(logits)
    norm = p.sum(axis=0)
    return float((np.log(norm) - logits[y, np.arange(len(y))]).sum()), p / norm
