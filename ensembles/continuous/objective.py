"""CCC as a function of one dimension's weights, with its exact gradient.

With labels brought to mean 0 and variance 1, and the predictions shifted and scaled alike, the CCC of a weighted sum is
2 b'w / (1 + w'Aw), where b holds the members' mean products with the labels and A those with each other. A positive
linear function over a positive convex one is quasi-concave: among weights that sum to 1, every local maximum above 0
is the global one. Where members lack recordings, each set of members that occurs has its own b and A and its own share
of the weights; there the search starts from several points.
"""

from dataclasses import dataclass

import numpy as np

# Below this sum of weights the members present count equally: what they would share has no digits left.
NO_WEIGHT = 1e-12
_NO_SPREAD = 1e-12


@dataclass(frozen=True, eq=False)
class Objective:
    """Moments of one dimension by set of present members, of which there are K.

    `present` (K, M) bool; `products` (K, M, M), `with_label` (K, M) and `sums` (K, M) are divided by the number of all
    samples. `recalibrated`: the value is the CCC after the best offset and scale, which is Pearson's correlation.
    """

    present: np.ndarray
    products: np.ndarray
    with_label: np.ndarray
    sums: np.ndarray
    recalibrated: bool

    @classmethod
    def of(cls, P: np.ndarray, y: np.ndarray, valid: np.ndarray, recalibrated: bool) -> "Objective":
        """From `P` (M, T) and `y` (T,), standardised by the labels' mean and deviation, and `valid` (M, T)."""
        bits, codes = np.unique(np.packbits(valid, axis=0), axis=1, return_inverse=True)
        present = np.unpackbits(bits, axis=0, count=len(P)).astype(bool).T
        M, T = P.shape
        products, with_label, sums = np.empty((len(present), M, M)), np.empty(present.shape), np.empty(present.shape)
        for k, here in enumerate(present):
            rows = codes.ravel() == k
            X = np.where(here[:, None], P[:, rows], 0)
            products[k], with_label[k], sums[k] = X @ X.T / T, X @ y[rows] / T, X.sum(axis=1) / T
        return cls(present, products, with_label, sums, recalibrated)

    def value_and_gradient(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        """The value at weights `w` (M,) that sum to 1, and its gradient (M,)."""
        totals = self.present @ w
        alive = totals > NO_WEIGHT
        divisors = np.where(alive, totals, 1)[:, None]
        equal = self.present / self.present.sum(axis=1, keepdims=True)
        shares = np.where(alive[:, None], self.present * w / divisors, equal)  # (K, M)
        reach = np.einsum("kmn,kn->km", self.products, shares)
        agreement, square, mean = (float((part * shares).sum()) for part in (self.with_label, reach, self.sums))
        if self.recalibrated:
            spread = max(square - mean**2, _NO_SPREAD)
            value = agreement / np.sqrt(spread)
            by_share = self.with_label / np.sqrt(spread) - value / spread * (reach - mean * self.sums)
        else:
            value = 2 * agreement / (1 + square)
            by_share = 2 * (self.with_label - value * reach) / (1 + square)
        along = (by_share * shares).sum(axis=1, keepdims=True)
        gradient = np.where(alive[:, None], self.present * (by_share - along) / divisors, 0).sum(axis=0)
        return value, gradient

    def value(self, w: np.ndarray) -> float:
        """The value at weights `w` (M,)."""
        return self.value_and_gradient(w)[0]

    def maximise(self) -> np.ndarray:
        """The best weights (M,): non-negative, sum 1; members that no sample has get 0."""
        known = np.asarray(self.present.any(axis=0))
        singles = np.eye(len(known))[known]
        values = [self.value(w) for w in singles]
        uniform = known / known.sum()
        if len(self.present) == 1:
            singles = singles[[int(np.argmax(values))]]
        starts = [*singles, uniform]
        candidates = [*starts, *(self._climb(start, known) for start in starts)]
        # The first of equals: a single member wins over a mixture that is no better.
        return candidates[int(np.argmax([self.value(w) for w in candidates]))]

    def _climb(self, start: np.ndarray, known: np.ndarray) -> np.ndarray:
        from scipy.optimize import minimize

        def falling(w: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self.value_and_gradient(w)
            return -value, -gradient

        sum_to_one = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like}
        bounds = [(0.0, 1.0 if here else 0.0) for here in known]
        options = {"maxiter": 500, "ftol": 1e-12}
        found = minimize(
            falling, start, jac=True, method="SLSQP", bounds=bounds, constraints=[sum_to_one], options=options
        ).x
        found = np.where(found > 1e-9, found, 0)
        return found / found.sum() if found.any() else start
