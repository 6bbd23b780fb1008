"""The screening of the weight search through torch, on a GPU.

It makes the same addressed random numbers as `noise.py` and bounds the scores as `kernel.py` does, so that the same few
draws are left to the exact score, and the search accepts the same ones. torch is imported when it is asked for.
"""

from typing import Any

import numpy as np

from ensembles.fusion.base import Problem
from ensembles.fusion.solvers.noise import COS, LN, MULTIPLIERS, SIN, WEYL, Kind, Noise
from ensembles.fusion.solvers.screen import Incumbent
from features.errors import EmofuseError

_VALUES = 200_000_000  # scores held at once on the device
_ROUNDS = 10


class TorchScreen:
    """Finds the draws that may beat the best so far. Errors: no torch, or no such device."""

    def __init__(self, problem: Problem, best: Incumbent, noise: Noise, device: str):
        try:
            import torch

            self._device = torch.device(device)
            torch.zeros(1, device=self._device)
        except (ImportError, RuntimeError, AssertionError) as error:
            told = f"DecisionFusion can't use device={device!r}: {error}; leave it out for the CPU."
            raise EmofuseError(told) from None
        self._torch, self._best, self._noise = torch, best, noise
        M, N, C = problem.shape
        self._shape = M, N, C
        sharing = problem.missing == "share"
        P = np.where(problem.valid[:, :, None], problem.P, np.float32(0 if sharing else 1 / C))
        self._P = self._there(P.transpose(2, 0, 1))  # (C, M, N)
        self._y = self._there(problem.y)
        self._one_hot = self._there(np.eye(C, dtype=np.float32)[problem.y])  # (N, C)
        self._gains = self._there(best.gains)
        self._present = None
        if sharing and not problem.valid.all():
            self._present = self._there(problem.valid.astype(np.float32))  # (M, N)
            equal = P.sum(axis=0) / np.maximum(problem.valid.sum(axis=0), 1)[:, None]
            equal[~problem.valid.any(axis=0)] = 1 / C
            self._equal = self._there(equal.T)  # (C, N)

    def scores(self, kind: Kind, round_: int, first: int, count: int, sigma: float) -> np.ndarray:
        """(count,) what the clips are worth that each draw may get right, -1 where that can't beat the best."""
        _, N, C = self._shape
        step = max(1, _VALUES // (N * C * 4))
        return np.concatenate(
            [
                self._scores(kind, round_, start, min(step, first + count - start), sigma)
                for start in range(first, first + count, step)
            ]
        )

    def _scores(self, kind: Kind, round_: int, first: int, count: int, sigma: float) -> np.ndarray:
        torch, best = self._torch, self._best
        weights = self._propose(kind, round_, first, count, sigma)  # (C, W, M)
        scores = weights @ self._P  # (C, W, N)
        if self._present is not None:
            shares = weights @ self._present
            scores = torch.where(shares > 0, scores / shares, self._equal[:, None])
        own = scores.gather(0, self._y.expand(1, count, -1))
        scores.scatter_(0, self._y.expand(1, count, -1), -1.0)
        right = (own[0] >= scores.amax(dim=0) - 2 * float(best.clips.margin)).float()  # (W, N)
        counts = (right @ self._one_hot).round().long()  # (W, C)
        same = (counts == self._there(best.counts + best.certain)).all(dim=1)
        scores = ((counts * self._gains).sum(dim=1) - int(best.gains @ best.certain)).masked_fill(same, -1)
        return scores.masked_fill(scores <= best.threshold, -1).cpu().numpy()

    def _propose(self, kind: Kind, round_: int, first: int, count: int, sigma: float) -> Any:
        """(C, W, M) float32: the weights that the draws stand for."""
        torch = self._torch
        values = self._numbers(kind, round_, first, count).double()
        if sigma > 0:
            values = (self._there(self._best.weights.T)[:, None] + sigma * values).clamp_min_(0)
        totals = values.sum(dim=2, keepdim=True)
        weights = (values / totals).float()
        empty = (totals == 0).any(dim=0).flatten()
        for w in torch.nonzero(empty).flatten().tolist():
            exact = self._noise.weights_of(kind, round_, first + w, self._best.weights, sigma)
            weights[:, w] = self._there(exact.T.astype(np.float32))
        return weights

    def _numbers(self, kind: Kind, round_: int, first: int, count: int) -> Any:
        """(C, W, M) the numbers of `Noise.draws`, bit for bit."""
        torch, (M, _, C) = self._torch, self._shape
        words = self._philox(round_, first, count, -(-M * C // 4))  # (Q, 4, W)
        if kind == "gaussian":
            numbers = torch.stack(_normal(torch, words[:, ::2], words[:, 1::2]), dim=2)
        else:
            numbers = (words >> 8).float() * 2.0**-24
            numbers = 2 * numbers - 1 if kind == "symmetric" else numbers
        return numbers.reshape(-1, count)[: M * C].reshape(C, M, count).transpose(1, 2)

    def _philox(self, round_: int, first: int, count: int, quads: int) -> Any:
        """(Q, 4, W) words in int64, from the counters (draw, quad, round, 0)."""
        torch, low = self._torch, 0xFFFFFFFF
        a = torch.arange(first, first + count, device=self._device).expand(quads, count)
        b = torch.arange(quads, device=self._device)[:, None].expand(quads, count)
        c, d = torch.full_like(a, round_), torch.zeros_like(a)
        key_0, key_1 = int(self._noise.key_0), int(self._noise.key_1)
        for _ in range(_ROUNDS):
            # Products wrap around as int64, but their bits are those of uint64.
            p, q = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
            a, b, c, d = ((q >> 32) & low) ^ b ^ key_0, q & low, ((p >> 32) & low) ^ d ^ key_1, p & low
            key_0, key_1 = (key_0 + WEYL[0]) & low, (key_1 + WEYL[1]) & low
        return torch.stack([a, b, c, d], dim=1)

    def _there(self, array: np.ndarray) -> Any:
        return self._torch.as_tensor(np.ascontiguousarray(array), device=self._device)


def _normal(torch: Any, radii: Any, angles: Any) -> tuple[Any, Any]:
    """Box and Muller with the polynomials of `noise.py`, each operation rounded as there."""
    bits = (radii.float() + 0.5).view(torch.int32)
    y = ((bits & 0x7FFFFF) | 0x3F800000).view(torch.float32) - 1.5
    ln = ((bits >> 23) - 159).float() * float(np.float32(np.log(2))) + _polynomial(LN, y)
    radius = (-2 * ln).clamp_min(0).double().sqrt().float()  # torch's own float32 root is rounded otherwise on CPUs
    signed = torch.where(angles >= 2**31, angles - 2**32, angles)
    t = signed.float() * 2.0**-32
    s = t * t
    return radius * _polynomial(COS, s), radius * (t * _polynomial(SIN, s))


def _polynomial(coefficients: tuple[np.float32, ...], x: Any) -> Any:
    value = float(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = float(c) + x * value
    return value
